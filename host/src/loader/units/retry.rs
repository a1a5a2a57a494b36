//! When what does not run is tried again: after a second, then after twice as long each time.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(300);

/// What is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// To put the version into service that its files want.
    Version,
    /// To attach the programs that are not attached.
    Programs,
}

/// The next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) what: What,
    pause: Duration,
    pub(crate) at: Instant,
}

impl Retry {
    /// After a first failure.
    pub(crate) fn first(what: What, now: Instant) -> Self {
        Self {
            what,
            pause: FIRST,
            at: now + FIRST,
        }
    }

    /// After another one.
    pub(crate) fn next(self, now: Instant) -> Self {
        let pause = (self.pause * 2).min(MAX);
        Self {
            pause,
            at: now + pause,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let now = Instant::now();
        let mut retry = Retry::first(What::Version, now);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            pauses.push((retry.at - now).as_secs());
            retry = retry.next(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
