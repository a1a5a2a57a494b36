//! Trying what must fail: the hardening looked at from the inside (`--hardening.check`).
//!
//! Each attempt is harmless where it succeeds, and is undone.

mod files;
mod kernel;
mod network;
mod processes;

use std::io;

use serde::{Deserialize, Serialize};

use super::process::Process;

/// What came of an attempt. One made in the server goes to the loader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) what: String,
    /// It was not refused: what it tries could have been done.
    pub(crate) allowed: bool,
    /// The kernel's answer.
    pub(crate) answer: String,
}

/// What is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    /// The thing itself.
    Real,
    /// A system call with arguments that cannot work: only EPERM and EACCES are a refusal, any
    /// other answer says that the kernel would have done it.
    Nothing,
}

/// One thing to try.
struct Try {
    what: &'static str,
    on: On,
    /// The processes that must not be able to.
    of: &'static [Process],
    how: fn() -> io::Result<()>,
}

/// Who tries at all: starter and compilers run nothing that could ask for it.
const ALL: &[Process] = &[Process::Whole, Process::Loader, Process::Server];
/// The loader and the whole read all files that their user may, have capabilities and
/// load programs.
const SERVER: &[Process] = &[Process::Server];
const NOT_WHOLE: &[Process] = &[Process::Loader, Process::Server];
const LOADER: &[Process] = &[Process::Loader];

/// Tries everything that such a process must not be able to, on a thread of its own: what holds for
/// it holds for all that the host starts.
pub(crate) fn attempt_all(process: Process) -> io::Result<Vec<Attempt>> {
    std::thread::Builder::new()
        .name("hardening-check".into())
        .spawn(move || {
            let tables = [
                files::TRIES,
                processes::TRIES,
                kernel::TRIES,
                network::TRIES,
            ];
            let all = tables.into_iter().flatten();
            all.filter(|one| one.of.contains(&process))
                .map(Try::make)
                .collect()
        })?
        .join()
        .map_err(|_| io::Error::other("an attempt ended its thread"))
}

// === impl Try ===

impl Try {
    fn make(&self) -> Attempt {
        let result = (self.how)();
        let allowed = match (&result, self.on) {
            (Ok(()), _) => true,
            (Err(_), On::Real) => false,
            (Err(error), On::Nothing) => error.kind() != io::ErrorKind::PermissionDenied,
        };
        Attempt {
            what: self.what.to_owned(),
            allowed,
            answer: result
                .err()
                .map_or_else(|| "done".to_owned(), |error| error.to_string()),
        }
    }
}

/// A system call by its number. The arguments are numbers, null pointers, addresses that are not
/// mapped, or of what lives as long as the program.
fn call<const N: usize>(number: libc::c_long, arguments: [usize; N]) -> io::Result<usize> {
    let mut all = [0; 6];
    for (register, argument) in all.iter_mut().zip(arguments) {
        *register = argument;
    }
    let [a, b, c, d, e, f] = all;
    #[expect(
        unsafe_code,
        reason = "these calls have no safe wrapper, and should not"
    )]
    // SAFETY: see above: nothing of this process' memory is written, and what is read is alive; the
    // calls are those in this room's tables.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The same for a call that gives a descriptor, which is closed.
fn call_for_descriptor<const N: usize>(
    number: libc::c_long,
    arguments: [usize; N],
) -> io::Result<()> {
    let descriptor = call(number, arguments)?;
    call(libc::SYS_close, [descriptor]).map(drop)
}

/// A process to try it on: the one that started this one, in the server the starter. The first
/// process of a container has none that it could name, and takes any other, such as the starter.
fn other_process() -> usize {
    let pid = rustix::process::getppid().or_else(|| {
        let names = std::fs::read_dir("/proc").ok()?;
        let pids = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(rustix::process::Pid::from_raw)
            .find(|&pid| pid != rustix::process::getpid())
    });
    pid.and_then(|pid| usize::try_from(pid.as_raw_pid()).ok())
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_unconfined_process_is_told_what_it_may_do() {
        let attempts = attempt_all(Process::Server).unwrap();
        let allowed = |what: &str| {
            let attempt = attempts.iter().find(|one| one.what == what).unwrap();
            attempt.allowed
        };
        assert!(allowed("execve") && allowed("open a unix socket") && allowed("read /etc/passwd"));
        let names: BTreeSet<&str> = attempts.iter().map(|one| one.what.as_str()).collect();
        assert_eq!(names.len(), attempts.len());
    }

    #[test]
    fn each_process_has_its_own() {
        let has = |process, what: &str| {
            let attempts = attempt_all(process).unwrap();
            attempts.iter().any(|one| one.what == what)
        };
        assert!(!has(Process::Loader, "read /etc/shadow"));
        assert!(has(Process::Loader, "open an internet socket"));
        assert!(!has(Process::Server, "open an internet socket"));
        assert!(!has(Process::Whole, "load a BPF program"));
    }
}
