//! Threads on which a plugin's questions wait for the system: files and names.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of one plugin. A file system that hangs keeps a thread for good, and there are not many in the pool.
const MOST: usize = 16;

#[derive(Debug)]
pub(in crate::plugin) struct Waiting(Arc<Semaphore>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Waiting {
    /// Runs `work` on another thread, once there is one. It goes on there if nobody waits for it any more. None: it panicked.
    pub(in crate::plugin) fn run<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let threads = Arc::clone(&self.0);
        let work = move |permit: OwnedSemaphorePermit| {
            let done = work();
            drop(permit);
            done
        };
        async move {
            let permit = threads.acquire_owned().await.ok()?;
            tokio::task::spawn_blocking(move || work(permit)).await.ok()
        }
    }
}
