//! Granted files that this process' user may not open, and another process may.
//!
//! Whoever runs plugins without the rights of the operator's grants says here who has them. It is
//! asked only about what a grant covers, and after this process was refused.

use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::RwLock;

use super::files::{Metadata, Refused};

/// Gives answers about files in the stead of this process.
pub(crate) trait ForeignFiles: Send + Sync {
    /// Opened for reading.
    fn open(&self, path: &str) -> ForeignAnswer<File>;
    fn metadata(&self, path: &str) -> ForeignAnswer<Metadata>;
    /// The names in a directory.
    fn list(&self, path: &str) -> ForeignAnswer<Vec<String>>;
}

pub(crate) type ForeignAnswer<T> =
    Pin<Box<dyn Future<Output = Result<T, ForeignRefusal>> + Send + 'static>>;

/// Why there is nothing to be had of another process either.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ForeignRefusal {
    /// It was asked, and this is its answer.
    Refused(Refused),
    /// There is nobody to ask.
    Nobody,
}

/// There is one process' user, and so one answer for all plugins.
static FOREIGN: RwLock<Option<Arc<dyn ForeignFiles>>> = RwLock::new(None);

/// From now on `files` is asked for what is refused to this process.
pub(crate) fn set_foreign_files(files: Arc<dyn ForeignFiles>) {
    *FOREIGN.write() = Some(files);
}

pub(in crate::plugin) fn foreign_files() -> Option<Arc<dyn ForeignFiles>> {
    FOREIGN.read().clone()
}
