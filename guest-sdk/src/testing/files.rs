//! Files made of tables.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::files::{FileError, FileKind, FileProblem, Files, Metadata, Usage};

/// Files that were added; directories are there as far as files lie in them. Keeps the paths that
/// were asked for.
///
/// ```
/// use exporter_guest_sdk::Files;
/// use exporter_guest_sdk::testing::FakeFiles;
///
/// let mut files = FakeFiles::default();
/// files.add("/proc/1/comm", "init\n").add("/proc/stat", "");
/// assert_eq!(files.list_dir("/proc").unwrap(), ["1", "stat"]);
/// assert_eq!(files.read_to_string("/proc/1/comm").unwrap(), "init\n");
/// assert!(files.read("/proc/2/comm").unwrap_err().is_not_found());
/// assert_eq!(files.asked(), ["/proc", "/proc/1/comm", "/proc/2/comm"]);
/// ```
#[derive(Debug, Default)]
pub struct FakeFiles {
    files: BTreeMap<String, Result<Vec<u8>, FileProblem>>,
    modified: BTreeMap<String, SystemTime>,
    file_systems: BTreeMap<String, Usage>,
    asked: RefCell<BTreeSet<String>>,
}

impl FakeFiles {
    /// Adds or replaces a file.
    pub fn add(&mut self, path: &str, content: impl Into<Vec<u8>>) -> &mut Self {
        self.files.insert(path.to_owned(), Ok(content.into()));
        self
    }

    /// Takes a file away, as if it had never been added.
    pub fn remove(&mut self, path: &str) -> &mut Self {
        self.files.remove(path);
        self
    }

    /// Makes whatever is asked about this file fail.
    pub fn fail(&mut self, path: &str, problem: FileProblem) -> &mut Self {
        self.files.insert(path.to_owned(), Err(problem));
        self
    }

    /// Sets a file's time of change; without it, 1970-01-01.
    pub fn modified(&mut self, path: &str, seconds: f64) -> &mut Self {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        self.modified.insert(path.to_owned(), time);
        self
    }

    /// Says which file system a path is on.
    pub fn file_system_at(&mut self, path: &str, usage: Usage) -> &mut Self {
        self.file_systems.insert(path.to_owned(), usage);
        self
    }

    /// The paths that were read, listed or asked about, each once, sorted: a test can hold them
    /// against the grants.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().iter().cloned().collect()
    }

    fn ask(&self, path: &str) -> Result<Option<&Vec<u8>>, FileError> {
        self.asked.borrow_mut().insert(path.to_owned());
        match self.files.get(path) {
            Some(Ok(content)) => Ok(Some(content)),
            Some(Err(problem)) => Err(FileError::new(path, problem.clone())),
            None => Ok(None),
        }
    }

    /// Names of what lies in a directory; none: it is no directory.
    fn names(&self, path: &str) -> BTreeSet<&str> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let inside = self.files.range(prefix.clone()..);
        inside
            .map_while(|(file, _)| file.strip_prefix(&prefix))
            .filter_map(|rest| rest.split('/').next())
            .collect()
    }
}

impl Files for FakeFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        match self.ask(path)? {
            Some(content) => Ok(content.clone()),
            None => Err(FileError::new(path, FileProblem::NotFound)),
        }
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FileError> {
        let content = self.ask(path)?;
        if content.is_none() && self.names(path).is_empty() {
            return Err(FileError::new(path, FileProblem::NotFound));
        }
        let modified = self.modified.get(path).copied();
        Ok(Metadata {
            kind: match content {
                Some(_) => FileKind::File,
                None => FileKind::Directory,
            },
            size: content.map_or(0, |content| content.len() as u64),
            modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
        })
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, FileError> {
        self.ask(path)?;
        let names = self.names(path);
        if names.is_empty() {
            return Err(FileError::new(path, FileProblem::NotFound));
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn file_system(&self, path: &str) -> Result<Usage, FileError> {
        self.ask(path)?;
        let usage = self.file_systems.get(path).copied();
        usage.ok_or_else(|| FileError::new(path, FileProblem::NotFound))
    }
}
