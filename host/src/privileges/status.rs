//! What privileges a process has, as /proc/PID/status tells (proc_pid_status(5)).

use std::fs;
use std::io;

use super::set::CapabilitySet;
use crate::kernel::read_text;

/// The five capability sets and `no_new_privs` of one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    pub(crate) inheritable: CapabilitySet,
    pub(crate) permitted: CapabilitySet,
    pub(crate) effective: CapabilitySet,
    pub(crate) bounding: CapabilitySet,
    pub(crate) ambient: CapabilitySet,
    pub(crate) no_new_privs: bool,
    /// A filter of system calls is on.
    pub(crate) seccomp: bool,
}

/// A thread of this process.
pub(super) struct Thread {
    pub(super) id: u32,
    pub(super) name: String,
}

// === impl Privileges ===

impl Privileges {
    /// Those of the calling thread.
    pub(crate) fn current() -> io::Result<Self> {
        let status = read_text("/proc/thread-self/status")?;
        Self::parse(&status).ok_or_else(|| {
            io::Error::other("expected capability sets in /proc/thread-self/status, found none")
        })
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.strip_prefix(':')?.trim())
        };
        let set = |name| {
            u64::from_str_radix(field(name)?, 16)
                .ok()
                .map(CapabilitySet::from_bits)
        };
        Some(Self {
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privs: field("NoNewPrivs")? == "1",
            seccomp: field("Seccomp") == Some("2"),
        })
    }
}

/// The threads of this process, by id.
pub(super) fn threads() -> io::Result<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let file_name = entry?.file_name();
        let Some(id) = file_name.to_str().and_then(|id| id.parse().ok()) else {
            continue;
        };
        let name = read_text(format!("/proc/self/task/{id}/comm")).unwrap_or_default();
        let name = name.trim_end().to_owned();
        threads.push(Thread { id, name });
    }
    threads.sort_unstable_by_key(|thread| thread.id);
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use caps::Capability::{CAP_BPF, CAP_CHOWN, CAP_PERFMON};

    use super::{CapabilitySet, Privileges};

    const FIXTURE: &str = "\
Name:\tCapPrm: x
Threads:\t1
CapInh:\t0000000000000000
CapPrm:\t000000c000000000
CapEff:\t0000008000000000
CapBnd:\t0000000000000001
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t0
";

    #[test]
    fn all_sets_are_read() {
        assert_eq!(
            Privileges::parse(FIXTURE).unwrap(),
            Privileges {
                inheritable: CapabilitySet::EMPTY,
                permitted: CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]),
                effective: CapabilitySet::of(&[CAP_BPF]),
                bounding: CapabilitySet::of(&[CAP_CHOWN]),
                ambient: CapabilitySet::EMPTY,
                no_new_privs: true,
                seccomp: false,
            }
        );
    }

    #[test]
    fn a_status_without_a_set_is_refused() {
        assert_eq!(Privileges::parse(&FIXTURE.replace("CapAmb", "Cap")), None);
        assert_eq!(Privileges::parse(""), None);
    }
}
