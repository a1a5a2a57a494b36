//! A directory -> its units. One bad file is only its own: every other one is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::discover;
use super::discover::{DiscoverError, FoundUnit, UnreadableDirectory};
use super::failed_unit::FailedUnit;
use crate::bounded_file::{self, FileError};
use crate::config::yaml::{Diagnostic, MAX_BYTES, Span, TOO_LARGE};
use crate::config::{ReadUnit, Strictness, UnitConfig, Unreadable, read_unit};

/// A config directory as of one look at it. Everything is sorted by the units' names.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) units: Vec<UnitConfig>,
    pub(crate) failed: Vec<FailedUnit>,
    /// Of the units that can be started; those of a failed one are among its problems, those that
    /// cost metrics alone are with their units.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Sub-directories whose units are not known.
    pub(crate) unreadable: Vec<UnreadableDirectory>,
}

/// Reads the units of `dir`, all of them or those in the comma list `names`. `Err` only where
/// there is nothing to be read at all, or the names say nothing.
pub(crate) fn load(
    dir: &Path,
    names: Option<&str>,
    strict: Strictness,
) -> Result<Loaded, DiscoverError> {
    let discovered = discover::discover(dir, names)?;
    let mut loaded = Loaded {
        units: Vec::new(),
        failed: discovered.failed,
        warnings: discovered.warnings,
        unreadable: discovered.unreadable,
    };
    for found in discovered.units {
        match load_unit(&found, strict) {
            Ok(read) => {
                loaded.units.push(read.config);
                loaded.warnings.extend(read.warnings);
            }
            Err(Unreadable {
                diagnostics,
                partial,
            }) => loaded.failed.push(FailedUnit {
                name: found.name,
                file: found.file,
                diagnostics,
                partial,
            }),
        }
    }
    loaded.failed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(loaded)
}

fn load_unit(found: &FoundUnit, strict: Strictness) -> Result<ReadUnit, Unreadable> {
    match read_bounded(&found.file) {
        Ok(bytes) => read_unit(&found.name, &found.file, &bytes, strict),
        Err(error) => Err(Unreadable {
            diagnostics: vec![unreadable(&found.file, &error)],
            partial: None,
        }),
    }
}

/// The text of a YAML file.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, FileError> {
    bounded_file::read(path, MAX_BYTES as u64)
}

/// Why it cannot be read.
pub(super) fn unreadable(path: &Arc<PathBuf>, error: &FileError) -> Diagnostic {
    let message = match error {
        FileError::TooLarge { .. } => TOO_LARGE.to_owned(),
        error => format!("cannot read the file: {error}"),
    };
    Diagnostic::error(Span::whole(path), message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = "metrics: {counters: [{name: c, help: h}]}\n";

    #[test]
    fn a_bad_file_takes_nothing_from_the_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("good.yaml"), GOOD).unwrap();
        fs::write(dir.path().join("odd.yaml"), format!("colour: red\n{GOOD}")).unwrap();
        fs::write(dir.path().join("bad.yaml"), "metrics: [").unwrap();
        fs::write(dir.path().join("huge.yaml"), "#".repeat(10 << 20)).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
        let loaded = load(dir.path(), None, Strictness::default()).unwrap();
        let names: Vec<&str> = loaded.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["good", "odd"]);
        assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
        let failed: Vec<(&str, &str)> = loaded
            .failed
            .iter()
            .map(|unit| (unit.name.as_str(), unit.diagnostics[0].message.as_str()))
            .collect();
        assert_eq!(
            failed[1],
            (
                "dangling",
                "cannot read the file: No such file or directory (os error 2)"
            )
        );
        assert_eq!(failed[2].0, "huge");
        assert!(
            failed[2].1.starts_with("the file is larger than 1 MiB"),
            "{failed:?}"
        );

        let keys = Strictness {
            keys: true,
            metrics: false,
        };
        let strict = load(dir.path(), Some("good,odd"), keys).unwrap();
        assert_eq!(strict.units.len(), 1);
        assert_eq!(strict.failed[0].name, "odd");
    }
}
