//! Which log lines of a plugin are written: warnings once, and all of them no more than a token
//! bucket has room for. Its instances share this.

use std::time::Instant;

use parking_lot::Mutex;

use crate::repeats::Repeats;

/// Lines a second in the long run, and at once after a quiet time.
const RATE: f64 = 10.0;
const BURST: f64 = 50.0;

#[derive(Debug)]
pub(super) struct LogBudget {
    bucket: Mutex<Bucket>,
    warnings: Repeats,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    suppressed: u64,
}

impl LogBudget {
    pub(super) fn new() -> Self {
        Self {
            bucket: Mutex::new(Bucket {
                tokens: BURST,
                filled: Instant::now(),
                suppressed: 0,
            }),
            warnings: Repeats::default(),
        }
    }

    /// Whether this warning is not known yet.
    pub(super) fn is_news(&self, text: &str) -> bool {
        self.warnings.say(text).is_some()
    }

    /// Whether a line may be written now; then with the number of lines that were not since the
    /// last one.
    pub(super) fn take(&self) -> Option<u64> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock();
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * RATE;
        bucket.tokens = (bucket.tokens + gained).min(BURST);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            bucket.suppressed += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_counts() {
        let budget = LogBudget::new();
        let start = budget.bucket.lock().filled;
        let passed = (0..1000)
            .filter(|_| budget.take_at(start).is_some())
            .count();
        assert_eq!(passed, 50);
        assert_eq!(
            budget.take_at(start + Duration::from_millis(150)),
            Some(950)
        );
        assert_eq!(budget.take_at(start + Duration::from_millis(150)), None);
    }
}
