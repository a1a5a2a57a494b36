//! Refusing calls for a while that doubles each time, after failures in a row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::CallError;
use super::stats::{OpenBreaker, PluginStats};

/// Failures in a row before calls are refused, and the bounds of the back-off.
const TOLERATED: u32 = 3;
/// The same of calls with one row alone: each tells of a row, which is not asked about again soon.
const TOLERATED_ROWS: u32 = 16;
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// Refuses calls for a while that doubles each time, after failures in a row.
#[derive(Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Of them, or on the way there: calls with one row alone.
    single_rows: u32,
    retry_at: Option<Instant>,
    /// From the failure at which calls begin to be refused until the next success.
    open: Option<OpenBreaker>,
}

impl Breaker {
    pub(super) fn check(&self, now: Instant) -> Result<(), CallError> {
        match self.retry_at {
            Some(retry_at) if now < retry_at => Err(CallError::BackOff {
                failures: self.failures,
                retry_in: retry_at - now,
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call with one row alone has failed.
    pub(super) fn failed_with_one_row(&mut self, now: Instant, stats: &Arc<PluginStats>) {
        self.single_rows = self.single_rows.saturating_add(1);
        if self.single_rows >= TOLERATED_ROWS {
            self.failures = self.failures.max(TOLERATED - 1);
            self.failed(now, stats);
        }
    }

    /// `stats`: where it is counted as long as it is open.
    pub(super) fn failed(&mut self, now: Instant, stats: &Arc<PluginStats>) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= TOLERATED {
            let doublings = (self.failures - TOLERATED).min(16);
            self.retry_at = Some(now + (FIRST_BACK_OFF * 2_u32.pow(doublings)).min(MAX_BACK_OFF));
            self.open.get_or_insert_with(|| stats.breaker_opened());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_open_the_breaker_and_success_closes_it() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let stats = Arc::default();
        let open = |stats: &Arc<PluginStats>| stats.snapshot().open_breakers;
        breaker.failed(now, &stats);
        breaker.failed(now, &stats);
        assert!(breaker.check(now).is_ok());
        breaker.failed(now, &stats);
        assert!(breaker.check(now).is_err());
        assert_eq!(open(&stats), 1);
        assert!(breaker.check(now + FIRST_BACK_OFF).is_ok());
        for _ in 0..40 {
            breaker.failed(now, &stats);
        }
        assert!(
            breaker
                .check(now + MAX_BACK_OFF - Duration::from_millis(1))
                .is_err()
        );
        assert!(breaker.check(now + MAX_BACK_OFF).is_ok());
        assert_eq!(open(&stats), 1);
        breaker.succeeded();
        assert!(breaker.check(now).is_ok());
        assert_eq!(open(&stats), 0);
    }

    #[test]
    fn it_takes_more_failures_with_one_row_alone() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let stats = Arc::default();
        for _ in 1..TOLERATED_ROWS {
            breaker.failed_with_one_row(now, &stats);
            assert!(breaker.check(now).is_ok());
        }
        breaker.failed_with_one_row(now, &stats);
        assert!(breaker.check(now).is_err());
        let later = now + FIRST_BACK_OFF;
        assert!(breaker.check(later).is_ok());
        breaker.failed_with_one_row(later, &stats);
        assert!(breaker.check(later + FIRST_BACK_OFF).is_err(), "doubled");
    }
}
