//! Other programs, other processes, other namespaces, other users.

use std::fs::File;
use std::io;
use std::process::Command;

use rustix::process::{Pid, getpriority_process, setpriority_process};

use super::{ALL, NOT_WHOLE, On, SERVER, Try, call, other_process};

pub(super) const TRIES: &[Try] = &[
    Try {
        what: "run a program",
        on: On::Real,
        of: ALL,
        how: || {
            Command::new("/proc/self/exe")
                .arg("--version")
                .output()
                .map(drop)
        },
    },
    Try {
        what: "execve",
        on: On::Nothing,
        of: ALL,
        // Nothing there to become: the process must not end where this is allowed.
        how: || call(libc::SYS_execve, [c"/nowhere".as_ptr() as usize]).map(drop),
    },
    Try {
        what: "make a namespace",
        on: On::Real,
        of: ALL,
        how: || call(libc::SYS_unshare, [libc::CLONE_NEWNET as usize]).map(drop),
    },
    Try {
        what: "make a process in a namespace",
        on: On::Nothing,
        of: ALL,
        how: || {
            // Flags that exclude each other.
            let flags = libc::CLONE_NEWNS | libc::CLONE_FS;
            call(libc::SYS_clone, [flags as usize]).map(drop)
        },
    },
    Try {
        what: "make a process",
        on: On::Nothing,
        of: ALL,
        how: || {
            // Signal handlers cannot be shared without memory.
            call(libc::SYS_clone, [libc::CLONE_SIGHAND as usize]).map(drop)
        },
    },
    Try {
        what: "enter a namespace",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_setns, [usize::MAX, 0]).map(drop),
    },
    Try {
        what: "mount",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_mount, [0; 5]).map(drop),
    },
    Try {
        what: "trace a process",
        on: On::Nothing,
        of: ALL,
        how: || {
            // Asks for a word of a process that we don't trace.
            let peek = libc::PTRACE_PEEKUSER as usize;
            call(libc::SYS_ptrace, [peek, other_process()]).map(drop)
        },
    },
    Try {
        what: "read a process' memory",
        on: On::Nothing,
        of: ALL,
        // Nothing of it.
        how: || call(libc::SYS_process_vm_readv, [other_process()]).map(drop),
    },
    Try {
        what: "open a process' memory",
        on: On::Real,
        of: SERVER,
        how: || File::open(format!("/proc/{}/mem", other_process())).map(drop),
    },
    Try {
        what: "take a process' descriptors",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_pidfd_getfd, [usize::MAX, 0, 0]).map(drop),
    },
    Try {
        what: "signal a process",
        on: On::Real,
        of: NOT_WHOLE,
        // The signal that is none.
        how: || call(libc::SYS_kill, [other_process(), 0]).map(drop),
    },
    Try {
        what: "signal a process by its descriptor",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || call(libc::SYS_pidfd_send_signal, [usize::MAX]).map(drop),
    },
    Try {
        what: "have the kernel signal a process",
        on: On::Nothing,
        of: NOT_WHOLE,
        // By news on a descriptor, here one that is none.
        how: || {
            const F_SETOWN: usize = 8;
            call(libc::SYS_fcntl, [usize::MAX, F_SETOWN, other_process()]).map(drop)
        },
    },
    Try {
        what: "change a process' limits",
        on: On::Real,
        of: NOT_WHOLE,
        // Asks for one and changes none, for which the kernel wants the same right.
        how: || {
            let limit = libc::RLIMIT_NOFILE as usize;
            call(libc::SYS_prlimit64, [other_process(), limit]).map(drop)
        },
    },
    Try {
        what: "change a process' priority",
        on: On::Real,
        of: NOT_WHOLE,
        // To what it is.
        how: || {
            let other = i32::try_from(other_process()).ok().and_then(Pid::from_raw);
            let now = getpriority_process(other)?;
            Ok(setpriority_process(other, now)?)
        },
    },
    Try {
        what: "change which CPUs a process runs on",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || call(libc::SYS_sched_setaffinity, [other_process(), 8, 0]).map(drop),
    },
    Try {
        what: "share memory by a number",
        on: On::Nothing,
        of: NOT_WHOLE,
        // Of no bytes.
        how: || call(libc::SYS_shmget, [0]).map(drop),
    },
    Try {
        what: "share a queue by a number",
        on: On::Nothing,
        of: NOT_WHOLE,
        // One that nobody has, and not to be made.
        how: || call(libc::SYS_msgget, [0x6578_706f]).map(drop),
    },
    Try {
        what: "share semaphores by a number",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || call(libc::SYS_semget, [0x6578_706f, 0, 0]).map(drop),
    },
    Try {
        what: "change how a process is scheduled",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || {
            call(
                libc::SYS_sched_setscheduler,
                [other_process(), usize::MAX, 0],
            )
            .map(drop)
        },
    },
    Try {
        what: "become root",
        on: On::Real,
        of: ALL,
        how: || call(libc::SYS_setuid, [0]).map(drop),
    },
    Try {
        what: "gain CAP_SYS_ADMIN",
        on: On::Real,
        of: ALL,
        how: || {
            use caps::{CapSet, Capability};
            caps::raise(None, CapSet::Permitted, Capability::CAP_SYS_ADMIN)
                .map_err(io::Error::other)
        },
    },
];
