//! What is known of the targets that scrapes ask: how the last call went, the last good answer,
//! when the background asks again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::outcome::{Outcome, Target};
use crate::plugin::Answer;
use crate::telemetry::CollectorTarget;

/// A background answer is served until it is this many intervals old.
const KEPT_INTERVALS: u32 = 3;

#[derive(Default)]
pub(super) struct TargetCache(Mutex<HashMap<Target, TargetState>>);

#[derive(Default)]
struct TargetState {
    ended: Option<LastCall>,
    /// Kept for collectors with an interval.
    good: Option<(Instant, Arc<Answer>)>,
    next_poll: Option<Instant>,
}

struct LastCall {
    success: bool,
    took: Duration,
    series: usize,
}

impl TargetCache {
    /// A call of a scrape or of the background has ended. `keep`: its answer is to be served later.
    pub(super) fn record_call(&self, target: &Target, outcome: &Outcome, keep: bool) {
        let mut targets = self.0.lock();
        let known = targets.entry(target.clone()).or_default();
        known.ended = Some(LastCall {
            success: outcome.result.is_ok(),
            took: outcome.took,
            series: outcome.result.as_ref().map_or(0, |answer| answer.series),
        });
        if keep && let Ok(answer) = &outcome.result {
            known.good = Some((outcome.at, Arc::clone(answer)));
        }
    }

    /// The last good answer, unless it is too old. None as a whole: no call has ended yet.
    pub(super) fn good(
        &self,
        target: &Target,
        interval: Duration,
        now: Instant,
    ) -> Option<Option<Arc<Answer>>> {
        let targets = self.0.lock();
        let known = targets.get(target)?;
        known.ended.as_ref()?;
        let fresh = known
            .good
            .as_ref()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= interval * KEPT_INTERVALS);
        Some(fresh.map(|(_, answer)| Arc::clone(answer)))
    }

    /// Whether the background is to ask now; if so, it is next to ask an interval later. And when
    /// it is to look again.
    pub(super) fn due(&self, target: &Target, interval: Duration, now: Instant) -> (bool, Instant) {
        let mut targets = self.0.lock();
        let known = targets.entry(target.clone()).or_default();
        match known.next_poll {
            Some(next) if now < next => (false, next),
            _ => {
                known.next_poll = Some(now + interval);
                (true, now + interval)
            }
        }
    }

    pub(super) fn report(&self, target: &Target, now: Instant) -> Option<CollectorTarget> {
        let targets = self.0.lock();
        let known = targets.get(target)?;
        let ended = known.ended.as_ref()?;
        let age = known
            .good
            .as_ref()
            .map(|(at, _)| now.saturating_duration_since(*at).as_secs_f64());
        Some(CollectorTarget {
            target: target.as_deref().map(str::to_owned),
            success: ended.success,
            seconds: ended.took.as_secs_f64(),
            series: ended.series as u64,
            age,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::CollectError;

    fn outcome(result: Result<Arc<Answer>, CollectError>, at: Instant) -> Outcome {
        Outcome {
            result,
            took: Duration::from_millis(20),
            at,
        }
    }

    #[test]
    fn a_good_answer_is_served_for_three_intervals() {
        let (target_cache, target, interval) =
            (TargetCache::default(), None, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(target_cache.good(&target, interval, start).is_none());
        target_cache.record_call(&target, &outcome(Err(CollectError::Lost), start), true);
        assert!(matches!(
            target_cache.good(&target, interval, start),
            Some(None)
        ));
        target_cache.record_call(&target, &outcome(Ok(Arc::default()), start), true);
        target_cache.record_call(&target, &outcome(Err(CollectError::Lost), at(30)), true);
        assert!(matches!(
            target_cache.good(&target, interval, at(30)),
            Some(Some(_))
        ));
        assert!(matches!(
            target_cache.good(&target, interval, at(31)),
            Some(None)
        ));
        let report = target_cache.report(&target, at(31)).unwrap();
        assert_eq!((report.success, report.age), (false, Some(31.0)));
    }

    #[test]
    fn the_background_asks_once_an_interval() {
        let (target_cache, target, interval) =
            (TargetCache::default(), None, Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(target_cache.due(&target, interval, start), (true, at(10)));
        assert_eq!(target_cache.due(&target, interval, at(9)), (false, at(10)));
        // Late by some time, so the next one is too.
        assert_eq!(target_cache.due(&target, interval, at(12)), (true, at(22)));
    }
}
