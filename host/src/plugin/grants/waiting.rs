//! Threads on which a plugin's questions wait for the system: files and names.
//!
//! They are no threads of the runtime's: one that a file system holds for ever is given up, and
//! keeps nobody from having another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

/// Questions at once, of one plugin.
const MAX_PER_PLUGIN: usize = 8;
/// Of all plugins.
const MAX_TOTAL: usize = 16;
static ALL: Semaphore = Semaphore::const_new(MAX_TOTAL);

/// Threads, of which those beyond `MAX_TOTAL` wait for what nobody waits for any more.
const MAX_THREADS: usize = 64;
static THREADS: AtomicUsize = AtomicUsize::new(0);
/// Threads without work that are kept.
const MAX_IDLE: usize = 4;
static IDLE: Mutex<Vec<SyncSender<Job>>> = Mutex::new(Vec::new());

type Job = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(in crate::plugin) struct Waiting(Arc<Semaphore>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_PER_PLUGIN)))
    }
}

impl Waiting {
    /// Runs `work` on another thread, once there is one. It goes on there if nobody waits for it
    /// any more. None: it panicked, or there is no thread to be had.
    pub(in crate::plugin) fn run<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let threads = Arc::clone(&self.0);
        async move {
            let _permit = threads.acquire_owned().await.ok()?;
            let _of_all = ALL.acquire().await.ok()?;
            let (sender, done) = oneshot::channel();
            let job = Box::new(move || {
                // Fails if nobody waits any more.
                let _ = sender.send(work());
            });
            hand_over(job)?;
            done.await.ok()
        }
    }
}

/// Runs `work`, which may wait for the system, on another thread. False: there is none to be had.
pub(crate) fn on_waiting_thread(work: impl FnOnce() + Send + 'static) -> bool {
    hand_over(Box::new(work)).is_some()
}

/// Gives a job to a thread that has none, or to a new one.
fn hand_over(mut job: Job) -> Option<()> {
    loop {
        let Some(idle) = IDLE.lock().pop() else {
            break;
        };
        match idle.send(job) {
            Ok(()) => return Some(()),
            // It panicked.
            Err(unsent) => job = unsent.0,
        }
    }
    if THREADS.fetch_add(1, Ordering::Relaxed) >= MAX_THREADS {
        THREADS.fetch_sub(1, Ordering::Relaxed);
        return None;
    }
    let counted = Counted;
    let started = thread::Builder::new()
        .name("plugin-files".into())
        .spawn(move || {
            let _counted = counted;
            work(job);
        });
    started.ok().map(drop)
}

fn work(mut job: Job) {
    loop {
        job();
        let (sender, next) = sync_channel(1);
        {
            let mut idle = IDLE.lock();
            if idle.len() >= MAX_IDLE {
                return;
            }
            idle.push(sender);
        }
        match next.recv() {
            Ok(given) => job = given,
            Err(_) => return,
        }
    }
}

/// One of `THREADS`, until it ends.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_that_hangs_takes_no_turn_of_the_others() {
        let waiting = Waiting::default();
        let mut hanging = Vec::new();
        for _ in 0..2 * MAX_PER_PLUGIN {
            let (go_on, stop) = channel::<()>();
            hanging.push(go_on);
            let work = waiting.run(move || stop.recv().is_ok());
            let late = tokio::time::timeout(Duration::from_millis(5), work).await;
            assert!(late.is_err());
        }
        assert_eq!(waiting.run(|| 7).await, Some(7));
        // Its thread is gone, and the next one has another.
        assert_eq!(waiting.run(|| -> u8 { panic!("as asked") }).await, None);
        assert_eq!(waiting.run(|| 8).await, Some(8));
        drop(hanging);
    }
}
