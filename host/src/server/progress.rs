//! Whether the thread that opens plugins and units comes on: a server that answers pings and opens
//! nothing any more is of no use.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// For one thing to do. A plugin's calls end by their limits, long before this.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug)]
pub(super) struct Progress(Mutex<Reading>);

#[derive(Debug)]
struct Reading {
    /// To be done, or being done.
    left: usize,
    /// When the last one was done, or the first one of these came.
    since: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Reading {
            left: 0,
            since: Instant::now(),
        }))
    }

    pub(super) fn queued(&self) {
        self.queued_at(Instant::now());
    }

    pub(super) fn done(&self) {
        self.done_at(Instant::now());
    }

    /// For how long nothing has been done, if that is too long.
    pub(super) fn stuck(&self) -> Option<Duration> {
        self.stuck_at(Instant::now())
    }

    fn queued_at(&self, now: Instant) {
        let mut reading = self.0.lock();
        if reading.left == 0 {
            reading.since = now;
        }
        reading.left += 1;
    }

    fn done_at(&self, now: Instant) {
        let mut reading = self.0.lock();
        reading.left = reading.left.saturating_sub(1);
        reading.since = now;
    }

    fn stuck_at(&self, now: Instant) -> Option<Duration> {
        let reading = self.0.lock();
        let silent = now.saturating_duration_since(reading.since);
        (reading.left > 0 && silent > PATIENCE).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_stuck_if_one_thing_takes_too_long() {
        let progress = Progress::new();
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let at = |seconds: u32| start + second * seconds;
        assert_eq!(progress.stuck_at(at(1000)), None, "there is nothing to do");
        progress.queued_at(at(1000));
        progress.queued_at(at(1030));
        assert_eq!(progress.stuck_at(at(1040)), None);
        assert_eq!(progress.stuck_at(at(1041)), Some(second * 41));
        progress.done_at(at(1041));
        assert_eq!(
            progress.stuck_at(at(1081)),
            None,
            "the second one has begun"
        );
        assert_eq!(progress.stuck_at(at(1082)), Some(second * 41));
        progress.done_at(at(1082));
        assert_eq!(progress.stuck_at(at(9999)), None);
    }
}
