//! The cgroup2 mount: where it is, which path a cgroup id has now, and which cgroups there are.
//! Remembering is done in `cgroups`.
//!
//! A cgroup's id is its inode number in cgroup2's file system, and at the same time the whole of
//! its file handle (kernfs, `FILEID_KERNFS` in linux/exportfs.h). So with CAP_DAC_READ_SEARCH an id
//! is resolved by opening its handle, without it by walking the tree.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What became of the question for one id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Path(PathBuf),
    /// No such cgroup, or none below the mount.
    Absent,
    /// The kernel does not let this process open handles: walk.
    Forbidden,
}

/// Where cgroups are looked up.
pub(super) trait CgroupTree {
    fn resolve(&self, id: u64) -> Resolution;
    /// Visits every cgroup, from the root down.
    fn walk(&self, visit: &mut dyn FnMut(u64, &Path));
}

/// A mounted cgroup2 file system.
#[derive(Debug)]
pub(super) struct MountedTree {
    path: PathBuf,
    root: File,
}

/// `struct file_handle` with kernfs' eight bytes in place of the flexible array.
#[repr(C)]
struct KernfsHandle {
    bytes: u32,
    kind: i32,
    id: u64,
}

const FILEID_KERNFS: i32 = 0xfe;

// === impl MountedTree ===

impl MountedTree {
    /// `None`: no cgroup2 is mounted here.
    pub(super) fn find() -> io::Result<Option<Self>> {
        let Some(path) = cgroup2_mount()? else {
            return Ok(None);
        };
        let root = File::open(&path)?;
        Ok(Some(Self { path, root }))
    }

    fn open(&self, id: u64) -> io::Result<OwnedFd> {
        let mut handle = KernfsHandle {
            bytes: 8,
            kind: FILEID_KERNFS,
            id,
        };
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        #[expect(unsafe_code, reason = "neither std nor rustix has open_by_handle_at")]
        // SAFETY: the pointer is to a live `struct file_handle` whose `handle_bytes` is the number
        // of bytes that follow its header, and the kernel only reads it. Nobody else owns the new
        // descriptor.
        unsafe {
            let fd = libc::open_by_handle_at(
                self.root.as_raw_fd(),
                (&raw mut handle).cast::<libc::file_handle>(),
                flags,
            );
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

impl CgroupTree for MountedTree {
    fn resolve(&self, id: u64) -> Resolution {
        let fd = match self.open(id) {
            Ok(fd) => fd,
            Err(error) => {
                return match error.raw_os_error() {
                    Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP | libc::ENOSYS) => {
                        Resolution::Forbidden
                    }
                    _ => Resolution::Absent,
                };
            }
        };
        match fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())) {
            // A cgroup outside of a mount that shows a part of the tree has a path relative to that
            // part, which names something else.
            Ok(path) if path.starts_with(&self.path) && !is_deleted(&path) => {
                Resolution::Path(path)
            }
            _ => Resolution::Absent,
        }
    }

    fn walk(&self, visit: &mut dyn FnMut(u64, &Path)) {
        let Ok(root) = self.root.metadata() else {
            return;
        };
        visit(root.ino(), &self.path);
        let mut open = vec![self.path.clone()];
        while let Some(directory) = open.pop() {
            // A cgroup may vanish between being listed and being opened.
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let path = entry.path();
                visit(entry.ino(), &path);
                open.push(path);
            }
        }
    }
}

/// Removed between opening its handle and reading its path. A living cgroup whose name ends like
/// that is told apart by being there.
fn is_deleted(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b" (deleted)") && !path.exists()
}

/// Where the cgroup2 hierarchy is mounted: `/sys/fs/cgroup`, on hybrid hosts below it. `None`:
/// nowhere.
pub(crate) fn cgroup2_mount() -> io::Result<Option<PathBuf>> {
    Ok(find_mount(&fs::read("/proc/self/mountinfo")?))
}

/// The mount point of cgroup2 in the text of /proc/self/mountinfo (proc(5)). Of several, one that
/// shows the whole tree, then one below /sys/fs/cgroup, then the first.
fn find_mount(mountinfo: &[u8]) -> Option<PathBuf> {
    let space = |byte: &u8| *byte == b' ';
    mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(space);
            let (root, point) = (fields.nth(3)?, unescape(fields.next()?));
            // Optional fields end with a hyphen.
            fields.find(|field| *field == b"-")?;
            if fields.next()? != b"cgroup2" {
                return None;
            }
            let partial = root != b"/";
            let elsewhere = !point.starts_with("/sys/fs/cgroup");
            Some((partial, elsewhere, point))
        })
        // The first of equal ones.
        .min_by_key(|(partial, elsewhere, _)| (*partial, *elsewhere))
        .map(|(_, _, point)| point)
}

/// The kernel writes blanks, tabs, newlines and backslashes of a path as `\` and three octal
/// digits.
fn unescape(field: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;

    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() {
            after.get(3..).unwrap_or_default()
        } else {
            after
        };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::find_mount;

    const HYBRID: &[u8] = b"\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
";

    #[test]
    fn the_cgroup2_mount_is_found_wherever_it_is() {
        assert_eq!(
            find_mount(HYBRID).unwrap(),
            Path::new("/sys/fs/cgroup/unified")
        );
        let unified = b"25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(find_mount(unified).unwrap(), Path::new("/sys/fs/cgroup"));
        let odd = b"25 20 0:22 / /mnt/a\\040b\\134c rw master:1 - cgroup2 none rw\n";
        assert_eq!(find_mount(odd).unwrap(), Path::new("/mnt/a b\\c"));
    }

    #[test]
    fn names_are_bytes() {
        use std::os::unix::ffi::OsStrExt;

        let mounts = b"\
24 20 0:21 / /srv/caf\xe9 rw - tmpfs t rw
25 20 0:22 / /cg\xff\\040a rw - cgroup2 cgroup2 rw
";
        let mount = find_mount(mounts).unwrap();
        assert_eq!(mount.as_os_str().as_bytes(), b"/cg\xff a");
    }

    #[test]
    fn a_mount_of_the_whole_tree_is_preferred() {
        let mounts = b"\
25 20 0:22 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw
26 20 0:22 / /cg2 rw - cgroup2 cgroup2 rw
27 20 0:22 / /other rw - cgroup2 cgroup2 rw
";
        assert_eq!(find_mount(mounts).unwrap(), Path::new("/cg2"));
    }

    #[test]
    fn without_cgroup2_there_is_none() {
        assert_eq!(
            find_mount(HYBRID.split(|byte| *byte == b'\n').next().unwrap()),
            None
        );
        assert_eq!(find_mount(b"garbage - cgroup2\n1 - cgroup2\n"), None);
    }
}
