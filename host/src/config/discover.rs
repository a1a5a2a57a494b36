//! Which files of the config directory are units. Owns names and paths; reads no file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::failed_unit::FailedUnit;
use crate::config::yaml::{Diagnostic, Span};
use crate::near;

const EXTENSIONS: [&str; 2] = ["yaml", "yml"];
/// How many units a message lists before it says "and so on".
const LISTED: usize = 12;

/// Why there are no units at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoverError {
    #[error("the config directory {} does not exist: create it, or name another one", .0.display())]
    Missing(PathBuf),
    #[error("expected a directory of YAML files, but {} is a file: name its directory", .0.display())]
    NotADirectory(PathBuf),
    #[error("cannot read the config directory {}: {source}{}", path.display(), crate::privileges::denied(.source))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "expected unit names separated by commas, found an empty name in `{0}`: to load every unit, leave the names out"
    )]
    EmptyName(String),
    #[error("the unit `{0}` is named twice")]
    DuplicateName(String),
}

/// Sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    /// One file each.
    pub(crate) units: Vec<FoundUnit>,
    /// Names that have no file, or more than one.
    pub(crate) failed: Vec<FailedUnit>,
    /// Names that are no units'.
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) unreadable: Vec<UnreadableDirectory>,
}

/// A sub-directory that is there and cannot be read: nothing is known of its units, and nothing of
/// them is taken for removed.
#[derive(Debug, Clone)]
pub(crate) struct UnreadableDirectory {
    /// What the names of its units begin with: `sub/`.
    pub(crate) prefix: String,
    pub(crate) diagnostic: Diagnostic,
    /// It is a link to nowhere, which may never have been meant as a directory.
    pub(crate) is_dangling: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundUnit {
    pub(crate) name: String,
    pub(crate) file: Arc<PathBuf>,
}

/// Without `names`: every `*.yaml` and `*.yml` of `dir` and of its sub-directories, one level deep.
/// With them, a comma list: those only, at any depth.
pub(crate) fn discover(dir: &Path, names: Option<&str>) -> Result<Discovered, DiscoverError> {
    match fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(DiscoverError::Missing(dir.to_owned()));
        }
        Err(source) => {
            return Err(DiscoverError::Unreadable {
                path: dir.to_owned(),
                source,
            });
        }
        Ok(metadata) if !metadata.is_dir() => {
            return Err(DiscoverError::NotADirectory(dir.to_owned()));
        }
        Ok(_) => {}
    }
    let names = names.map(split_names).transpose()?;
    let mut listing = Listing::default();
    let read = listing.add(dir, "");
    let mut discovered = Discovered::default();
    match (names, read) {
        (None, Err(source)) => {
            return Err(DiscoverError::Unreadable {
                path: dir.to_owned(),
                source,
            });
        }
        // A directory that may be entered but not listed: files can still be named.
        (Some(names), _) => {
            for name in names {
                find_named(dir, name, &listing, &mut discovered);
            }
        }
        (None, Ok(())) => {
            for (name, files) in &listing.units {
                add(name.clone(), files, &mut discovered);
            }
            discovered.warnings = listing.warnings;
            discovered.unreadable = listing.unreadable;
        }
    }
    discovered.units.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(discovered)
}

fn split_names(list: &str) -> Result<Vec<String>, DiscoverError> {
    let mut names: Vec<String> = Vec::new();
    for written in list.split(',') {
        // `a//b`, `./a/b` and `a/b` are one file, so they are one unit.
        let parts: Vec<&str> = written
            .trim()
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let name = parts.join("/");
        if name.is_empty() {
            return Err(DiscoverError::EmptyName(list.to_owned()));
        }
        if names.contains(&name) {
            return Err(DiscoverError::DuplicateName(name));
        }
        names.push(name);
    }
    Ok(names)
}

fn find_named(dir: &Path, name: String, listing: &Listing, discovered: &mut Discovered) {
    // Not `with_extension`: that would cut `a.b` to `a`.
    let candidates = EXTENSIONS.map(|extension| dir.join(format!("{name}.{extension}")));
    let files: Vec<PathBuf> = candidates
        .iter()
        .filter(|path| may_be_file(path))
        .cloned()
        .collect();
    if !files.is_empty() {
        add(name, &files, discovered);
        return;
    }
    let known: Vec<&str> = listing.units.keys().map(String::as_str).collect();
    let message = format!(
        "there is no such file for the unit `{name}`{}",
        hint(&name, &known)
    );
    let [file, _] = candidates;
    discovered.failed.push(failed(name, file, message));
}

/// What cannot be looked at may be one: whoever reads it says what is wrong.
fn may_be_file(path: &Path) -> bool {
    match path.metadata() {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    }
}

fn hint(name: &str, known: &[&str]) -> String {
    if let Some(yaml) = EXTENSIONS
        .iter()
        .find_map(|extension| name.strip_suffix(extension)?.strip_suffix('.'))
    {
        return format!(": name it without the extension, `{yaml}`");
    }
    if let Some(near) = near::nearest(name, known.iter().copied()) {
        return format!(", did you mean `{near}`?");
    }
    match known.get(..LISTED) {
        _ if known.is_empty() => ": the directory has no unit".to_owned(),
        Some(first) if known.len() > LISTED => format!(
            ": there are {} and {} more",
            first.join(", "),
            known.len() - LISTED
        ),
        _ => format!(": there is {}", known.join(", ")),
    }
}

fn add(name: String, files: &[PathBuf], discovered: &mut Discovered) {
    match files {
        [] => {}
        [file] => discovered.units.push(FoundUnit {
            name,
            file: Arc::new(file.clone()),
        }),
        [file, other, ..] => {
            let message = format!(
                "{} is the unit `{name}` too: remove or rename one of them",
                other.display()
            );
            discovered.failed.push(failed(name, file.clone(), message));
        }
    }
}

fn failed(name: String, file: PathBuf, message: String) -> FailedUnit {
    let file = Arc::new(file);
    let diagnostics = vec![Diagnostic::error(Span::whole(&file), message)];
    FailedUnit {
        name,
        file,
        diagnostics,
        partial: None,
    }
}

/// What lies in the config directory.
#[derive(Default)]
struct Listing {
    units: BTreeMap<String, Vec<PathBuf>>,
    warnings: Vec<Diagnostic>,
    unreadable: Vec<UnreadableDirectory>,
}

impl Listing {
    /// `prefix`: empty for the config directory itself, `sub/` for a sub-directory, which is not
    /// descended any further.
    fn add(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        // Sorted, so that two files of one unit are named in the same order every time.
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(entry?.file_name());
        }
        names.sort();
        for file_name in names {
            let path = dir.join(&file_name);
            let Some(text) = file_name.to_str() else {
                if unit_stem(&file_name.to_string_lossy()).is_some() {
                    self.warn(
                        &path,
                        "the file's name is not UTF-8, so it can't name a unit: rename it",
                    );
                }
                continue;
            };
            // Hidden: editors' swap files, `.git`, and `..data` and its kin, in which Kubernetes
            // keeps a ConfigMap's versions.
            if text.starts_with('.') {
                continue;
            }
            // Following links, which is what the files of a ConfigMap are. A link to nowhere is
            // reported when the file is read.
            let is_dir = fs::metadata(&path).map(|metadata| metadata.is_dir());
            match (is_dir, unit_stem(text)) {
                (Ok(true), _) if prefix.is_empty() => {
                    if let Err(error) = self.add(&path, &format!("{text}/")) {
                        self.skip(&path, text, &error);
                    }
                }
                (Err(error), None) if prefix.is_empty() => self.skip(&path, text, &error),
                (Ok(true), _) | (_, None) => {}
                (_, Some(stem)) => self
                    .units
                    .entry(format!("{prefix}{stem}"))
                    .or_default()
                    .push(path),
            }
        }
        Ok(())
    }

    /// A sub-directory, or what may be one.
    fn skip(&mut self, path: &Path, name: &str, error: &io::Error) {
        let missing = error.kind() == io::ErrorKind::NotFound;
        // It may have been removed since the directory was read.
        if missing && path.symlink_metadata().is_err() {
            return;
        }
        let message =
            format!("cannot read this sub-directory, its units go on as they were: {error}");
        self.unreadable.push(UnreadableDirectory {
            prefix: format!("{name}/"),
            diagnostic: Diagnostic::error(Span::whole(&Arc::new(path.to_owned())), message),
            is_dangling: missing,
        });
    }

    fn warn(&mut self, path: &Path, message: &str) {
        self.warnings.push(Diagnostic::warning(
            Span::whole(&Arc::new(path.to_owned())),
            message,
        ));
    }
}

/// A unit's file name less its extension. None: no unit's. Editors' copies (`x.yaml~`, `#x.yaml#`,
/// `4913`) have other extensions.
fn unit_stem(file_name: &str) -> Option<&str> {
    let path = Path::new(file_name);
    let extension = path.extension().and_then(OsStr::to_str)?;
    let stem = path.file_stem().and_then(OsStr::to_str)?;
    // What a plugin is granted, not a unit.
    (EXTENSIONS.contains(&extension) && !stem.ends_with(".plugin")).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(dir: &Path, files: &[&str]) {
        for file in files {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    fn unit_names(discovered: &Discovered) -> Vec<&str> {
        discovered
            .units
            .iter()
            .map(|unit| unit.name.as_str())
            .collect()
    }

    #[test]
    fn every_yaml_is_a_unit_but_what_only_looks_like_one() {
        let dir = tempfile::tempdir().unwrap();
        let noise = [
            ".hidden.yaml",
            ".a.yaml.swp",
            "a.yaml~",
            "#a.yaml#",
            ".#a.yaml",
            "4913",
            "p.plugin.yaml",
            "a.bpf.o",
            "deep/er/x.yaml",
        ];
        touch(dir.path(), &noise);
        touch(
            dir.path(),
            &["b.yml", "a.yaml", "net/drops.yaml", "v1.2.yaml"],
        );
        fs::create_dir(dir.path().join("odd.yaml")).unwrap();
        let found = discover(dir.path(), None).unwrap();
        assert_eq!(unit_names(&found), ["a", "b", "net/drops", "v1.2"]);
        assert_eq!(*found.units[2].file, dir.path().join("net/drops.yaml"));
        assert!(found.failed.is_empty() && found.warnings.is_empty());
    }

    #[test]
    fn a_config_map_is_read_through_its_links() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["..2026_01_01/a.yaml"]);
        std::os::unix::fs::symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", dir.path().join("a.yaml")).unwrap();
        assert_eq!(unit_names(&discover(dir.path(), None).unwrap()), ["a"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_removed() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.yaml", "notes"]);
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, dir.path().join(name)).unwrap();
        };
        link("nowhere", "net");
        link("loop", "loop");
        let found = discover(dir.path(), None).unwrap();
        assert_eq!(unit_names(&found), ["a"]);
        let unreadable: Vec<_> = found
            .unreadable
            .iter()
            .map(|one| (one.prefix.as_str(), one.is_dangling))
            .collect();
        assert_eq!(unreadable, [("loop/", false), ("net/", true)]);
        let message = found.unreadable[0].diagnostic.to_string();
        assert!(
            message.contains("loop: error: cannot read this sub-directory"),
            "{message}"
        );
    }

    #[test]
    fn two_files_of_one_unit_are_an_error_that_names_both() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.yaml", "a.yml", "b.yaml"]);
        for names in [None, Some("a,b")] {
            let found = discover(dir.path(), names).unwrap();
            assert_eq!(unit_names(&found), ["b"]);
            let message = found.failed[0].diagnostics[0].to_string();
            let path = dir.path().display();
            assert_eq!(
                message,
                format!(
                    "{path}/a.yaml: error: {path}/a.yml is the unit `a` too: remove or rename one of them"
                )
            );
        }
    }

    #[test]
    fn names_choose_files_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.yaml", "b.yml", "x/y/z.yaml", "c.yaml"]);
        let found = discover(dir.path(), Some("x/y/z, b,.//a")).unwrap();
        assert_eq!(unit_names(&found), ["a", "b", "x/y/z"]);
    }

    #[test]
    fn a_name_without_a_file_fails_alone_and_names_the_near_miss() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["timers.yaml", "biolatency.yaml"]);
        let found = discover(dir.path(), Some("timer,timers,nothing,timers.yaml")).unwrap();
        assert_eq!(unit_names(&found), ["timers"]);
        let messages: Vec<&str> = found
            .failed
            .iter()
            .map(|unit| unit.diagnostics[0].message.as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "there is no such file for the unit `timer`, did you mean `timers`?",
                "there is no such file for the unit `nothing`: there is biolatency, timers",
                "there is no such file for the unit `timers.yaml`: name it without the extension, `timers`",
            ]
        );
        assert_eq!(*found.failed[0].file, dir.path().join("timer.yaml"));
    }

    #[test]
    fn names_that_say_nothing_or_the_same_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.yaml"]);
        for names in ["", "a,", "a,,a", "./"] {
            assert!(
                matches!(
                    discover(dir.path(), Some(names)),
                    Err(DiscoverError::EmptyName(_))
                ),
                "{names}"
            );
        }
        let error = discover(dir.path(), Some("a,./a")).unwrap_err();
        assert_eq!(error.to_string(), "the unit `a` is named twice");
    }

    #[test]
    fn a_directory_that_is_none_is_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.yaml"]);
        let path = dir.path().display();
        let message = |name: &str| {
            discover(&dir.path().join(name), None)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message("no"),
            format!(
                "the config directory {path}/no does not exist: create it, or name another one"
            )
        );
        assert_eq!(
            message("a.yaml"),
            format!(
                "expected a directory of YAML files, but {path}/a.yaml is a file: name its directory"
            )
        );
    }
}
