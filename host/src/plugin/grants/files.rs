//! Opening files that are granted, and nothing else: not through `..`, not through links, not
//! through the kernel's own doors in /proc.
//!
//! A path is opened without following any link. If there is one in the way, it is followed where
//! the kernel made it (in /proc and /sys, as long as it stays there), or where what it really leads
//! to is granted too. Everything is looked at before it is opened for reading: to open a device is
//! to use it.
//!
//! All of it blocks.

mod walk;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{self as sys, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::config::sidecar::PathPattern;
use crate::link::FileKind;

/// statfs's `f_type` of file systems whose links are the kernel's.
const PROC: i128 = 0x9fa0;
const SYS: i128 = 0x6265_6572;

const MAX_PATH: usize = 4096;
const MAX_NAMES: usize = 1 << 16;

/// Why there is nothing to be had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not granted, or a way around a grant.
    Denied(String),
    NotFound,
    /// The limit in bytes, or in names.
    TooLarge(u64),
    Io(String),
    /// It is granted, and this process' user may not: another process might.
    NotPermitted(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) kind: FileKind,
    pub(crate) size: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub(crate) modified: u64,
}

/// A regular file that `granted` covers, opened for reading.
pub(crate) fn open(granted: &[PathPattern], path: &str) -> Result<OwnedFd, Refused> {
    let found = locate(path, |path| covers(granted, path))?;
    check_regular(&found, path)?;
    // Some files of the kernel wait for news when they are read.
    reopen(&found, OFlags::RDONLY | OFlags::NONBLOCK)
}

/// The content of a regular file that `granted` covers, if it has no more than `limit` bytes.
pub(crate) fn read(granted: &[PathPattern], path: &str, limit: usize) -> Result<Vec<u8>, Refused> {
    read_opened(open(granted, path)?.into(), path, limit)
}

/// The same of a file that another process has opened for reading, as `read` would have.
pub(in crate::plugin) fn read_opened(
    file: File,
    path: &str,
    limit: usize,
) -> Result<Vec<u8>, Refused> {
    let status = check_regular(&file, path)?;
    let too_large = || Refused::TooLarge(limit as u64);
    if usize::try_from(status.st_size).is_ok_and(|size| size > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // Files of /proc say that they have no bytes: only reading shows how many there are.
    let read = file.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(failed)?;
    if bytes.len() > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

fn check_regular(found: impl AsFd, path: &str) -> Result<sys::Stat, Refused> {
    let status = sys::fstat(found).map_err(io)?;
    let kind = FileType::from_raw_mode(status.st_mode);
    if kind == FileType::RegularFile {
        return Ok(status);
    }
    Err(Refused::Denied(format!(
        "{path}: expected a regular file, found a {kind:?}"
    )))
}

/// Of whatever is granted or leads to it.
pub(crate) fn metadata(granted: &[PathPattern], path: &str) -> Result<Metadata, Refused> {
    let found = locate(path, |path| concerns(granted, path))?;
    let status = sys::fstat(&found).map_err(io)?;
    let nanoseconds =
        i128::from(status.st_mtime) * 1_000_000_000 + i128::from(status.st_mtime_nsec);
    Ok(Metadata {
        kind: match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            _ => FileKind::Other,
        },
        size: u64::try_from(status.st_size).unwrap_or(0),
        modified: u64::try_from(nanoseconds).unwrap_or(0),
    })
}

/// The names in a directory that a grant could be about, sorted. Those that are not UTF-8 cannot be
/// asked for and are left out.
pub(crate) fn list(granted: &[PathPattern], path: &str) -> Result<Vec<String>, Refused> {
    let found = locate(path, |path| concerns(granted, path))?;
    let status = sys::fstat(&found).map_err(io)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
        return Err(Refused::Io("it is no directory".to_owned()));
    }
    let mut names = Vec::new();
    for (count, entry) in std::fs::read_dir(own_path(&found))
        .map_err(failed)?
        .enumerate()
    {
        if count >= MAX_NAMES {
            return Err(Refused::TooLarge(MAX_NAMES as u64));
        }
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else {
            continue;
        };
        names.push(name);
    }
    of_concern(granted, path, names)
}

/// Those of the names in a directory that a grant could be about, sorted.
pub(in crate::plugin) fn of_concern(
    granted: &[PathPattern],
    path: &str,
    mut names: Vec<String>,
) -> Result<Vec<String>, Refused> {
    let above = components(path)?;
    names.retain(|name| {
        let below: Vec<&str> = above.iter().copied().chain([name.as_str()]).collect();
        concerns(granted, &below)
    });
    names.sort_unstable();
    Ok(names)
}

/// The file system of a path that `granted` covers, as statfs(2) has it.
pub(crate) fn file_system(granted: &[PathPattern], path: &str) -> Result<sys::StatFs, Refused> {
    let found = locate(path, |path| covers(granted, path))?;
    sys::fstatfs(&found).map_err(io)
}

fn covers(granted: &[PathPattern], path: &[&str]) -> bool {
    granted.iter().any(|pattern| pattern.matches(path))
}

/// Whether it is granted, or something below it may be.
fn concerns(granted: &[PathPattern], path: &[&str]) -> bool {
    let about = |pattern: &PathPattern| pattern.matches(path) || pattern.leads_on(path);
    granted.iter().any(about)
}

/// A path's components. There is one way to write a path, and this is it.
fn components(path: &str) -> Result<Vec<&str>, Refused> {
    let denied = |why: &str| {
        let start: String = path.chars().take(256).collect();
        Err(Refused::Denied(format!("{start}: {why}")))
    };
    let Some(rest) = path.strip_prefix('/') else {
        return denied("expected an absolute path");
    };
    if path.len() > MAX_PATH || path.contains('\0') {
        return denied("this is no path");
    }
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = rest.split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return denied("expected a path without `.`, `..` and empty components");
    }
    Ok(parts)
}

/// What lies at `path`, neither opened nor read. `allowed`: whether what is at a path may be had.
fn locate(path: &str, allowed: impl Fn(&[&str]) -> bool) -> Result<OwnedFd, Refused> {
    let parts = components(path)?;
    if !allowed(&parts) {
        return Err(Refused::Denied(path.to_owned()));
    }
    match look(
        CWD,
        path,
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    ) {
        Err(Errno::LOOP) => {}
        found => return found.map_err(io),
    }
    if let Some(found) = along_kernel_links(&parts) {
        return found;
    }
    let found = look(CWD, path, ResolveFlags::NO_MAGICLINKS).map_err(io)?;
    let real = std::fs::read_link(own_path(&found)).map_err(failed)?;
    let leads_astray = || {
        let real = real.display();
        Refused::Denied(format!("{path}: it leads to {real}"))
    };
    let real = real.to_str().ok_or_else(leads_astray)?;
    match components(real) {
        Ok(parts) if allowed(&parts) => Ok(found),
        _ => Err(leads_astray()),
    }
}

/// Follows links that the kernel made within its own file systems. None: this is none of them, or
/// the links lead out.
fn along_kernel_links(parts: &[&str]) -> Option<Result<OwnedFd, Refused>> {
    let plain = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    for depth in 1..parts.len() {
        let (above, below) = parts.split_at(depth);
        let base = look(CWD, &format!("/{}", above.join("/")), plain).ok()?;
        let kind = i128::from(sys::fstatfs(&base).ok()?.f_type);
        if kind == PROC || kind == SYS {
            return match look(&base, &below.join("/"), inside) {
                Err(Errno::XDEV) => None,
                Err(Errno::LOOP) => Some(Err(Refused::Denied(format!(
                    "/{}: it leads through a link to somewhere else",
                    parts.join("/")
                )))),
                found => Some(found.map_err(io)),
            };
        }
    }
    None
}

fn look(at: impl AsFd, path: &str, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match sys::openat2(&at, path, flags, Mode::empty(), how) {
        // Refused to this process, as it seems; if it is the path's own, it will be refused again.
        Err(Errno::NOSYS | Errno::PERM) => walk::look(at.as_fd(), path, how),
        found => found,
    }
}

/// The very thing that was looked at, whatever is at its path now.
fn reopen(found: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Refused> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    sys::open(own_path(found), flags, Mode::empty()).map_err(io)
}

fn own_path(found: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", found.as_raw_fd())
}

fn io(error: Errno) -> Refused {
    match error {
        Errno::NOENT | Errno::NOTDIR => Refused::NotFound,
        Errno::LOOP => Refused::Denied("it leads through a link to somewhere else".to_owned()),
        error => failed(error.into()),
    }
}

fn failed(error: std::io::Error) -> Refused {
    let why = format!("{error}{}", crate::privileges::denied(&error));
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        Refused::NotPermitted(why)
    } else {
        Refused::Io(why)
    }
}

#[cfg(test)]
mod tests;
