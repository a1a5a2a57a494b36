//! Files that the operator granted. Reading waits on a thread of its own: a file system may hang, a
//! call must not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Linker;

use super::HostState;
use crate::config::sidecar::Grants;
use crate::link::FileKind;
use crate::plugin::bindings::exporter::plugin::files::{self, FileError, FileMetadata, Usage};
use crate::plugin::grants::files::{self as granted, Refused};
use crate::plugin::grants::foreign::{ForeignAnswer, ForeignRefusal, foreign_files};
use crate::plugin::grants::{Interface, Question, STUCK};
use crate::plugin::interface::INTERFACE_VERSION;

/// A file system that takes longer is taken for stuck.
const FILE_SYSTEM_WAIT: Duration = Duration::from_secs(2);
/// One that had less time may be sound.
const STUCK_AFTER: Duration = Duration::from_millis(100);

impl files::Host for HostState {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, FileError> {
        let limit = self.max_input;
        let own = self.blocking(&path, move |grants, path| {
            granted::read(&grants.read, path, limit)
        });
        let found = match (own.await, foreign_files()) {
            (Err(Refused::NotPermitted(why)), Some(other)) => {
                match self.foreign(other.open(&path), why).await {
                    Ok(file) => {
                        let read =
                            move |_: &Grants, path: &str| granted::read_opened(file, path, limit);
                        self.blocking(&path, read).await
                    }
                    Err(refused) => Err(refused),
                }
            }
            (own, _) => own,
        };
        self.answer(found)
    }

    async fn metadata(&mut self, path: String) -> Result<FileMetadata, FileError> {
        let own = self.blocking(&path, |grants, path| granted::metadata(&grants.read, path));
        let found = match (own.await, foreign_files()) {
            (Err(Refused::NotPermitted(why)), Some(other)) => {
                self.foreign(other.metadata(&path), why).await
            }
            (own, _) => own,
        };
        let found = self.answer(found)?;
        Ok(FileMetadata {
            kind: match found.kind {
                FileKind::File => files::FileKind::File,
                FileKind::Directory => files::FileKind::Directory,
                FileKind::Other => files::FileKind::Other,
            },
            size: found.size,
            modified: found.modified,
        })
    }

    async fn list_dir(&mut self, path: String) -> Result<Vec<String>, FileError> {
        let own = self.blocking(&path, |grants, path| granted::list(&grants.read, path));
        let found = match (own.await, foreign_files()) {
            (Err(Refused::NotPermitted(why)), Some(other)) => {
                let names = self.foreign(other.list(&path), why).await;
                names.and_then(|names| granted::of_concern(&self.grants.read, &path, names))
            }
            (own, _) => own,
        };
        self.answer(found)
    }

    async fn file_system(&mut self, path: String) -> Result<Usage, FileError> {
        // To look at a file system takes no right to read.
        let look = |grants: &Grants, path: &str| granted::file_system(&grants.file_systems, path);
        let found = self
            .blocking_for(&path, self.file_system_share(), look)
            .await;
        let found = self.answer(found)?;
        // statfs(2): a fragment is the unit of the counts; file systems that have no fragments
        // leave it 0.
        let unit = match u64::try_from(found.f_frsize) {
            Ok(0) | Err(_) => u64::try_from(found.f_bsize).unwrap_or(0),
            Ok(unit) => unit,
        };
        const READ_ONLY: u64 = 1;
        Ok(Usage {
            total: found.f_blocks.saturating_mul(unit),
            free: found.f_bfree.saturating_mul(unit),
            available: found.f_bavail.saturating_mul(unit),
            files: found.f_files,
            files_free: found.f_ffree,
            kind: u64::try_from(found.f_type).unwrap_or(0),
            read_only: u64::try_from(found.f_flags).is_ok_and(|flags| flags & READ_ONLY != 0),
        })
    }
}

impl HostState {
    /// Runs `operate` on a thread that may wait, for as long as the call has.
    async fn blocking<T: Send + 'static>(
        &mut self,
        path: &str,
        operate: impl FnOnce(&Grants, &str) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let until = self.latest();
        self.blocking_for(path, until, operate).await
    }

    /// How long a call that asks about many file systems waits for one of them.
    fn file_system_share(&self) -> tokio::time::Instant {
        let (now, latest) = (tokio::time::Instant::now(), self.latest());
        now + (latest.saturating_duration_since(now) / 4).min(FILE_SYSTEM_WAIT)
    }

    /// The same until then. A path that did not answer is not waited for again at once.
    async fn blocking_for<T: Send + 'static>(
        &mut self,
        path: &str,
        until: tokio::time::Instant,
        operate: impl FnOnce(&Grants, &str) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        if let Err(since) = STUCK.check(path, Instant::now()) {
            let seconds = since.as_secs();
            return Err(Refused::Io(format!(
                "its file system has not answered for {seconds} s; it is asked again with back-off"
            )));
        }
        let (grants, asked) = (Arc::clone(&self.grants), path.to_owned());
        let question = Arc::new(Question::default());
        let known = Arc::clone(&question);
        let began = Instant::now();
        let work = self.waiting.run(move || {
            known.ask();
            let found = operate(&grants, &asked);
            STUCK.answered(&asked, &known);
            found
        });
        match tokio::time::timeout_at(until, work).await {
            Ok(Some(found)) => found,
            Ok(None) => Err(Refused::Io(
                "no thread is free to ask: too many file systems do not answer".to_owned(),
            )),
            Err(_) => {
                let now = Instant::now();
                if now.saturating_duration_since(began) >= STUCK_AFTER {
                    STUCK.give_up(path, &question, now);
                }
                Err(late())
            }
        }
    }

    /// What another process says, for as long as the call has. `why`: this one was refused.
    async fn foreign<T>(&mut self, answer: ForeignAnswer<T>, why: String) -> Result<T, Refused> {
        match tokio::time::timeout_at(self.latest(), answer).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(ForeignRefusal::Refused(refused))) => Err(refused),
            Ok(Err(ForeignRefusal::Nobody)) => Err(Refused::NotPermitted(why)),
            Err(_) => Err(late()),
        }
    }

    fn answer<T>(&mut self, found: Result<T, Refused>) -> Result<T, FileError> {
        self.has_read |= found.is_ok();
        found.map_err(|refused| match refused {
            Refused::Denied(what) => {
                self.deny(Interface::Files, &what);
                FileError::Denied(what)
            }
            Refused::NotFound => FileError::NotFound,
            Refused::TooLarge(limit) => FileError::TooLarge(limit),
            Refused::Io(why) | Refused::NotPermitted(why) => FileError::Io(why),
        })
    }
}

fn late() -> Refused {
    Refused::Io("it took longer than the call may".to_owned())
}

/// The interface as decoders and shapers see it, should they call what only the collector of their
/// component may.
pub(super) fn add_denied(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    const WHY: &str = "files are for collectors: decoders and shapers have none";
    fn denied(state: &HostState) -> FileError {
        state.deny(Interface::Files, WHY);
        FileError::Denied(WHY.to_owned())
    }
    let mut files = linker.instance(&format!("exporter:plugin/files@{INTERFACE_VERSION}"))?;
    files.func_wrap("read", |store, (_,): (String,)| {
        Ok((Err::<Vec<u8>, _>(denied(store.data())),))
    })?;
    files.func_wrap("metadata", |store, (_,): (String,)| {
        Ok((Err::<FileMetadata, _>(denied(store.data())),))
    })?;
    files.func_wrap("list-dir", |store, (_,): (String,)| {
        Ok((Err::<Vec<String>, _>(denied(store.data())),))
    })?;
    files.func_wrap("file-system", |store, (_,): (String,)| {
        Ok((Err::<Usage, _>(denied(store.data())),))
    })
}
