//! Trying what must fail: the hardening looked at from the inside (`--hardening.check`).
//!
//! Each attempt is harmless where it succeeds, and is undone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::process::Command;

use caps::{CapSet, Capability};

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) what: &'static str,
    /// The kernel's answer; `None`: it was done.
    pub(crate) refused: Option<io::Error>,
}

impl Attempt {
    /// Anything but EPERM and EACCES says that the kernel would have done it: only what it was asked to do it to was not there.
    pub(crate) fn allowed(&self) -> bool {
        self.refused
            .as_ref()
            .is_none_or(|error| error.kind() != io::ErrorKind::PermissionDenied)
    }
}

/// Tries everything, on a thread of its own: what holds for it holds for all that the host starts.
pub(crate) fn attempt_all() -> io::Result<Vec<Attempt>> {
    std::thread::Builder::new()
        .name("hardening-check".into())
        .spawn(|| {
            ATTEMPTS
                .iter()
                .map(|(what, attempt)| Attempt {
                    what,
                    refused: attempt().err(),
                })
                .collect()
        })?
        .join()
        .map_err(|_| io::Error::other("an attempt ended its thread"))
}

type Attempted = (&'static str, fn() -> io::Result<()>);

const ATTEMPTS: [Attempted; 11] = [
    ("read /etc/shadow", || File::open("/etc/shadow").map(drop)),
    ("read /etc/passwd", || File::open("/etc/passwd").map(drop)),
    ("write to the directory for temporary files", write),
    ("run a program", || {
        Command::new("/proc/self/exe")
            .arg("--version")
            .output()
            .map(drop)
    }),
    ("execve", || {
        // Nothing there to become: the process must not end where this is allowed.
        call(libc::SYS_execve, [c"/nowhere".as_ptr() as usize, 0, 0])
    }),
    ("gain CAP_SYS_ADMIN", || {
        caps::raise(None, CapSet::Permitted, Capability::CAP_SYS_ADMIN)
            .map_err(|_| io::Error::from_raw_os_error(libc::EPERM))
    }),
    ("make a namespace", || {
        call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize, 0, 0])
    }),
    ("mount", || call(libc::SYS_mount, [0, 0, 0])),
    ("trace a process", || {
        // Asks for a word of a process that we don't trace.
        let peek = libc::PTRACE_PEEKUSER as usize;
        call(libc::SYS_ptrace, [peek, std::process::id() as usize, 0])
    }),
    ("load a kernel module", || {
        call(libc::SYS_finit_module, [usize::MAX, 0, 0])
    }),
    ("become root", || call(libc::SYS_setuid, [0, 0, 0])),
];

fn write() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("exporter-host-check-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)
}

fn call(number: libc::c_long, [a, b, c]: [usize; 3]) -> io::Result<()> {
    let rest = 0_usize;
    #[expect(
        unsafe_code,
        reason = "these calls have no safe wrapper, and should not"
    )]
    // SAFETY: the arguments above are numbers, null pointers, which the kernel answers with EFAULT, and one string that lives as long as the
    // program; nothing is written to this process' memory.
    let result = unsafe { libc::syscall(number, a, b, c, rest, rest) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
