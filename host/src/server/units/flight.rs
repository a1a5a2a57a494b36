//! Work that is shared by those who ask for it at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Runs its work for one after the other, and once for all who wait.
///
/// What `get` gives was begun after `get` was called: nobody gets an answer that is older than the
/// question. Whoever comes while the work is being done waits for its end, and all who wait then
/// share one run. So however many scrapers there are, each waits for two runs at most.
#[derive(Debug)]
pub(super) struct SingleFlight<T> {
    turn: Mutex<Turn<T>>,
    /// Those inside of `get`.
    waiters: AtomicUsize,
}

#[derive(Debug)]
struct Turn<T> {
    /// The last run, while there is somebody who may take it: when it began, and what it gave.
    latest: Option<(Instant, Flight<T>)>,
    took: Duration,
}

/// What `get` gives.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    pub(crate) result: Arc<T>,
    recorded: Arc<AtomicBool>,
}

impl<T> Flight<T> {
    fn new(result: T) -> Self {
        Self {
            result: Arc::new(result),
            recorded: Arc::default(),
        }
    }

    /// True for the first who asks of those who share: what the work has counted is entered once.
    /// Not for whoever did the work, who may have run out of time.
    pub(crate) fn take_recording(&self) -> bool {
        !self.recorded.swap(true, Ordering::Relaxed)
    }
}

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self {
            result: Arc::clone(&self.result),
            recorded: Arc::clone(&self.recorded),
        }
    }
}

/// Long work waits a moment before it begins, so that those who come together share it: for this
/// part of its own time, and so long at most.
const PAUSE_PART: u32 = 16;
const MAX_PAUSE: Duration = Duration::from_millis(5);
/// For less it is not worth going to sleep.
const SHORTEST_PAUSE: Duration = Duration::from_micros(200);

impl<T> SingleFlight<T> {
    /// Blocks. None: that is what the work gave.
    pub(super) fn get(&self, work: impl FnOnce() -> Option<T>) -> Option<Flight<T>> {
        let asked = Instant::now();
        let waiting = WaiterGuard::new(&self.waiters);
        let mut turn = self.turn.lock();
        // Dropped before the lock is: the next one sees who is still there.
        let _waiting = waiting;
        let shared = turn.latest.take();
        if !self.is_only_waiter() {
            turn.latest = shared.clone();
        }
        let shared = shared.filter(|(begun, _)| *begun >= asked);
        if let Some((_, share)) = shared {
            return Some(share);
        }
        turn.latest = None;
        let pause = (turn.took / PAUSE_PART).min(MAX_PAUSE);
        if pause >= SHORTEST_PAUSE {
            thread::sleep(pause);
        }
        let begun = Instant::now();
        let share = Flight::new(work()?);
        turn.took = begun.elapsed();
        if !self.is_only_waiter() {
            turn.latest = Some((begun, share.clone()));
        }
        Some(share)
    }

    /// Nobody else is inside of `get`, and who comes now would want a newer run.
    fn is_only_waiter(&self) -> bool {
        self.waiters.load(Ordering::SeqCst) == 1
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            turn: Mutex::new(Turn {
                latest: None,
                took: Duration::ZERO,
            }),
            waiters: AtomicUsize::new(0),
        }
    }
}

/// Counts a caller for as long as it is inside.
struct WaiterGuard<'a>(&'a AtomicUsize);

impl<'a> WaiterGuard<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_after_the_other_each_does_its_own_work() {
        let shared = SingleFlight::default();
        for number in 0..3 {
            let share = shared.get(|| Some(number)).unwrap();
            assert_eq!((*share.result, share.take_recording()), (number, true));
        }
        assert!(shared.turn.lock().latest.is_none(), "nothing is kept");
    }

    /// While the first run goes on, five more ask: they share a second one, which has begun after
    /// all of them came.
    #[test]
    fn those_who_wait_share_the_next_run() {
        let shared = SingleFlight::default();
        let (go_on, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let runs = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (shared, runs) = (&shared, &runs);
            let first = scope.spawn(move || {
                *shared
                    .get(|| {
                        begun.send(()).unwrap();
                        wait.recv().unwrap();
                        Some(runs.fetch_add(1, Ordering::SeqCst))
                    })
                    .unwrap()
                    .result
            });
            has_begun.recv().unwrap();
            let others: Vec<_> = (0..5)
                .map(|_| {
                    scope.spawn(|| {
                        shared
                            .get(|| Some(runs.fetch_add(1, Ordering::SeqCst)))
                            .unwrap()
                    })
                })
                .collect();
            while shared.waiters.load(Ordering::SeqCst) < 6 {
                thread::yield_now();
            }
            go_on.send(()).unwrap();
            assert_eq!(first.join().unwrap(), 0);
            let shares: Vec<_> = others.into_iter().map(|one| one.join().unwrap()).collect();
            assert!(shares.iter().all(|share| *share.result == 1));
            assert_eq!(
                shares.iter().filter(|share| share.take_recording()).count(),
                1
            );
        });
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(shared.turn.lock().latest.is_none(), "nothing is kept");
    }
}
