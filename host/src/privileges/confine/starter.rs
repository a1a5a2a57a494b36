//! The starter: what it gives away, servers and compilers never had.

use caps::Capability::CAP_BPF;
use rustix::thread::set_keep_capabilities;

use super::{ConfineError, DropError, Hardening, Privileges, Process, off, required, seccomp};
use crate::privileges::drop::{
    check_single_threaded, forbid_new_privileges, keep_only, shrink_bounding, verify,
};
use crate::privileges::server_user::ServerUser;
use crate::privileges::set::CapabilitySet;

/// Gives away, in the forked starter, all that servers and compilers are not to have: every
/// capability (but CAP_BPF with `keep_bpf`, see [`crate::privileges::server_needs_cap_bpf`]), in
/// every set, whatever `--capabilities.keep` says; the user, where there is another one; and the
/// system calls that neither of them needs. This thread has to be the only one. Dumpable is for the
/// caller to take away, afterwards: another user may give it back. After an error the process
/// should end.
pub(crate) fn enter_starter(
    user: Option<&ServerUser>,
    keep_bpf: bool,
    hardening: &Hardening,
) -> Result<(), ConfineError> {
    check_single_threaded()?;
    let before = Privileges::current().map_err(ConfineError::Read)?;
    let kept = kept(keep_bpf, &before);
    // While CAP_SETPCAP is in force, and CAP_SETUID is.
    shrink_bounding(&before, kept)?;
    if let Some(user) = user {
        become_user(user, !kept.is_empty())?;
    }
    keep_only(kept)?;
    if !off(hardening.no_new_privs) {
        forbid_new_privileges()?;
    }
    let after = Privileges::current().map_err(ConfineError::Read)?;
    verify(&before, &after, kept)?;
    if !off(hardening.no_new_privs) && !after.no_new_privs {
        return Err(DropError::NewPrivileges.into());
    }
    let filter = seccomp::install(Process::Starter, hardening.seccomp, false);
    if filter.failed {
        filter.log();
    }
    required("seccomp", hardening.seccomp, filter)?;
    Ok(())
}

/// Another user than root has no capabilities, unless told to keep them.
fn become_user(user: &ServerUser, keep: bool) -> Result<(), ConfineError> {
    let failed = |source| ConfineError::ServerUser {
        user: user.to_string(),
        source,
    };
    let keep_over_change = |keep| set_keep_capabilities(keep).map_err(|error| failed(error.into()));
    if keep {
        keep_over_change(true)?;
    }
    user.set_ids().map_err(failed)?;
    if keep {
        keep_over_change(false)?;
    }
    Ok(())
}

/// What stays of the capabilities in the starter and its children.
pub(super) fn kept(keep_bpf: bool, now: &Privileges) -> CapabilitySet {
    if keep_bpf {
        CapabilitySet::of(&[CAP_BPF]).and(now.permitted)
    } else {
        CapabilitySet::EMPTY
    }
}
