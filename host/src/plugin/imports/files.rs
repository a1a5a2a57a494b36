//! Files that the operator granted.

use wasmtime::component::Linker;

use super::HostState;
use crate::plugin::bindings::exporter::plugin::files::{self, FileError, FileMetadata, Usage};
use crate::plugin::component::INTERFACE_VERSION;
use crate::plugin::grants::Interface;

const NOT_GRANTED: &str = "not granted";

impl files::Host for HostState {
    async fn read(&mut self, path: String) -> Result<Vec<u8>, FileError> {
        self.deny(Interface::Files, &path);
        Err(denied(&path))
    }

    async fn metadata(&mut self, path: String) -> Result<FileMetadata, FileError> {
        self.deny(Interface::Files, &path);
        Err(denied(&path))
    }

    async fn list_dir(&mut self, path: String) -> Result<Vec<String>, FileError> {
        self.deny(Interface::Files, &path);
        Err(denied(&path))
    }

    async fn file_system(&mut self, path: String) -> Result<Usage, FileError> {
        self.deny(Interface::Files, &path);
        Err(denied(&path))
    }
}

fn denied(path: &str) -> FileError {
    FileError::Denied(format!("{path}: {NOT_GRANTED}"))
}

/// The interface as decoders and shapers see it, should they call what only the collector of their component may.
pub(super) fn add_denied(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    const WHY: &str = "files are for collectors: decoders and shapers have none";
    fn denied() -> FileError {
        FileError::Denied(WHY.to_owned())
    }
    let mut files = linker.instance(&format!("exporter:plugin/files@{INTERFACE_VERSION}"))?;
    files.func_wrap("read", |_, (_,): (String,)| {
        Ok((Err::<Vec<u8>, _>(denied()),))
    })?;
    files.func_wrap("metadata", |_, (_,): (String,)| {
        Ok((Err::<FileMetadata, _>(denied()),))
    })?;
    files.func_wrap("list-dir", |_, (_,): (String,)| {
        Ok((Err::<Vec<String>, _>(denied()),))
    })?;
    files.func_wrap("file-system", |_, (_,): (String,)| {
        Ok((Err::<Usage, _>(denied()),))
    })
}
