//! The web side's settings, checked.

use std::time::Duration;

use crate::telemetry::BuildInfo;

/// Paths that are taken; `/` may be the telemetry path, which then replaces the landing page.
pub(super) const HEALTHY: &str = "/-/healthy";
pub(super) const READY: &str = "/-/ready";
pub(super) const MAPS: &str = "/maps";

#[derive(Debug, Clone)]
pub(crate) struct WebOptions {
    pub(super) telemetry_path: String,
    /// `None`: any number of scrapes at once.
    pub(super) max_requests: Option<usize>,
    pub(super) scrape_timeout: Duration,
    /// Serve `/maps`.
    pub(super) debug: bool,
    pub(super) build: BuildInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OptionsError {
    #[error(
        "--web.telemetry-path: expected a path of letters, digits and `-._~/` that starts with `/`, found `{found}`"
    )]
    Path { found: String },
    #[error("--web.telemetry-path: `{found}` is a page of this program already; choose another")]
    Taken { found: String },
    #[error("--web.scrape-timeout: expected more than 0 seconds")]
    Timeout,
}

impl WebOptions {
    /// `max_requests`: 0 for no bound.
    pub(crate) fn new(
        telemetry_path: &str,
        max_requests: usize,
        scrape_timeout: Duration,
        debug: bool,
        build: BuildInfo,
    ) -> Result<Self, OptionsError> {
        let found = || telemetry_path.to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        let empty_segment = telemetry_path.contains("//");
        if !telemetry_path.starts_with('/') || !telemetry_path.chars().all(plain) || empty_segment {
            return Err(OptionsError::Path { found: found() });
        }
        if [HEALTHY, READY, MAPS].contains(&telemetry_path) {
            return Err(OptionsError::Taken { found: found() });
        }
        if scrape_timeout.is_zero() {
            return Err(OptionsError::Timeout);
        }
        Ok(Self {
            telemetry_path: found(),
            max_requests: (max_requests > 0).then_some(max_requests),
            scrape_timeout,
            debug,
            build,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_no_router_takes_are_refused_in_words() {
        let new = |path| WebOptions::new(path, 0, Duration::from_secs(1), false, BuildInfo::THIS);
        for good in ["/metrics", "/", "/a/b-c.d", "/metrics/"] {
            assert!(new(good).is_ok(), "{good}");
        }
        for bad in ["", "metrics", "/a{b}", "/*", "/:a", "/a b", "//", "/é"] {
            assert!(matches!(new(bad), Err(OptionsError::Path { .. })), "{bad}");
        }
        assert!(matches!(new("/-/ready"), Err(OptionsError::Taken { .. })));
        let zero = WebOptions::new("/metrics", 0, Duration::ZERO, false, BuildInfo::THIS);
        assert_eq!(zero.unwrap_err(), OptionsError::Timeout);
    }
}
