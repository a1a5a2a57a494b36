//! Limits on resources, and who may look into this process.

use std::io;
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// A limit that was not to be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot limit {what} to {to} {unit}: {source}")]
pub(crate) struct LimitError {
    what: &'static str,
    to: u64,
    unit: &'static str,
    source: io::Error,
}

/// Lets this process have as many open descriptors as the kernel lets it ask for: the soft limit
/// becomes the hard one. Children inherit it.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Keeps other processes of the same user out of this one: its memory and its descriptors, by
/// ptrace and by /proc. A change of the user may undo it (fs.suid_dumpable), so it comes after
/// that.
pub(crate) fn hide_process() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Limits a compiler for good. `memory`: bytes that it may have of its own, and bytes of a file
/// that it writes; `cpu`: of all its threads together, rounded up to a second. Beyond the first an
/// allocation fails, beyond the others the kernel ends it. No core is dumped.
pub(super) fn limit_compiler(memory: u64, cpu: Duration) -> Result<(), LimitError> {
    let seconds = cpu
        .as_secs()
        .saturating_add(u64::from(cpu.subsec_nanos() > 0))
        .max(1);
    // At the soft limit comes SIGXCPU, which ends it; at the hard one SIGKILL.
    let limits = [
        (Resource::Data, "memory", memory, memory, "bytes"),
        (Resource::Fsize, "files", memory, memory, "bytes"),
        (
            Resource::Cpu,
            "CPU time",
            seconds,
            seconds.saturating_add(1),
            "seconds",
        ),
        (Resource::Core, "core files", 0, 0, "bytes"),
    ];
    for (resource, what, soft, hard, unit) in limits {
        limit(resource, soft, hard).map_err(|source| LimitError {
            what,
            to: soft,
            unit,
            source,
        })?;
    }
    Ok(())
}

/// A stricter limit that is there already stays.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let hard = now.maximum.map_or(hard, |maximum| maximum.min(hard));
    let soft = now.current.map_or(soft, |current| current.min(soft));
    let limit = Rlimit {
        current: Some(soft.min(hard)),
        maximum: Some(hard),
    };
    Ok(setrlimit(resource, limit)?)
}
