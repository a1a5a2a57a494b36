//! How soon a server that has died is followed by the next.
//!
//! At once, as long as servers come up and deaths are few: nobody should wait for a process that
//! was killed. A server that dies before it has done what it was told at first, or the one after
//! too many deaths, waits 1 s, and each further one twice as long, up to a minute. All servers are
//! forked from one process and share its address layout, so how often an attacker may try one has
//! to be bounded: the deaths of the last ten minutes count.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Deaths in `WINDOW` after which the next server has to wait.
const MAX_AT_ONCE: usize = 64;
const WINDOW: Duration = Duration::from_secs(600);
const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Pace {
    deaths: VecDeque<Instant>,
    pause: Option<Duration>,
}

impl Pace {
    /// A server has died. `was_up`: it had been told everything. How long to wait.
    pub(super) fn died(&mut self, was_up: bool, now: Instant) -> Duration {
        let recent = |death: &Instant| now.saturating_duration_since(*death) < WINDOW;
        if self.deaths.back().is_some_and(|death| !recent(death)) {
            self.pause = None;
        }
        self.deaths.retain(recent);
        self.deaths.push_back(now);
        if was_up && self.deaths.len() <= MAX_AT_ONCE {
            return Duration::ZERO;
        }
        while self.deaths.len() > MAX_AT_ONCE + 1 {
            self.deaths.pop_front();
        }
        let pause = self.pause.map_or(FIRST, |pause| (pause * 2).min(MAX));
        self.pause = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_until_there_are_too_many() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for death in 0..64 {
            let now = start + Duration::from_secs(death);
            assert_eq!(pace.died(true, now), Duration::ZERO);
        }
        let now = start + Duration::from_secs(64);
        let pauses: Vec<u64> = (0..8).map(|_| pace.died(true, now).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let later = now + WINDOW;
        assert_eq!(pace.died(true, later), Duration::ZERO);
        assert_eq!(pace.died(false, later), FIRST);
    }

    #[test]
    fn one_that_never_came_up_waits() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.died(false, now), FIRST);
        assert_eq!(pace.died(false, now), FIRST * 2);
    }
}
