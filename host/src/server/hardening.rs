//! What both halves say of their hardening, as one table; and looking at the server's own from the
//! inside.

use crate::privileges::{self, Feature, Process};

/// The feature that says whether there are two halves at all: the loader says it for both.
const SPLIT: &str = "split";

/// For the status page and the host's own metrics.
pub(super) fn of_both(loader: Vec<Feature>, server: &[Feature]) -> Vec<Feature> {
    let (split, loader): (Vec<Feature>, Vec<Feature>) = loader
        .into_iter()
        .partition(|feature| feature.name == SPLIT);
    let unknown = || Feature::failed(SPLIT, "the loader has not said");
    let split = split.into_iter().next().unwrap_or_else(unknown);
    privileges::combined(&loader, server, split)
}

/// Tries what must fail, and gives what did not. All of it is in the log.
pub(super) fn check() -> Vec<String> {
    let attempts = match privileges::attempt_all(Process::Server) {
        Ok(attempts) => attempts,
        Err(error) => return vec![format!("not be checked ({error})")],
    };
    let mut allowed = Vec::new();
    for attempt in attempts {
        let (what, answer) = (attempt.what, attempt.answer);
        if attempt.allowed {
            tracing::error!(attempt = what, refused = false, "hardening check: {answer}");
            allowed.push(what);
        } else {
            tracing::info!(attempt = what, refused = true, "hardening check: {answer}");
        }
    }
    allowed
}
