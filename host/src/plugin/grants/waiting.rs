//! Threads on which a plugin's questions wait for the system: files and names.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Of one plugin. A file system that hangs keeps a thread for good, and there are not many in the
/// pool.
const MOST: usize = 8;
/// Of all plugins: scrapes need threads of the same pool (see `serve`).
const MOST_OF_ALL: usize = 16;
static ALL: Semaphore = Semaphore::const_new(MOST_OF_ALL);

#[derive(Debug)]
pub(in crate::plugin) struct Waiting(Arc<Semaphore>);

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Waiting {
    /// Runs `work` on another thread, once there is one. It goes on there if nobody waits for it
    /// any more. None: it panicked.
    pub(in crate::plugin) fn run<T, W>(
        &self,
        work: W,
    ) -> impl Future<Output = Option<T>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let threads = Arc::clone(&self.0);
        let work = move |permit: OwnedSemaphorePermit, of_all: SemaphorePermit<'static>| {
            let done = work();
            drop((permit, of_all));
            done
        };
        async move {
            let permit = threads.acquire_owned().await.ok()?;
            let of_all = ALL.acquire().await.ok()?;
            let work = move || work(permit, of_all);
            tokio::task::spawn_blocking(work).await.ok()
        }
    }
}
