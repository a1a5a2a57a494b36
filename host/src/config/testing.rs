//! Reading single files, for the tests of this room.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{Strictness, UnitConfig, read_unit};

/// All that a unit needs.
pub(super) const COUNTER: &str = "metrics: {counters: [{name: c, help: h}]}";

/// A file with which nothing is wrong.
pub(super) fn good(yaml: &str) -> UnitConfig {
    let read = read_unit("sub/u", &file(), yaml.as_bytes(), Strictness::default()).unwrap();
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    assert!(
        read.config.left_out.is_empty(),
        "{:?}",
        read.config.left_out
    );
    read.config
}

/// What is wrong with a file: one line a problem, less the file's name.
pub(super) fn diagnostics(yaml: &str) -> String {
    let list = match read_unit("sub/u", &file(), yaml.as_bytes(), Strictness::default()) {
        Ok(read) => {
            let mut list = read.warnings;
            list.extend(read.config.left_out);
            list.sort_by_key(|diagnostic| (diagnostic.at.line, diagnostic.at.column));
            list
        }
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
