//! Directories in bpffs, opened by handle: no link is followed, and one that is not ours alone is
//! refused. bpffs may be writable for everybody (mode 1777), and whoever can put a link or a
//! directory there must not choose what this process makes and removes.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

/// `statfs` of bpffs, linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Whose directories are trusted besides root's and this process' own.
pub(crate) type Owner = Option<(u32, u32)>;

/// Opens a directory of pins; makes it, and those above it, where a bpffs has none.
pub(super) fn open(path: &Path, owner: Owner) -> Result<OwnedFd, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty());
    let mut directory = root.map_err(|error| error.to_string())?;
    let mut walked = std::path::PathBuf::from("/");
    for component in path.components() {
        let (Component::Normal(_) | Component::ParentDir) = component else {
            continue;
        };
        let name = component.as_os_str();
        walked.push(name);
        let failed = |error: Errno| describe(&walked, error);
        let next = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                check_bpffs(&directory, &path)?;
                make(&directory, name, owner).map_err(failed)?;
                rustix::fs::openat(&directory, name, flags, Mode::empty())
            }
            next => next,
        };
        directory = next.map_err(failed)?;
    }
    check_bpffs(&directory, &path)?;
    let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&directory, ".", readable, Mode::empty());
    let opened = opened.map_err(|error| describe(&path, error))?;
    check_owner(&opened, owner).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(opened)
}

/// Opens a directory that lies in an opened one. None: there is none.
pub(super) fn open_in(
    parent: BorrowedFd<'_>,
    name: &str,
    owner: Owner,
) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(opened) => {
            check_owner(&opened, owner)
                .map_err(|why| io::Error::other(format!("the directory {name}: {why}")))?;
            Ok(Some(opened))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(io::Error::other(describe(Path::new(name), error))),
    }
}

/// Makes a directory for this user alone; that it is there already is no error.
pub(super) fn make(parent: impl AsFd, name: &OsStr, owner: Owner) -> Result<(), Errno> {
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error),
    }
    let Some((user, group)) = owner.filter(|_| rustix::process::geteuid().is_root()) else {
        return Ok(());
    };
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    // Without CAP_CHOWN it stays root's: whoever pins there says that it cannot.
    let _ = rustix::fs::chownat(
        &parent,
        name,
        Some(user),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    );
    Ok(())
}

/// Gives a directory and what is in it to the user that this process becomes.
pub(super) fn hand_over(directory: &OwnedFd, owner: (u32, u32)) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    rustix::fs::fchown(directory, Some(user), Some(group))?;
    for (name, kind) in entries(directory)? {
        rustix::fs::chownat(
            directory,
            &name,
            Some(user),
            Some(group),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        let name = name.to_string_lossy();
        if kind == FileType::Directory
            && let Some(below) = open_in(directory.as_fd(), &name, Some(owner))?
        {
            hand_over(&below, owner)?;
        }
    }
    Ok(())
}

/// Names and types of what is in a directory.
pub(super) fn entries(directory: impl AsFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let name = entry?.file_name().to_owned();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        found.push((name, FileType::from_raw_mode(stat.st_mode)));
    }
    Ok(found)
}

/// Where a file of an opened directory is, whatever the directory's own path leads to now.
pub(super) fn path_in(directory: &OwnedFd, name: &str) -> String {
    format!("/proc/self/fd/{}/{name}", directory.as_raw_fd())
}

fn check_bpffs(directory: &OwnedFd, path: &Path) -> Result<(), String> {
    let kind = rustix::fs::fstatfs(directory)
        .map_err(|error| describe(path, error))?
        .f_type;
    // The type's width differs between architectures; the number has 32 bits.
    if kind as u64 & u64::from(u32::MAX) == BPF_FS_MAGIC {
        return Ok(());
    }
    Err(format!(
        "{} is not in a bpffs: mount one (`mount -t bpf bpf /sys/fs/bpf`) or name a directory in one with --bpf.pin-dir",
        path.display()
    ))
}

fn check_owner(directory: &OwnedFd, owner: Owner) -> Result<(), String> {
    let stat = rustix::fs::fstat(directory).map_err(|error| error.to_string())?;
    let own = rustix::process::geteuid().as_raw();
    let trusted = [0, own, owner.map_or(own, |(user, _)| user)];
    if !trusted.contains(&stat.st_uid) {
        return Err(format!(
            "it belongs to user {}, expected {} or root: remove it, or name another directory with --bpf.pin-dir",
            stat.st_uid, trusted[2]
        ));
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(format!(
            "others may write there (mode {mode:o}): chmod go-w"
        ));
    }
    Ok(())
}

/// What is wrong with a component of a path.
fn describe(path: &Path, error: Errno) -> String {
    let path = path.display();
    match error {
        // Linux says either of a link that is not to be followed.
        Errno::LOOP | Errno::NOTDIR => format!(
            "{path} is no directory, and a link is not followed: name where it leads with --bpf.pin-dir, or remove it"
        ),
        error => format!(
            "cannot use the directory {path}: {}; see --bpf.pin-dir",
            io::Error::from(error)
        ),
    }
}

/// The bytes of a name, as text.
pub(super) fn is_named(name: &CString, wanted: &str) -> bool {
    OsStr::from_bytes(name.to_bytes()) == OsStr::new(wanted)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn another_file_system_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let why = open(&directory.path().join("pins"), None).unwrap_err();
        assert!(why.contains("not in a bpffs"), "{why}");
        assert!(!directory.path().join("pins").exists());
        let why = open(directory.path(), None).unwrap_err();
        assert!(why.contains("not in a bpffs"), "{why}");
    }

    #[test]
    fn no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        symlink("/sys", path.join("link")).unwrap();
        for below in ["link", "link/fs/bpf"] {
            let why = open(&path.join(below), None).unwrap_err();
            assert!(why.contains("link is no directory"), "{why}");
        }
        let opened = rustix::fs::open(&path, OFlags::RDONLY, Mode::empty()).unwrap();
        let error = open_in(opened.as_fd(), "link", None).unwrap_err();
        assert!(
            error.to_string().contains("link is no directory"),
            "{error}"
        );
        assert!(open_in(opened.as_fd(), "nothing", None).unwrap().is_none());
    }
}
