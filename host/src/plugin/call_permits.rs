//! How many calls of one plugin may run at once.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::CallError;

/// Collectors spend their time waiting, each with a store of its own: enough for a handful of slow
/// targets at once.
const COLLECTORS: usize = 8;
/// How long a decoder's call waits for its turn: those before it are ended by their CPU limit at
/// the latest.
const MAX_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct CallPermits {
    /// Of decoders and shapers. None: as many as there are.
    calls: Option<Arc<Semaphore>>,
    /// The same, where the operator set the number.
    collectors: Arc<Semaphore>,
    count: usize,
}

/// The right to make a call, until it is dropped.
#[derive(Debug)]
pub(crate) struct CallPermit(
    #[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl CallPermits {
    /// `count`: of all calls together, if there is a bound.
    pub(super) fn new(count: Option<usize>) -> Self {
        let calls = count.map(|count| Arc::new(Semaphore::new(count)));
        let of_collectors = || Arc::new(Semaphore::new(COLLECTORS));
        Self {
            collectors: calls.as_ref().map_or_else(of_collectors, Arc::clone),
            calls,
            count: count.unwrap_or(COLLECTORS),
        }
    }

    /// For a decoder or shaper. Blocks.
    pub(super) fn take(&self) -> Result<CallPermit, CallError> {
        let Some(calls) = &self.calls else {
            return Ok(CallPermit(None));
        };
        let permit = Arc::clone(calls).acquire_owned();
        match block_on(permit, Instant::now() + MAX_WAIT) {
            Some(Ok(permit)) => Ok(CallPermit(Some(permit))),
            _ => Err(CallError::Busy(self.count)),
        }
    }

    /// For a collector, which waits for its turn until `deadline`.
    pub(super) async fn take_until(&self, deadline: Instant) -> Result<CallPermit, CallError> {
        let permit = Arc::clone(&self.collectors).acquire_owned();
        match tokio::time::timeout_at(deadline.into(), permit).await {
            Ok(Ok(permit)) => Ok(CallPermit(Some(permit))),
            _ => Err(CallError::Busy(self.count)),
        }
    }
}

/// Waits on this thread, which may be one of a runtime's.
fn block_on<T>(future: impl Future<Output = T>, until: Instant) -> Option<T> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        let left = until.checked_duration_since(Instant::now())?;
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_call_waits_for_one_before_it() {
        let call_permits = CallPermits::new(Some(1));
        let call_permit = call_permits.take().unwrap();
        thread::scope(|scope| {
            let next = scope.spawn(|| call_permits.take().map(drop));
            drop(call_permit);
            next.join().unwrap().unwrap();
        });
        let _slot = call_permits.take().unwrap();
        let started = Instant::now();
        assert!(matches!(call_permits.take(), Err(CallError::Busy(1))));
        assert!(started.elapsed() >= MAX_WAIT);
        let soon = Instant::now() + Duration::from_millis(20);
        let late = crate::plugin::tests::run(call_permits.take_until(soon));
        assert!(matches!(late, Err(CallError::Busy(1))));
    }

    #[test]
    fn without_a_bound_only_collectors_have_one() {
        let call_permits = CallPermits::new(None);
        let calls: Vec<CallPermit> = (0..100).map(|_| call_permits.take().unwrap()).collect();
        assert_eq!(calls.len(), 100);
        crate::plugin::tests::run(async {
            let soon = Instant::now() + Duration::from_millis(20);
            let mut held = Vec::new();
            while let Ok(call_permit) = call_permits.take_until(soon).await {
                held.push(call_permit);
            }
            assert_eq!(held.len(), COLLECTORS);
        });
    }
}
