//! Reading single files, for the tests of this room.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{UnitConfig, read_unit};

/// All that a unit needs.
pub(super) const COUNTER: &str = "metrics: {counters: [{name: c, help: h}]}";

/// A file with which nothing is wrong.
pub(super) fn good(yaml: &str) -> UnitConfig {
    let read = read_unit("sub/u", &file(), yaml.as_bytes(), false).unwrap();
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    read.config
}

/// What is wrong with a file: one line a problem, less the file's name.
pub(super) fn diagnostics(yaml: &str) -> String {
    let list = match read_unit("sub/u", &file(), yaml.as_bytes(), false) {
        Ok(read) => read.warnings,
        Err(unreadable) => unreadable.diagnostics,
    };
    let name = file().display().to_string();
    let lines: Vec<String> = list
        .iter()
        .map(|diagnostic| diagnostic.to_string().replacen(&name, "", 1))
        .collect();
    lines.join("\n")
}

fn file() -> Arc<PathBuf> {
    Arc::new(PathBuf::from("conf.d/sub/u.yaml"))
}
