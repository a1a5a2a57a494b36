//! How long a guest has run, in CPU time of its threads: what other processes and other guests take
//! is not its doing, and neither is what it waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

/// Of an asynchronous call, which counts only while it is being polled.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    /// Up to the last pause.
    spent: Duration,
    /// It wanted to run, and had no thread or no CPU.
    starved: Duration,
    /// The CPU time of the thread that polls.
    resumed: Option<Duration>,
    /// It has wanted to run since then.
    woken: Option<Instant>,
}

/// The CPU time of this thread.
pub(super) fn thread_time() -> Duration {
    // The clock is there on every Linux: what can fail in here does not.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Notes when a call wants to run.
struct Woken {
    meter: Arc<Meter>,
    waker: Waker,
}

impl Meter {
    pub(super) fn spent(&self) -> Duration {
        let reading = self.0.lock();
        let running = reading
            .resumed
            .map(|resumed| thread_time().saturating_sub(resumed));
        reading.spent + running.unwrap_or_default()
    }

    /// How long it has wanted to run and could not.
    pub(super) fn starved(&self) -> Duration {
        let reading = self.0.lock();
        let waits = reading.woken.map(|since| since.elapsed());
        reading.starved + waits.unwrap_or_default()
    }

    /// Polls with the meter running.
    pub(super) fn poll<F: Future>(
        self: &Arc<Self>,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<F::Output> {
        let (began, resumed) = (Instant::now(), thread_time());
        {
            let mut reading = self.0.lock();
            reading.resumed = Some(resumed);
            if let Some(woken) = reading.woken.take() {
                reading.starved += began.saturating_duration_since(woken);
            }
        }
        let waker = Waker::from(Arc::new(Woken {
            meter: Arc::clone(self),
            waker: context.waker().clone(),
        }));
        let polled = future.poll(&mut Context::from_waker(&waker));
        let spent = thread_time().saturating_sub(resumed);
        let mut reading = self.0.lock();
        reading.resumed = None;
        reading.spent += spent;
        reading.starved += began.elapsed().saturating_sub(spent);
        polled
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.meter.0.lock().woken.get_or_insert_with(Instant::now);
        self.waker.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computing_waiting_and_starving_are_told_apart() {
        let meter = Arc::new(Meter::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut turns = 0;
        let mut call = std::pin::pin!(std::future::poll_fn(|context: &mut Context<'_>| {
            turns += 1;
            let begun = thread_time();
            while thread_time() - begun < Duration::from_millis(20) {}
            if turns < 3 {
                context.waker().wake_by_ref();
            }
            if turns < 4 {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }));
        let mut poll = || meter.poll(call.as_mut(), &mut context).is_ready();
        let pause = || std::thread::sleep(Duration::from_millis(50));
        assert!(!poll());
        pause();
        assert!(!poll());
        pause();
        assert!(!poll());
        let (spent, starved) = (meter.spent(), meter.starved());
        assert!(spent >= Duration::from_millis(60), "{spent:?}");
        assert!(starved >= Duration::from_millis(100), "{starved:?}");
        // It was not woken: it waits.
        pause();
        assert_eq!(meter.starved(), starved);
        assert!(poll());
    }
}
