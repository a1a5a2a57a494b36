//! What the server asks of the loader, and who waits for the answers.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::link::{FileAnswer, FileRefusal, FileWish, SendError, Sender, ToLoader};
use crate::web::ReloadAnswer;

/// Requests that wait for a reload: they hold a connection each, and no thread.
const MAX_RELOADS: usize = 64;

/// The way to the loader. Nothing in here blocks.
pub(super) struct Loader {
    sender: Sender,
    numbers: AtomicU64,
    reloads: Waiting<Result<String, String>>,
    files: Waiting<FileFound>,
}

/// An answer to `ToLoader::File`, with the descriptor of `FileAnswer::Opened`.
pub(super) type FileFound = Result<(FileAnswer, Option<OwnedFd>), FileRefusal>;

/// Those who wait, by the number of their question. None: nothing comes any more.
type Waiting<T> = Mutex<Option<HashMap<u64, oneshot::Sender<T>>>>;

/// Why there is no answer.
enum Unanswered {
    /// The loader is gone.
    Lost,
    TooMany,
}

/// Gives the place of somebody who waits no more to nobody.
struct Waiter<'a, T>(&'a Waiting<T>, u64);

impl Loader {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            sender,
            numbers: AtomicU64::new(1),
            reloads: Mutex::new(Some(HashMap::new())),
            files: Mutex::new(Some(HashMap::new())),
        }
    }

    pub(super) fn say(&self, message: &ToLoader) {
        match self.sender.send(message, &[]) {
            // The end is on its way here, too.
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => tracing::error!("cannot tell the loader: {error}"),
        }
    }

    /// Has the directories read, and waits so long for what comes of it.
    pub(super) async fn reload(&self, limit: Duration) -> ReloadAnswer {
        let question = |id| ToLoader::Reload { id };
        let asked = self.ask(&self.reloads, MAX_RELOADS, question);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(Ok(text))) => ReloadAnswer::Done(text),
            Ok(Ok(Err(text))) => ReloadAnswer::Failed(text),
            Ok(Err(Unanswered::Lost)) => ReloadAnswer::Failed(
                "the loader ended before the reload did, see the log\n".to_owned(),
            ),
            Ok(Err(Unanswered::TooMany)) => {
                // Those that wait may be about what was there before.
                self.say(&question(self.numbers.fetch_add(1, Ordering::Relaxed)));
                ReloadAnswer::NotYet(format!(
                    "{MAX_RELOADS} requests wait for a reload already: it will be done, see the log for what comes of it\n"
                ))
            }
            Err(_) => ReloadAnswer::NotYet(format!(
                "the reload takes longer than {} s, it or one before it: it goes on, see the log for what comes of it\n",
                limit.as_secs()
            )),
        }
    }

    pub(super) fn reloaded(&self, id: u64, outcome: Result<String, String>) {
        answer(&self.reloads, id, outcome);
    }

    /// Asks for a granted file that this process may not open. None: there is nobody to ask.
    pub(super) async fn file(&self, path: String, wish: FileWish) -> Option<FileFound> {
        let question = |id| ToLoader::File { id, path, wish };
        self.ask(&self.files, usize::MAX, question).await.ok()
    }

    pub(super) fn file_found(&self, id: u64, found: FileFound) {
        answer(&self.files, id, found);
    }

    /// Nothing comes any more: whoever waits is told.
    pub(super) fn disconnect(&self) {
        *self.reloads.lock() = None;
        *self.files.lock() = None;
    }

    async fn ask<T>(
        &self,
        waiting: &Waiting<T>,
        max: usize,
        question: impl FnOnce(u64) -> ToLoader,
    ) -> Result<T, Unanswered> {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match &mut *waiting.lock() {
            None => return Err(Unanswered::Lost),
            Some(all) if all.len() >= max => return Err(Unanswered::TooMany),
            Some(all) => drop(all.insert(id, sender)),
        }
        // Whoever asked may be gone before there is an answer.
        let _waiter = Waiter(waiting, id);
        self.say(&question(id));
        answer.await.map_err(|_| Unanswered::Lost)
    }
}

impl<T> Drop for Waiter<'_, T> {
    fn drop(&mut self) {
        if let Some(waiting) = &mut *self.0.lock() {
            waiting.remove(&self.1);
        }
    }
}

fn answer<T>(waiting: &Waiting<T>, id: u64, answer: T) {
    let asked = waiting.lock().as_mut().and_then(|all| all.remove(&id));
    if let Some(asked) = asked {
        // Whoever asked may have given up just now.
        let _ = asked.send(answer);
    }
}
