//! Files: opening them, writing them, and changing what is said about them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::{ALL, NOT_WHOLE, On, SERVER, Try, call};

/// A file that everybody has.
const FILE: &str = "/dev/null";

pub(super) const TRIES: &[Try] = &[
    Try {
        what: "read /etc/shadow",
        on: On::Real,
        of: SERVER,
        how: || File::open("/etc/shadow").map(drop),
    },
    Try {
        what: "read /etc/passwd",
        on: On::Real,
        of: SERVER,
        how: || File::open("/etc/passwd").map(drop),
    },
    Try {
        what: "read what lies in root's home",
        on: On::Real,
        of: SERVER,
        how: || {
            let home = Path::new("/root");
            File::open(home.join(".bashrc"))
                .or_else(|_| File::open(home))
                .map(drop)
        },
    },
    Try {
        what: "read another process' environment",
        on: On::Real,
        of: SERVER,
        how: || File::open("/proc/1/environ").map(drop),
    },
    Try {
        what: "write outside of what was granted",
        on: On::Real,
        of: ALL,
        how: write,
    },
    Try {
        what: "open a device for writing",
        on: On::Real,
        of: SERVER,
        how: || OpenOptions::new().write(true).open(FILE).map(drop),
    },
    Try {
        what: "change a file's mode",
        on: On::Real,
        of: NOT_WHOLE,
        how: || {
            let mode = fs::metadata(FILE)?.mode();
            fs::set_permissions(FILE, fs::Permissions::from_mode(mode & 0o7777))
        },
    },
    Try {
        what: "change a file's mode in the newest way",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || {
            const FCHMODAT2: libc::c_long = 452;
            call(FCHMODAT2, [usize::MAX, 0, 0, 0]).map(drop)
        },
    },
    Try {
        what: "change the extended attributes of a path",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || call(libc::SYS_setxattr, [0; 5]).map(drop),
    },
    Try {
        what: "change a file's owner",
        on: On::Real,
        of: NOT_WHOLE,
        how: || {
            let now = fs::metadata(FILE)?;
            std::os::unix::fs::chown(FILE, Some(now.uid()), Some(now.gid()))
        },
    },
    Try {
        what: "change a file's times",
        on: On::Real,
        of: NOT_WHOLE,
        how: || {
            let now = fs::metadata(FILE)?;
            let times = Timestamps {
                last_access: Timespec {
                    tv_sec: now.atime(),
                    tv_nsec: now.atime_nsec(),
                },
                last_modification: Timespec {
                    tv_sec: now.mtime(),
                    tv_nsec: now.mtime_nsec(),
                },
            };
            Ok(utimensat(CWD, FILE, &times, AtFlags::empty())?)
        },
    },
    Try {
        what: "change a file's extended attributes",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || call(libc::SYS_fsetxattr, [usize::MAX, 0, 0]).map(drop),
    },
    Try {
        what: "remove a file",
        on: On::Nothing,
        of: SERVER,
        how: || fs::remove_file("/nowhere/at/all"),
    },
    Try {
        what: "rename a file",
        on: On::Nothing,
        of: SERVER,
        how: || fs::rename("/nowhere/at/all", "/nowhere/at/either"),
    },
];

/// To any of the directories that are most likely to be writable. The cache of plugins lies in none
/// of them, at most beneath.
fn write() -> io::Result<()> {
    let temporary = std::env::temp_dir();
    let mut refused = io::Error::other("nothing was tried");
    for directory in [
        temporary.as_path(),
        Path::new("/var/tmp"),
        Path::new("/dev/shm"),
        Path::new("/run"),
        Path::new("/"),
    ] {
        let path = directory.join(format!("exporter-host-check-{}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => return fs::remove_file(&path),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
