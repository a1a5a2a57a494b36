//! What a host writes to its standard error, as it comes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long a line is waited for: far more than it takes, on a machine that is busy with all the
/// other tests.
const LINE: Duration = Duration::from_secs(60);

/// A place in a host's log, from which it is read on.
pub(crate) struct LogLines<'a> {
    log: &'a Log,
    read: usize,
}

impl LogLines<'_> {
    /// The next line that has all these words, waiting for it; what is before it is skipped.
    pub(crate) fn next(&mut self, words: &[&str]) -> String {
        let found = self.log.wait_from(self.read, LINE, |line| {
            words
                .iter()
                .all(|word| line.contains(word))
                .then(|| line.to_owned())
        });
        let Some((read, line)) = found else {
            panic!("a line with {words:?} comes:\n{}", self.log.text());
        };
        self.read = read;
        line
    }

    /// All lines until now that have not been read.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let state = self.log.state.lock().unwrap();
        let rest = state.lines[self.read..].to_vec();
        self.read = state.lines.len();
        rest
    }
}

/// What a process writes to its standard error, as it comes.
pub(super) struct Log {
    state: Mutex<LogState>,
    more: Condvar,
}

#[derive(Default)]
struct LogState {
    lines: Vec<String>,
    ended: bool,
}

impl Log {
    pub(super) fn follow(stderr: ChildStderr) -> Arc<Self> {
        let log = Arc::new(Self {
            state: Mutex::default(),
            more: Condvar::new(),
        });
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = line.map(|line| String::from_utf8_lossy(&line).into_owned());
                writer
                    .state
                    .lock()
                    .unwrap()
                    .lines
                    .push(line.unwrap_or_default());
                writer.more.notify_all();
            }
            writer.state.lock().unwrap().ended = true;
            writer.more.notify_all();
        });
        log
    }

    /// The lines from now on.
    pub(super) fn lines_from_now(&self) -> LogLines<'_> {
        LogLines {
            read: self.state.lock().unwrap().lines.len(),
            log: self,
        }
    }

    /// The first line that means something, before the process ends.
    pub(super) fn wait<T>(
        &self,
        limit: Duration,
        meaning: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        self.wait_from(0, limit, meaning).map(|(_, found)| found)
    }

    /// The same for the lines from `read` on, and where the one after it is.
    fn wait_from<T>(
        &self,
        mut read: usize,
        limit: Duration,
        mut meaning: impl FnMut(&str) -> Option<T>,
    ) -> Option<(usize, T)> {
        let deadline = Instant::now() + limit;
        let mut state = self.state.lock().unwrap();
        loop {
            while let Some(line) = state.lines.get(read) {
                read += 1;
                if let Some(found) = meaning(line) {
                    return Some((read, found));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.more.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Whether the process has closed its standard error in time: it has ended.
    pub(super) fn wait_end(&self, limit: Duration) -> bool {
        let state = self.state.lock().unwrap();
        self.more
            .wait_timeout_while(state, limit, |state| !state.ended)
            .unwrap()
            .0
            .ended
    }

    pub(super) fn text(&self) -> String {
        self.state
            .lock()
            .unwrap()
            .lines
            .iter()
            .fold(String::new(), |mut text, line| {
                let _infallible = writeln!(text, "{line}");
                text
            })
    }
}
