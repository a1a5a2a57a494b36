//! What openat2(2) does, one component of the path after the other, for where it is not to be had.
//! A filter of system calls cannot see into its arguments, so some refuse it as a whole: systemd's
//! for RestrictSUIDSGID, which DynamicUser implies, and those of older container runtimes.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{self as sys, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::PROC;

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// What lies at `path`, by `how`: NO_SYMLINKS, BENEATH and NO_XDEV as in openat2(2), and
/// NO_MAGICLINKS always. The path is absolute, or BENEATH `at`.
///
/// Each component is opened without following it, relative to the one before: what is replaced
/// meanwhile changes where this leads, but not past a check. Mounts are told apart by their device.
pub(super) fn look(at: BorrowedFd<'_>, path: &str, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let mut left: Vec<Vec<u8>> = Vec::new();
    add(&mut left, path.as_bytes());
    let start = if path.starts_with('/') {
        root()?
    } else {
        open(at, OsStr::new("."))?
    };
    let device = sys::fstat(&start)?.st_dev;
    // From where it began to where it is.
    let mut way = vec![start];
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name == b".." {
            if way.len() > 1 {
                way.pop();
            } else if how.contains(ResolveFlags::BENEATH) {
                return Err(Errno::XDEV);
            }
            continue;
        }
        let here = way.last().ok_or(Errno::NOENT)?;
        let found = open(here, OsStr::from_bytes(&name))?;
        let status = sys::fstat(&found)?;
        if how.contains(ResolveFlags::NO_XDEV) && status.st_dev != device {
            return Err(Errno::XDEV);
        }
        if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
            way.push(found);
            continue;
        }
        links += 1;
        if how.contains(ResolveFlags::NO_SYMLINKS) || links > MAX_LINKS {
            return Err(Errno::LOOP);
        }
        let target = sys::readlinkat(&found, "", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            // The kernel's doors to processes' files say where they lead, all other links of /proc
            // are relative. Those that lead nowhere, as to a socket, have the text of a file that
            // is not there.
            if i128::from(sys::fstatfs(&found)?.f_type) == PROC {
                return Err(Errno::LOOP);
            }
            if how.contains(ResolveFlags::BENEATH) {
                return Err(Errno::XDEV);
            }
            way = vec![root()?];
        }
        add(&mut left, &target);
    }
    way.pop().ok_or(Errno::NOENT)
}

/// The components, the first one last.
fn add(left: &mut Vec<Vec<u8>>, path: &[u8]) {
    let parts = path.split(|byte| *byte == b'/');
    let parts = parts.filter(|part| !matches!(*part, b"" | b"."));
    left.extend(parts.rev().map(<[u8]>::to_vec));
}

fn root() -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    sys::open("/", flags, Mode::empty())
}

fn open(at: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    sys::openat(at, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::CWD;

    use super::*;

    /// What is there, or the error.
    fn shown(found: Result<OwnedFd, Errno>) -> Result<(u64, u64), Errno> {
        let status = sys::fstat(found?)?;
        Ok((status.st_dev, status.st_ino))
    }

    #[test]
    fn it_finds_what_the_kernel_finds() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().canonicalize().unwrap();
        fs::create_dir_all(at.join("a/b")).unwrap();
        fs::write(at.join("a/b/file"), "").unwrap();
        for (target, link) in [
            ("a/b", "relative"),
            ("../../a/b/file", "a/b/up"),
            ("/proc/self/environ", "absolute"),
            ("/proc/self/root", "door"),
            ("loop", "loop"),
            ("nowhere", "dangling"),
            ("../../../../../../../../../../proc/stat", "out"),
            ("./a/./b/", "dots"),
        ] {
            symlink(target, at.join(link)).unwrap();
        }
        let base = sys::open(&at, OFlags::PATH, Mode::empty()).unwrap();
        let (plain, magic) = (ResolveFlags::NO_SYMLINKS, ResolveFlags::NO_MAGICLINKS);
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
        for how in [plain | magic, magic, inside | magic] {
            for path in [
                "a",
                "a/b/file",
                "a/b/file/x",
                "a/b/up",
                "relative",
                "relative/file",
                "relative/up",
                "absolute",
                "door",
                "door/etc",
                "loop",
                "dangling",
                "out",
                "dots/file",
                "nothing",
                "nothing/x",
            ] {
                let path = if how.contains(inside) {
                    path.to_owned()
                } else {
                    at.join(path).display().to_string()
                };
                let path = path.as_str();
                let kernel = shown(sys::openat2(&base, path, OFlags::PATH, Mode::empty(), how));
                assert_eq!(
                    shown(look(base.as_fd(), path, how)),
                    kernel,
                    "{path} {how:?}"
                );
            }
        }
        // Without BENEATH: from the root.
        for how in [plain | magic, magic] {
            for path in [
                "/",
                "/proc/stat",
                "/proc/mounts",
                "/proc/net/dev",
                "/proc/self/exe",
                "/proc/self/root/etc",
                "/proc/self/cwd",
                "/proc/self/fd/0",
                "/proc/thread-self/ns/net",
                "/sys/class/net/lo/mtu",
                "/sys/class/net/lo/subsystem",
                "/etc/passwd/x",
                "/nowhere",
            ] {
                let kernel = shown(sys::openat2(CWD, path, OFlags::PATH, Mode::empty(), how));
                let found = shown(look(CWD, path, how));
                // A door that leads to nothing with a name is no door here, but leads to nothing.
                let same =
                    found == kernel || (kernel, found) == (Err(Errno::LOOP), Err(Errno::NOENT));
                assert!(
                    same,
                    "{path} {how:?}: {found:?}, the kernel says {kernel:?}"
                );
            }
        }
        for kernels in ["/proc", "/sys"] {
            let base = sys::open(kernels, OFlags::PATH, Mode::empty()).unwrap();
            for path in [
                "mounts",
                "net/dev",
                "self/exe",
                "self/root/etc/passwd",
                "class/net/lo/mtu",
                "fs/cgroup/cgroup.procs",
                "../etc/passwd",
            ] {
                let kernel = shown(sys::openat2(
                    &base,
                    path,
                    OFlags::PATH,
                    Mode::empty(),
                    inside | magic,
                ));
                assert_eq!(
                    shown(look(base.as_fd(), path, inside | magic)),
                    kernel,
                    "{kernels}/{path}"
                );
            }
        }
    }
}
