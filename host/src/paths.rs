//! The paths that the host answers. Whoever routes, counts, links or reserves one looks here.
//!
//! A new page is a line in `PAGES` and an arm in `web/routes.rs`, for which the compiler asks.

/// Of `--web.telemetry-path`.
pub(crate) const DEFAULT_TELEMETRY: &str = "/metrics";
pub(crate) const HEALTHY: &str = "/-/healthy";
const READY: &str = "/-/ready";
pub(crate) const UNITS: &str = "/-/units";
pub(crate) const PROBE: &str = "/probe";

/// Kept for pages to come: no unit shall have to be changed for them.
const FUTURE: [&str; 2] = ["/config", "/logs"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageId {
    Metrics,
    Maps,
    Healthy,
    Ready,
    Units,
    Reload,
    Probe,
    Landing,
    Unit,
}

/// Where a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Fixed(&'static str),
    /// The telemetry path.
    Telemetry,
    /// Every path below the telemetry path.
    BelowTelemetry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Methods {
    /// GET and HEAD.
    Read,
    Post,
}

/// When a page is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// With `--debug`.
    Debug,
    /// With `--web.enable-lifecycle`.
    Lifecycle,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) id: PageId,
    pub(crate) location: Location,
    pub(crate) methods: Methods,
    /// The value of the label `handler`.
    pub(crate) handler: &'static str,
    pub(crate) condition: Condition,
    /// The text of its link on the landing page.
    pub(crate) link: Option<&'static str>,
}

use {Condition::*, Location::*, Methods::*};

/// The first whose location a path is at has it; links are shown in this order.
#[rustfmt::skip]
const PAGES: [Page; 9] = [
    page(PageId::Metrics, Telemetry, Read, "metrics", Always, Some("Metrics")),
    page(PageId::Maps, Fixed("/maps"), Read, "maps", Debug, Some("Contents of the maps")),
    page(PageId::Healthy, Fixed(HEALTHY), Read, "healthy", Always, Some("Whether the process answers")),
    page(PageId::Ready, Fixed(READY), Read, "ready", Always, Some("Whether the first load is done")),
    page(PageId::Units, Fixed(UNITS), Read, "units", Always, None),
    page(PageId::Reload, Fixed("/-/reload"), Post, "reload", Lifecycle, None),
    page(PageId::Probe, Fixed(PROBE), Read, "probe", Always, None),
    page(PageId::Landing, Fixed("/"), Read, "landing", Always, None),
    page(PageId::Unit, BelowTelemetry, Read, "unit", Always, None),
];

const fn page(
    id: PageId,
    location: Location,
    methods: Methods,
    handler: &'static str,
    condition: Condition,
    link: Option<&'static str>,
) -> Page {
    Page {
        id,
        location,
        methods,
        handler,
        condition,
        link,
    }
}

impl Page {
    pub(crate) fn is_at(&self, path: &str, telemetry_path: &str) -> bool {
        match self.location {
            Fixed(own) => path == own,
            Telemetry => path == telemetry_path,
            BelowTelemetry => is_below(path, telemetry_path),
        }
    }
}

/// The pages that are served under these flags.
pub(crate) fn served(debug: bool, lifecycle: bool) -> impl Iterator<Item = &'static Page> {
    PAGES.iter().filter(move |page| match page.condition {
        Always => true,
        Condition::Debug => debug,
        Lifecycle => lifecycle,
    })
}

/// Whether it is asked how the host is, which has an answer however much there is to do.
pub(crate) fn is_about_health(path: &str) -> bool {
    [HEALTHY, READY].contains(&path)
}

/// Whether a path is that of a page, served or not: the metrics cannot be there. A slash at the end
/// makes no other path.
pub(crate) fn is_page(path: &str) -> bool {
    fixed().any(|own| own.trim_end_matches('/') == path.trim_end_matches('/'))
}

/// Whether a path, or what is above it, is the host's under every telemetry path: no probe can be
/// there.
pub(crate) fn is_reserved(path: &str) -> bool {
    let first_parts = fixed().map(|own| match own[1..].split_once('/') {
        Some((first, _)) => &own[..=first.len()],
        None => own,
    });
    path == "/"
        || first_parts
            .chain(FUTURE)
            .chain([DEFAULT_TELEMETRY])
            .filter(|own| *own != "/")
            .any(|own| path == own || is_below(path, own))
}

pub(crate) fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn fixed() -> impl Iterator<Item = &'static str> {
    PAGES.iter().filter_map(|page| match page.location {
        Fixed(path) => Some(path),
        Telemetry | BelowTelemetry => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_label_of_its_own() {
        for (index, page) in PAGES.iter().enumerate() {
            let other = &PAGES[..index];
            assert!(other.iter().all(|other| other.handler != page.handler));
            assert!(other.iter().all(|other| other.location != page.location));
        }
    }

    #[test]
    fn metrics_cannot_be_where_a_page_is() {
        for page in fixed() {
            assert!(is_page(page) && is_page(&format!("{page}/")), "{page}");
        }
        for free in ["/metrics", "/m", "/-", "/probe/m", "/maps2"] {
            assert!(!is_page(free), "{free}");
        }
    }

    #[test]
    fn probes_cannot_be_at_or_below_a_page() {
        for page in fixed().chain(FUTURE).chain([DEFAULT_TELEMETRY]) {
            assert!(is_reserved(page), "{page}");
            let below = format!("{}/x", page.trim_end_matches('/'));
            assert!(page == "/" || is_reserved(&below), "{below}");
        }
        assert!(is_reserved("/-/other") && is_reserved("/-"));
        for free in ["/x", "/metric", "/metrics2", "/probes/maps", "/-x"] {
            assert!(!is_reserved(free), "{free}");
        }
    }
}
