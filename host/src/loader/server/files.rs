//! Granted files that the server's user may not open: the loader opens them for it, on a thread of
//! its own for each, since a file system may hang.
//!
//! Only what a sidecar grants is opened, by the same rules as the server's: see `granted`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use parking_lot::RwLock;

use crate::config::sidecar::PathPattern;
use crate::link::{FileAnswer, FileRefusal, FileWish, Sender, ToServer};
use crate::plugin::granted::{self, Refused};
use crate::plugin::on_waiting_thread;

/// Questions that may wait.
const MAX_WAITING: usize = 64;

/// What all sidecars together grant now.
pub(crate) type Granted = Arc<RwLock<Arc<Vec<PathPattern>>>>;

pub(super) struct FileQuestion {
    pub(super) id: u64,
    pub(super) path: String,
    pub(super) wish: FileWish,
    pub(super) sender: Sender,
}

impl FileQuestion {
    pub(super) fn refuse(&self, why: &str) {
        self.reply(Err(FileRefusal::Io(why.to_owned())), None);
    }

    fn reply(&self, answer: Result<FileAnswer, FileRefusal>, file: Option<&OwnedFd>) {
        let message = ToServer::File {
            id: self.id,
            answer,
        };
        let descriptors: Vec<_> = file.map(AsFd::as_fd).into_iter().collect();
        if let Err(error) = self.sender.send(&message, &descriptors) {
            tracing::debug!(%error, "a file does not reach the server");
        }
    }

    fn answer(&self, granted: &Granted) {
        // A file system may hang: whoever has new grants does not wait for it.
        let granted = Arc::clone(&granted.read());
        match self.look(&granted) {
            Ok((answer, file)) => self.reply(Ok(answer), file.as_ref()),
            Err(refused) => self.reply(
                Err(match refused {
                    Refused::Denied(what) => FileRefusal::Denied(what),
                    Refused::NotFound => FileRefusal::NotFound,
                    Refused::TooLarge(limit) => FileRefusal::TooLarge(limit),
                    Refused::Io(why) | Refused::NotPermitted(why) => FileRefusal::Io(why),
                }),
                None,
            ),
        }
    }

    fn look(&self, read: &[PathPattern]) -> Result<(FileAnswer, Option<OwnedFd>), Refused> {
        let path = self.path.as_str();
        match self.wish {
            FileWish::Read => {
                let file = granted::open(read, path)?;
                Ok((FileAnswer::Opened, Some(file)))
            }
            FileWish::Metadata => {
                let found = granted::metadata(read, path)?;
                let answer = FileAnswer::Metadata {
                    kind: found.kind,
                    size: found.size,
                    modified: found.modified,
                };
                Ok((answer, None))
            }
            FileWish::List => Ok((FileAnswer::List(granted::list(read, path)?), None)),
        }
    }
}

/// Starts the thread.
pub(super) fn start(granted: Granted) -> io::Result<SyncSender<FileQuestion>> {
    let (sender, questions): (_, Receiver<FileQuestion>) = sync_channel(MAX_WAITING);
    std::thread::Builder::new()
        .name("server-files".into())
        .spawn(move || {
            for question in questions {
                let (question, granted) = (Arc::new(question), Arc::clone(&granted));
                let asked = Arc::clone(&question);
                if !on_waiting_thread(move || asked.answer(&granted)) {
                    question.refuse("no thread is free: too many file systems do not answer");
                }
            }
        })?;
    Ok(sender)
}
