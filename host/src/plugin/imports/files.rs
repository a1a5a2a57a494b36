//! Files that the operator granted. Reading waits on a thread of its own: a file system may hang, a
//! call must not.

use std::sync::Arc;

use rustix::fs::FileType;
use wasmtime::component::Linker;

use super::HostState;
use crate::config::sidecar::Grants;
use crate::plugin::bindings::exporter::plugin::files::{
    self, FileError, FileKind, FileMetadata, Usage,
};
use crate::plugin::component::INTERFACE_VERSION;
use crate::plugin::grants::Interface;
use crate::plugin::grants::files::{self as granted, Refused};
use crate::plugin::grants::foreign::{ForeignAnswer, ForeignRefusal, foreign_files};

impl files::Host for HostState {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, FileError> {
        let limit = self.most_input;
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
                FileType::RegularFile => FileKind::File,
                FileType::Directory => FileKind::Directory,
                _ => FileKind::Other,
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
        let found = self.blocking(&path, look).await;
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
        let (grants, path) = (Arc::clone(&self.grants), path.to_owned());
        let work = self.waiting.run(move || operate(&grants, &path));
        match tokio::time::timeout_at(self.latest(), work).await {
            Ok(Some(found)) => found,
            Ok(None) => Err(Refused::Io("the host failed, see its log".to_owned())),
            Err(_) => Err(late()),
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
