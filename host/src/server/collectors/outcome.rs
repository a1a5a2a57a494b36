//! How a call of a collector ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plugin::{Answer, CollectError, FailureKind};

/// None: the collector's only one.
pub(super) type Target = Option<Arc<str>>;

/// How a call ended.
pub(in crate::server) struct Outcome {
    pub(in crate::server) result: Result<Arc<Answer>, CollectError>,
    pub(in crate::server) took: Duration,
    /// When it ended.
    pub(super) at: Instant,
}

impl Outcome {
    /// With more time there might have been an answer.
    pub(super) fn is_cut_off(&self) -> bool {
        match &self.result {
            Ok(_) => false,
            Err(CollectError::Failed { kind, .. }) => *kind == FailureKind::Timeout,
            Err(CollectError::Call(error)) => !error.is_the_plugins(),
            Err(CollectError::Busy(_)) => true,
            Err(CollectError::Lost) => false,
        }
    }
}
