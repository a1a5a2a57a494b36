//! The web side's settings, checked by whoever makes them.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::privileges::Feature;
use crate::telemetry::BuildInfo;

/// Pages besides the telemetry path and `/`.
pub(super) const HEALTHY: &str = "/-/healthy";
pub(super) const READY: &str = "/-/ready";
pub(super) const RELOAD: &str = "/-/reload";
pub(super) const UNITS: &str = "/-/units";
pub(super) const MAPS: &str = "/maps";
pub(super) const PROBE: &str = "/probe";

#[derive(Debug, Clone)]
pub(crate) struct WebOptions {
    /// Starts with `/`, is none of the other pages, and has only characters that mean themselves to the router.
    pub(crate) telemetry_path: String,
    /// `None`: any number of scrapes at once.
    pub(crate) max_requests: Option<NonZeroUsize>,
    /// The longest that a scrape may take when Prometheus sends no `X-Prometheus-Scrape-Timeout-Seconds`.
    pub(crate) scrape_timeout: Duration,
    /// Serve `/maps`.
    pub(crate) debug: bool,
    /// Answer `POST /-/reload`.
    pub(crate) lifecycle: bool,
    pub(crate) build: BuildInfo,
    /// For the status page.
    pub(crate) hardening: Vec<Feature>,
}
