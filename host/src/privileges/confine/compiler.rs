//! A compiler: it reads a component from one descriptor and writes code to another, and needs
//! nothing else of the kernel but memory and threads.

use std::time::Duration;

use super::{ConfineError, Hardening, Paths, Privileges, Process, close, off};
use crate::privileges::drop::{check_single_threaded, forbid_new_privileges, keep_only};
use crate::privileges::limits::limit_compiler;
use crate::privileges::set::CapabilitySet;

/// Confines a forked compiler. `memory`: bytes of its own that it may have, what it shares with the
/// starter included; `cpu`: of all its threads. Beyond them it is ended, by itself or the kernel.
/// No file can be opened afterwards. This thread has to be the only one. After an error the process
/// should end.
pub(crate) fn confine_compiler(
    hardening: &Hardening,
    memory: u64,
    cpu: Duration,
) -> Result<(), ConfineError> {
    check_single_threaded()?;
    keep_only(CapabilitySet::EMPTY)?;
    if !off(hardening.no_new_privs) {
        forbid_new_privileges()?;
    }
    limit_compiler(memory, cpu)?;
    let now = Privileges::current().map_err(ConfineError::Read)?;
    for feature in close(Process::Compiler, hardening, &now, Paths::default())? {
        if feature.failed {
            feature.log();
        }
    }
    Ok(())
}
