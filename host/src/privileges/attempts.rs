//! Trying what must fail: the hardening looked at from the inside (`--hardening.check`).
//!
//! Each attempt is harmless where it succeeds, and is undone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::process::Command;

use caps::{CapSet, Capability};

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) what: &'static str,
    /// The kernel's answer; `None`: it was done.
    pub(crate) refused: Option<io::Error>,
    on: On,
}

/// What is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// The thing itself.
    Real,
    /// A system call with arguments that cannot work.
    Nothing,
}

/// Tries everything, on a thread of its own: what holds for it holds for all that the host starts.
pub(crate) fn attempt_all() -> io::Result<Vec<Attempt>> {
    std::thread::Builder::new()
        .name("hardening-check".into())
        .spawn(|| {
            ATTEMPTS
                .iter()
                .map(|(what, on, attempt)| Attempt {
                    what,
                    on: *on,
                    refused: attempt().err(),
                })
                .collect()
        })?
        .join()
        .map_err(|_| io::Error::other("an attempt ended its thread"))
}

type Attempted = (&'static str, On, fn() -> io::Result<()>);

const ATTEMPTS: &[Attempted] = &[
    ("read /etc/shadow", On::Real, || {
        File::open("/etc/shadow").map(drop)
    }),
    ("read /etc/passwd", On::Real, || {
        File::open("/etc/passwd").map(drop)
    }),
    ("write outside of what was granted", On::Real, write),
    ("run a program", On::Real, || {
        Command::new("/proc/self/exe")
            .arg("--version")
            .output()
            .map(drop)
    }),
    ("execve", On::Nothing, || {
        // Nothing there to become: the process must not end where this is allowed.
        call(libc::SYS_execve, [c"/nowhere".as_ptr() as usize, 0, 0])
    }),
    ("gain CAP_SYS_ADMIN", On::Real, || {
        caps::raise(None, CapSet::Permitted, Capability::CAP_SYS_ADMIN).map_err(io::Error::other)
    }),
    ("make a namespace", On::Real, || {
        call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize, 0, 0])
    }),
    ("make a process in a namespace", On::Nothing, || {
        // Flags that exclude each other.
        let flags = libc::CLONE_NEWNS | libc::CLONE_FS;
        call(libc::SYS_clone, [flags as usize, 0, 0])
    }),
    ("enter a namespace", On::Nothing, || {
        call(libc::SYS_setns, [usize::MAX, 0, 0])
    }),
    ("mount", On::Nothing, || call(libc::SYS_mount, [0, 0, 0])),
    ("trace a process", On::Nothing, || {
        // Asks for a word of a process that we don't trace.
        let peek = libc::PTRACE_PEEKUSER as usize;
        call(libc::SYS_ptrace, [peek, std::process::id() as usize, 0])
    }),
    ("read a process' memory", On::Nothing, || {
        // Nothing of it.
        let own = std::process::id() as usize;
        call(libc::SYS_process_vm_readv, [own, 0, 0])
    }),
    ("look for keys", On::Nothing, || {
        let (get_id, of_process) = (0, libc::KEY_SPEC_PROCESS_KEYRING as usize);
        call(libc::SYS_keyctl, [get_id, of_process, 0])
    }),
    ("type into a terminal", On::Nothing, || {
        let nowhere = usize::MAX;
        call(libc::SYS_ioctl, [nowhere, libc::TIOCSTI as usize, 0])
    }),
    ("load a kernel module", On::Nothing, || {
        call(libc::SYS_finit_module, [usize::MAX, 0, 0])
    }),
    ("load another kernel", On::Nothing, || {
        call(libc::SYS_kexec_file_load, [usize::MAX, usize::MAX, 0])
    }),
    ("become root", On::Real, || {
        call(libc::SYS_setuid, [0, 0, 0])
    }),
];

// === impl Attempt ===

impl Attempt {
    /// Where the arguments were made up only EPERM and EACCES are a refusal; any other answer says that the kernel would have done it.
    pub(crate) fn allowed(&self) -> bool {
        match (&self.refused, self.on) {
            (None, _) => true,
            (Some(_), On::Real) => false,
            (Some(error), On::Nothing) => error.kind() != io::ErrorKind::PermissionDenied,
        }
    }
}

/// To any of the directories that are most likely to be writable. The cache of plugins lies in none of them, at most beneath.
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
