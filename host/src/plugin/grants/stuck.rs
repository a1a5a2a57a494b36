//! Paths whose file system does not answer: for some time nobody waits for them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Threads that wait for one path. The second finds out whether something else is mounted there
/// now; each is held until the kernel lets it go.
const MAX_THREADS: usize = 2;
/// Threads that wait for any.
const MAX_ALL: usize = 32;

/// What has not answered in time, of all plugins: a file system is the same for each.
#[derive(Debug, Default)]
pub(in crate::plugin) struct StuckPaths(Mutex<Option<HashMap<String, Stuck>>>);

#[derive(Debug)]
struct Stuck {
    threads: usize,
    since: Instant,
    pause: Duration,
    next: Instant,
}

/// One question, of which two threads know how far it is.
#[derive(Debug, Default)]
pub(in crate::plugin) struct Question(AtomicU8);

const ASKED: u8 = 1;
const ANSWERED: u8 = 2;

impl Question {
    /// The kernel is asked from here on.
    pub(in crate::plugin) fn ask(&self) {
        self.0.store(ASKED, Ordering::Relaxed);
    }
}

pub(in crate::plugin) static STUCK: StuckPaths = StuckPaths(Mutex::new(None));

impl StuckPaths {
    /// `Err`: the path is not asked now, and since when it does not answer.
    pub(in crate::plugin) fn check(&self, path: &str, now: Instant) -> Result<(), Duration> {
        let paths = self.0.lock();
        let Some(stuck) = paths.as_ref().and_then(|paths| paths.get(path)) else {
            return Ok(());
        };
        if stuck.threads < MAX_THREADS && now >= stuck.next {
            return Ok(());
        }
        Err(now.saturating_duration_since(stuck.since))
    }

    /// A question about the path is given up. It means nothing if it was not asked yet.
    pub(in crate::plugin) fn give_up(&self, path: &str, question: &Question, now: Instant) {
        let mut paths = self.0.lock();
        if question.0.load(Ordering::Relaxed) != ASKED {
            return;
        }
        let paths = paths.get_or_insert_default();
        let all: usize = paths.values().map(|stuck| stuck.threads).sum();
        let stuck = paths.entry(path.to_owned()).or_insert(Stuck {
            threads: 0,
            since: now,
            pause: FIRST_PAUSE,
            next: now,
        });
        stuck.threads += if all < MAX_ALL { 1 } else { MAX_THREADS };
        stuck.next = now + stuck.pause;
        stuck.pause = (stuck.pause * 2).min(MAX_PAUSE);
    }

    /// The path has answered, in time or not.
    pub(in crate::plugin) fn answered(&self, path: &str, question: &Question) {
        let mut paths = self.0.lock();
        question.0.store(ANSWERED, Ordering::Relaxed);
        if let Some(paths) = paths.as_mut()
            && !paths.is_empty()
        {
            paths.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_path_is_asked_once_more_and_again_when_it_answers() {
        let paths = StuckPaths::default();
        let start = Instant::now();
        let question = Question::default();
        paths.give_up("/a", &question, start);
        assert_eq!(paths.check("/a", start), Ok(()), "it was not asked");
        question.ask();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(paths.check("/a", start), Ok(()));
        paths.give_up("/a", &question, start);
        assert_eq!(paths.check("/a", start), Err(Duration::ZERO));
        assert_eq!(paths.check("/b", start), Ok(()));
        assert_eq!(paths.check("/a", after(1)), Ok(()));
        paths.give_up("/a", &question, after(1));
        // Two threads are held: no third.
        assert_eq!(paths.check("/a", after(999)), Err(Duration::from_secs(999)));
        paths.answered("/a", &question);
        assert_eq!(paths.check("/a", after(1000)), Ok(()));
        paths.give_up("/a", &question, after(1000));
        assert_eq!(paths.check("/a", after(1000)), Ok(()), "it has answered");
    }
}
