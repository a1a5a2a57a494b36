//! What a scrape of a metric did, for the host's own metrics and the log.

use std::sync::Arc;
use std::time::Duration;

use super::resolve::Complaints;
use crate::plugin::CallError;

/// Why no series of a metric is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// Rows wait for their meaning that were shown before.
    Waiting,
    /// The map changed faster than it could be walked.
    IncompleteWalk,
    /// The map could not be read.
    ReadError,
}

impl LeftOut {
    /// For people and labels.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::IncompleteWalk => "incomplete-walk",
            Self::ReadError => "read-error",
        }
    }
}

/// What one scrape of a metric did.
#[derive(Debug, Default)]
pub(crate) struct MetricScrapeStats {
    /// Rows read: entries, times CPUs where these are split.
    pub(crate) rows: u64,
    /// Rows whose key was known.
    pub(crate) hits: u64,
    /// Rows that went to plugins.
    pub(crate) decoded: u64,
    /// Rows that nobody was asked about, since it was late: they are left out until the next
    /// scrape, or stay as last answered.
    pub(crate) postponed: u64,
    /// Keys that left the table.
    pub(crate) evicted: u64,
    /// Rows that would have made more series than the metric may have: their numbers go into the
    /// series `other`.
    pub(crate) over_limit: u64,
    /// New keys that belong to no bucket of their histogram: they are left out.
    pub(crate) out_of_range: u64,
    /// What does not fit in the metric's histograms, each said once.
    pub(crate) misfits: Vec<String>,
    /// Time spent in plugins and around them.
    pub(crate) decode_time: Duration,
    /// Rows left out, by the decoder or shaper that could not make sense of them.
    pub(crate) left_out: Vec<(Arc<str>, u64)>,
    /// The first message of each decoder or shaper that rejected rows.
    pub(crate) rejected: Vec<(Arc<str>, String)>,
    /// Plugin calls without an answer.
    pub(crate) failed: Vec<(Arc<str>, CallError)>,
    /// Its numbers need what only this process knows.
    pub(crate) holds: bool,
    /// For the first time a value has become less in a series of several keys.
    pub(crate) has_less: bool,
    /// None: its series are shown.
    pub(crate) unshown: Option<LeftOut>,
}

impl MetricScrapeStats {
    pub(super) fn leave_out(&mut self, name: &str) {
        match self.left_out.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((name.into(), 1)),
        }
    }

    pub(super) fn complain(&mut self, complaints: Complaints) {
        self.rejected.extend(complaints.rejected);
        self.failed.extend(complaints.failed);
        self.postponed += complaints.postponed;
    }
}
