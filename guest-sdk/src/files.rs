//! Files that the operator granted, read-only, one by one.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::collector::Failure;

/// Reads granted files. Everything else is [`FileProblem::Denied`]; so is a path with `..`, and a
/// link that leads out of the grant.
///
/// In a component this is the imported `files` interface; tests take `testing::FakeFiles`.
pub trait Files {
    /// The whole content of a regular file, those of /proc and /sys too.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;
    /// What a granted path is.
    fn metadata(&self, path: &str) -> Result<Metadata, FileError>;
    /// The names in a directory that some grant could be about, sorted: those of `/sys/class/net`
    /// where `/sys/class/net/*/mtu` is granted.
    fn list_dir(&self, path: &str) -> Result<Vec<String>, FileError>;
    /// The file system that a granted path is on.
    fn file_system(&self, path: &str) -> Result<Usage, FileError>;

    /// As [`read`](Self::read), as text. Bytes that are no UTF-8 become U+FFFD: a process may call
    /// itself anything.
    fn read_to_string(&self, path: &str) -> Result<String, FileError> {
        let bytes = self.read(path)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A device, a socket, a pipe.
    Other,
}

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// In bytes. Files of /proc say 0.
    pub size: u64,
    /// Of the last change of its content.
    pub modified: SystemTime,
}

/// A file system's sizes in bytes, and its number of files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the whole file system.
    pub total: u64,
    /// Not used, what is kept for root included.
    pub free: u64,
    /// Free for everyone.
    pub available: u64,
    /// Inodes there are.
    pub files: u64,
    /// Inodes not used.
    pub files_free: u64,
    /// The kernel's magic number of the type of file system (statfs's f_type).
    pub kind: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The path that was asked for.
    pub path: String,
    /// What came of it.
    pub problem: FileProblem,
}

/// What can go wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileProblem {
    /// Not granted; says what to do.
    Denied(String),
    /// There is no such file.
    NotFound,
    /// Larger than a plugin may read at once: the limit in bytes.
    TooLarge(u64),
    /// The kernel's words.
    Io(String),
}

impl FileError {
    /// Of `path`.
    pub fn new(path: &str, problem: FileProblem) -> Self {
        Self {
            path: path.to_owned(),
            problem,
        }
    }

    /// Whether the file simply isn't there: a process that ended, a device that was pulled.
    pub fn is_not_found(&self) -> bool {
        self.problem == FileProblem::NotFound
    }

    /// Whether the operator did not grant it.
    pub fn is_denied(&self) -> bool {
        matches!(self.problem, FileProblem::Denied(_))
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.problem {
            // The host's sentence names the path.
            FileProblem::Denied(why) if why.contains(path.as_str()) => f.write_str(why),
            FileProblem::Denied(why) => write!(f, "{path}: {why}"),
            FileProblem::NotFound => write!(f, "{path}: no such file or directory"),
            FileProblem::TooLarge(limit) => {
                write!(f, "{path}: larger than the {limit} bytes a plugin may read")
            }
            FileProblem::Io(why) => write!(f, "{path}: {why}"),
        }
    }
}

impl std::error::Error for FileError {}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let message = error.to_string();
        match error.problem {
            FileProblem::Denied(_) => Self::Denied(message),
            FileProblem::NotFound | FileProblem::Io(_) => Self::Unreachable(message),
            FileProblem::TooLarge(_) => Self::Invalid(message),
        }
    }
}

impl Metadata {
    /// Seconds since 1970-01-01 UTC of the last change; negative before it.
    pub fn modified_seconds(&self) -> f64 {
        match self.modified.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        }
    }
}

/// The interface's nanoseconds since 1970-01-01 UTC.
#[doc(hidden)]
pub fn time_of(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}
