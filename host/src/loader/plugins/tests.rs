//! Directories of plugins whose compiler only writes down what it was asked for.

mod cache;
mod files;

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::link::sealed;
use crate::plugin::{Compile, CompileError};

/// "Compiles" everything but what starts with `bad`, and what starts with `lost` not the first
/// time.
#[derive(Default)]
struct Pretender {
    /// The names of what it was given, in this order.
    asked: RefCell<Vec<String>>,
    lost: Cell<bool>,
}

impl Pretender {
    /// What it was asked for since the last time, less the standard plugin.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.take();
        asked.retain(|name| name != "standard");
        asked
    }
}

impl Compile for Pretender {
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError> {
        self.asked.borrow_mut().push(name.to_owned());
        if bytes.starts_with(b"bad") {
            return Err(CompileError::Refused("it is bad".to_owned()));
        }
        if bytes.starts_with(b"lost") && !self.lost.replace(true) {
            return Err(CompileError::Lost("it was lost".to_owned()));
        }
        Ok(sealed(name, &code(bytes)).unwrap())
    }
}

/// What the pretender makes of a component.
fn code(bytes: &[u8]) -> Vec<u8> {
    [b"code of ", bytes].concat()
}

/// A directory with these files, and its real path.
fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let path = directory.path().canonicalize().unwrap();
    (directory, path)
}

fn write(directory: &Path, name: &str, content: &str) {
    fs::write(directory.join(name), content).unwrap();
}
