//! A Prometheus whose connections may be cut, since the server that has taken one may be killed. It
//! asks again at once; what may not happen is that nobody takes a connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::harness::{Host, http, within};

/// From the start of one scrape to that of the next: 20 a second.
const INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct Scrapes {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub(super) struct Seen {
    pub(super) answers: usize,
    /// Connections that were taken and then cut.
    pub(super) cut: usize,
    /// Of all that were answered.
    pub(super) slowest: Duration,
    /// When the last one that was answered was asked, and when it was answered.
    last: Option<(Instant, Instant)>,
    complaints: Vec<String>,
}

impl Scrapes {
    /// `check` is given each body.
    pub(super) fn start(
        host: &Host,
        mut check: impl FnMut(&str) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let address = host.address();
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (stopped, shared_seen) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let response = http::whole(address, "/metrics");
                let mut seen = shared_seen.lock().unwrap();
                let Some(response) = response else {
                    seen.cut += 1;
                    drop(seen);
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let checked = match response.status {
                    200 => check(response.text()),
                    status => Err(format!("status {status}: {}", response.text())),
                };
                seen.answers += 1;
                seen.slowest = seen.slowest.max(asked.elapsed());
                seen.last = Some((asked, Instant::now()));
                if let Err(complaint) = checked {
                    let number = seen.answers;
                    seen.complaints
                        .push(format!("answer {number}: {complaint}"));
                }
                drop(seen);
                thread::sleep((asked + INTERVAL).saturating_duration_since(Instant::now()));
            }
        });
        Self {
            stop,
            seen,
            thread: Some(thread),
        }
    }

    /// Waits for an answer to what was asked after this moment. How long it took from then on.
    pub(super) fn answered_after(&self, moment: Instant, limit: Duration) -> Duration {
        within(limit, "a scrape is answered", || {
            let (asked, answered) = self.seen.lock().unwrap().last?;
            (asked >= moment).then(|| answered - moment)
        })
    }

    /// Panics if anything was wrong.
    pub(super) fn finish(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok(), "every connection is taken");
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        assert!(seen.answers > 0, "there was time for a scrape");
        assert!(
            seen.complaints.is_empty(),
            "of {} answers: {:#?}",
            seen.answers,
            seen.complaints.iter().take(5).collect::<Vec<_>>()
        );
        seen
    }
}

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
