//! How long a guest has run that also waits: an asynchronous call counts only while it is being
//! polled.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Meter(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    /// Up to the last pause.
    spent: Duration,
    resumed: Option<Instant>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn spent(&self) -> Duration {
        let reading = self.0.lock();
        let running = reading.resumed.map(|resumed| resumed.elapsed());
        reading.spent + running.unwrap_or_default()
    }

    /// Polls with the meter running.
    pub(super) fn poll<F: Future>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.0.lock().resumed = Some(Instant::now());
        let polled = future.poll(context);
        let mut reading = self.0.lock();
        if let Some(resumed) = reading.resumed.take() {
            reading.spent += resumed.elapsed();
        }
        polled
    }
}
