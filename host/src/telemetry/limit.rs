//! One log line per kind of warning: what repeats every scrape must not fill the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// With more kinds than this at once the table starts anew.
const MAX_KINDS: usize = 1024;

/// Lets one message of a kind through per interval and counts those held back.
#[derive(Debug)]
pub(crate) struct RateLimit {
    interval: Duration,
    kinds: Mutex<HashMap<String, Kind>>,
}

#[derive(Debug)]
struct Kind {
    last: Instant,
    held_back: u64,
}

impl RateLimit {
    pub(crate) fn every(interval: Duration) -> Self {
        Self {
            interval,
            kinds: Mutex::new(HashMap::new()),
        }
    }

    /// `Some` if a message of this kind may be logged now, with the number of those held back since
    /// the last one.
    pub(crate) fn allow(&self, kind: &str) -> Option<u64> {
        self.allow_at(kind, Instant::now())
    }

    fn allow_at(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock();
        if let Some(known) = kinds.get_mut(kind) {
            if now.duration_since(known.last) < self.interval {
                known.held_back += 1;
                return None;
            }
            known.last = now;
            return Some(std::mem::take(&mut known.held_back));
        }
        if kinds.len() >= MAX_KINDS {
            kinds.clear();
        }
        kinds.insert(
            kind.to_owned(),
            Kind {
                last: now,
                held_back: 0,
            },
        );
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_per_kind_and_interval() {
        let limit = RateLimit::every(Duration::from_secs(60));
        let start = Instant::now();
        assert_eq!(limit.allow_at("a", start), Some(0));
        assert_eq!(limit.allow_at("b", start), Some(0));
        assert_eq!(limit.allow_at("a", start + Duration::from_secs(1)), None);
        assert_eq!(limit.allow_at("a", start + Duration::from_secs(59)), None);
        assert_eq!(
            limit.allow_at("a", start + Duration::from_secs(60)),
            Some(2)
        );
        assert_eq!(
            limit.allow_at("a", start + Duration::from_secs(120)),
            Some(0)
        );
    }
}
