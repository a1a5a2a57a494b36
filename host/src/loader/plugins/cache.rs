//! Compiled code, kept in a directory over restarts. Whoever can write there can run code in this
//! program: it has to be ours alone.
//!
//! An entry is a file whose name says which component was compiled for which engine, with the code
//! as zstd, which has a checksum. Entries are complete from the moment that they have their name,
//! so any number of processes can share a directory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};

use super::trusted;
use crate::digest::Digest;
use crate::link::{read_sealed, sealed};
use crate::plugin::{Compile, CompileError, LoadError, MAX_COMPILED, engine_version};

/// Fast: 34 MiB become 13.
const LEVEL: i32 = 1;
/// What the names of entries end with.
const ENDING: &str = ".compiled";
/// What the names of files that are still being written end with.
const UNFINISHED: &str = ".part";
/// Entries that were not used for so long are removed.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// A file that is still being written after this time will never be finished.
const ABANDONED: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct CompileCache {
    /// For messages.
    path: PathBuf,
    /// All that is done there is done through this: whatever has the path later, it is this one
    /// that was found to be ours.
    directory: File,
    engine: Digest,
    /// What has last gone wrong with writing: it is said once for all plugins.
    already_reported: Mutex<Option<String>>,
}

impl CompileCache {
    /// Refuses a directory that others can write to. Removes entries that nobody has used for long.
    pub(crate) fn open(directory: &Path) -> Result<Self, LoadError> {
        Self::for_engine(directory, engine_version()?)
    }

    pub(super) fn for_engine(directory: &Path, engine: Digest) -> Result<Self, LoadError> {
        let refused = |why| LoadError::Cache {
            directory: directory.display().to_string(),
            why,
        };
        let cache = Self {
            path: directory.to_owned(),
            directory: trusted::open(directory).map_err(refused)?,
            engine,
            already_reported: Mutex::default(),
        };
        if let Err(error) = cache.remove_unused(SystemTime::now()) {
            tracing::warn!(
                directory = %directory.display(),
                "old compiled plugins are not removed: {error}"
            );
        }
        Ok(cache)
    }

    /// The compiled code of the component with this digest.
    pub(super) fn get(&self, component: Digest) -> Option<Vec<u8>> {
        let name = self.name(component);
        match self.read(&name) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(
                    file = %self.path.join(name).display(),
                    "compiled code cannot be used, the plugin is compiled again: {error}"
                );
                None
            }
        }
    }

    /// Keeps compiled code. What goes wrong is said in the log: it costs time at the next start.
    pub(super) fn put(&self, component: Digest, code: &[u8]) {
        let name = self.name(component);
        let failed = self.write(&name, code).err().map(|error| error.to_string());
        let mut already_reported = self.already_reported.lock();
        if let Some(error) = failed.as_ref().filter(|_| *already_reported != failed) {
            tracing::warn!(
                directory = %self.path.display(),
                "compiled code is not kept, so that plugins are compiled at each start: {error}"
            );
        }
        *already_reported = failed;
    }

    fn name(&self, component: Digest) -> String {
        let engine = self.engine.to_string();
        let engine = engine.get(..16).unwrap_or_default();
        format!("{component}-{engine}{ENDING}")
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("expected a regular file"));
        }
        trusted::check_owner(&metadata).map_err(io::Error::other)?;
        let code = unpack(&file)?;
        // It is used: this is what `remove_unused` goes by. A directory that cannot be written to
        // is still good to read.
        let _ = file.set_modified(SystemTime::now());
        Ok(code)
    }

    /// No reader sees a part of it, and of several writers of the same one each gets its own
    /// through.
    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let part = format!(".{}-{number}{UNFINISHED}", std::process::id());
        // It may be left over from a process of the same number.
        let _ = self.remove(&part);
        let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let written = self
            .open_file(&part, new)
            .and_then(|file| pack(file, code))
            .and_then(|()| {
                let directory = &self.directory;
                Ok(rustix::fs::renameat(directory, &part, directory, name)?)
            });
        if written.is_err() {
            let _ = self.remove(&part);
        }
        written
    }

    /// Follows no link and waits for no pipe.
    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&self.directory, name, flags, mode)?.into())
    }

    /// Is no error if there is none.
    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn remove_unused(&self, now: SystemTime) -> io::Result<()> {
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            // What else lies there is none of ours.
            let limit = if name.ends_with(ENDING) {
                UNUSED
            } else if name.starts_with('.') && name.ends_with(UNFINISHED) {
                ABANDONED
            } else {
                continue;
            };
            let used = self
                .open_file(name, OFlags::RDONLY)
                .and_then(|file| file.metadata()?.modified());
            // Otherwise another process has removed it.
            if let Ok(used) = used
                && now.duration_since(used).is_ok_and(|age| age > limit)
            {
                self.remove(name)?;
            }
        }
        Ok(())
    }
}

fn pack(file: File, code: &[u8]) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(file, LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(code)?;
    encoder.finish().map(drop)
}

fn unpack(file: &File) -> io::Result<Vec<u8>> {
    let mut code = Vec::new();
    let limit = MAX_COMPILED as u64;
    let read = zstd::Decoder::new(file)?
        .take(limit + 1)
        .read_to_end(&mut code)?;
    if read as u64 > limit {
        return Err(io::Error::other(format!("it has more than {limit} bytes")));
    }
    Ok(code)
}

/// Compiles what is not in a cache.
pub(crate) struct Cached<'a> {
    /// None: nothing is kept.
    cache: Option<&'a CompileCache>,
    compile: &'a dyn Compile,
}

impl<'a> Cached<'a> {
    pub(crate) fn new(cache: Option<&'a CompileCache>, compile: &'a dyn Compile) -> Self {
        Self { cache, compile }
    }

    /// As `compile`. `digest`: of `bytes`.
    pub(super) fn compiled(
        &self,
        name: &str,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<OwnedFd, CompileError> {
        let Some(cache) = self.cache else {
            return self.compile.compile(name, bytes);
        };
        if let Some(code) = cache.get(digest) {
            return sealed(name, &code).map_err(|error| CompileError::no_memory(&error));
        }
        let compiled = self.compile.compile(name, bytes)?;
        match read_sealed(&compiled, MAX_COMPILED) {
            Ok(code) => cache.put(digest, &code),
            Err(error) => tracing::warn!(plugin = name, "compiled code is not kept: {error}"),
        }
        Ok(compiled)
    }
}

impl Compile for Cached<'_> {
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, CompileError> {
        self.compiled(name, Digest::of(bytes), bytes)
    }
}
