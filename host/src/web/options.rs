//! The web side's settings, checked by whoever makes them.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::paths::{self, Location, Page};
use crate::privileges::Feature;
use crate::telemetry::BuildInfo;

#[derive(Debug, Clone)]
pub(crate) struct WebOptions {
    /// Starts with `/`, is none of the other pages, and has only characters that mean themselves to
    /// the router.
    pub(crate) telemetry_path: String,
    /// `None`: any number of scrapes at once.
    pub(crate) max_requests: Option<NonZeroUsize>,
    /// The longest that a scrape may take when Prometheus sends no
    /// `X-Prometheus-Scrape-Timeout-Seconds`.
    pub(crate) scrape_timeout: Duration,
    /// OpenMetrics 1.0 says when counters and histograms were 0, as series `_created`.
    pub(crate) openmetrics_created: bool,
    /// Serve `/maps`.
    pub(crate) debug: bool,
    /// Answer `POST /-/reload`.
    pub(crate) lifecycle: bool,
    pub(crate) build: BuildInfo,
    /// For the status page.
    pub(crate) hardening: Vec<Feature>,
}

impl WebOptions {
    /// The pages that are served.
    pub(super) fn pages(&self) -> impl Iterator<Item = &'static Page> {
        paths::served(self.debug, self.lifecycle)
    }

    /// The path of a page; of one that stands for many, the router's pattern.
    pub(super) fn path(&self, page: &Page) -> String {
        match page.location {
            Location::Fixed(path) => path.to_owned(),
            Location::Telemetry => self.telemetry_path.clone(),
            Location::BelowTelemetry => {
                format!("{}/{{*unit}}", self.telemetry_path.trim_end_matches('/'))
            }
        }
    }
}
