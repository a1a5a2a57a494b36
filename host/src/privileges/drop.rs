//! Giving privilege away for good.

use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability};
use tracing::{info, warn};

use super::keep::Keep;
use super::set::CapabilitySet;
use super::status::{Privileges, threads};

/// What became of the process' capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Permitted and effective from now on. With [`Keep::All`]: permitted all along.
    pub(crate) kept: CapabilitySet,
    /// Were permitted and are not any more.
    pub(crate) dropped: CapabilitySet,
    /// To be kept, but the process never had them.
    pub(crate) missing: CapabilitySet,
    /// Still in the bounding set beyond `kept`, as shrinking it needs CAP_SETPCAP. Harmless under no_new_privs.
    pub(crate) bounding_left: CapabilitySet,
    pub(crate) no_new_privs: bool,
    /// The process had no capability to begin with.
    pub(crate) unprivileged: bool,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DropError {
    #[error(
        "privileges belong to threads and have to be dropped while there is one, found {}: {}",
        .0.len(), .0.join(", ")
    )]
    Threads(Vec<String>),
    #[error("cannot read this process' privileges from /proc (is it mounted?): {0}")]
    Read(#[source] io::Error),
    #[error("cannot {step}: {source}")]
    Capability {
        step: &'static str,
        source: CapsError,
    },
    #[error("cannot {step}: {source}")]
    Process {
        step: &'static str,
        source: io::Error,
    },
    #[error("the kernel took the call, but the {set} capabilities are {found}, expected {wanted}")]
    Capabilities {
        set: &'static str,
        found: CapabilitySet,
        wanted: CapabilitySet,
    },
    #[error("the kernel took the call, but no_new_privs is not set")]
    NewPrivileges,
}

/// Puts in force what is permitted. A program file with capabilities "permitted" but not "effective" can be started with fewer than it
/// names (in a container, say), where one with both could not be started at all; but then it is up to the program.
pub(crate) fn raise() -> Result<(), DropError> {
    let now = Privileges::current().map_err(DropError::Read)?;
    if now.permitted.without(now.effective).is_empty() {
        return Ok(());
    }
    set(
        CapSet::Effective,
        now.permitted,
        "put the permitted capabilities in force",
    )
}

/// Keeps at most what `keep` names: permitted and effective are cut down to it, the bounding set too, inheritable and ambient sets are emptied
/// (the host starts no other program), and no_new_privs is set if so wanted. Then looks whether the kernel says the same.
///
/// Linux has these per thread and hands them on to threads started later. So this has to be called while the process has one thread and fails
/// otherwise: that way it holds for all threads there will ever be, without signalling threads of which libraries know nothing.
///
/// With [`Keep::All`] no capability is touched. After an error the process may have lost some privilege and should end.
pub(super) fn drop_to(keep: Keep, no_new_privs: bool) -> Result<Report, DropError> {
    if keep != Keep::All || no_new_privs {
        check_single_threaded()?;
    }
    if no_new_privs {
        process_control(libc::PR_SET_NO_NEW_PRIVS, 1, "set no_new_privs")?;
    }
    let before = Privileges::current().map_err(DropError::Read)?;
    if no_new_privs && !before.no_new_privs {
        return Err(DropError::NewPrivileges);
    }
    let Keep::Only(wanted) = keep else {
        return Ok(Report {
            kept: before.permitted,
            dropped: CapabilitySet::EMPTY,
            missing: CapabilitySet::EMPTY,
            bounding_left: CapabilitySet::EMPTY,
            no_new_privs: before.no_new_privs,
            unprivileged: before.permitted.is_empty(),
        });
    };
    let kept = wanted.and(before.permitted);
    caps::clear(None, CapSet::Ambient).map_err(failed("empty the ambient capabilities"))?;
    shrink_bounding(&before, kept)?;
    set(
        CapSet::Effective,
        kept,
        "cut down the effective capabilities",
    )?;
    set(
        CapSet::Permitted,
        kept,
        "cut down the permitted capabilities",
    )?;
    set(
        CapSet::Inheritable,
        CapabilitySet::EMPTY,
        "empty the inheritable capabilities",
    )?;

    let after = Privileges::current().map_err(DropError::Read)?;
    verify(&before, &after, kept)?;
    Ok(Report {
        kept,
        dropped: before.permitted.without(kept),
        missing: wanted.without(before.permitted),
        bounding_left: after.bounding.without(kept),
        no_new_privs: after.no_new_privs,
        unprivileged: before.permitted.is_empty(),
    })
}

pub(super) fn check_single_threaded() -> Result<(), DropError> {
    let threads = threads().map_err(DropError::Read)?;
    if threads.len() <= 1 {
        return Ok(());
    }
    let names = threads
        .iter()
        .map(|thread| format!("{} ({})", thread.name, thread.id));
    Err(DropError::Threads(names.collect()))
}

/// Needs CAP_SETPCAP, so it comes before the effective set is cut down. Without it the set stays as it is.
fn shrink_bounding(before: &Privileges, kept: CapabilitySet) -> Result<(), DropError> {
    if !before.permitted.contains(Capability::CAP_SETPCAP) {
        return Ok(());
    }
    caps::raise(None, CapSet::Effective, Capability::CAP_SETPCAP)
        .map_err(failed("make CAP_SETPCAP effective"))?;
    for number in before.bounding.without(kept).numbers() {
        process_control(
            libc::PR_CAPBSET_DROP,
            number,
            "shrink the bounding capabilities",
        )?;
    }
    Ok(())
}

fn verify(before: &Privileges, after: &Privileges, kept: CapabilitySet) -> Result<(), DropError> {
    let bounding = if before.permitted.contains(Capability::CAP_SETPCAP) {
        before.bounding.and(kept)
    } else {
        before.bounding
    };
    for (set, found, wanted) in [
        ("permitted", after.permitted, kept),
        ("effective", after.effective, kept),
        ("bounding", after.bounding, bounding),
        ("ambient", after.ambient, CapabilitySet::EMPTY),
        ("inheritable", after.inheritable, CapabilitySet::EMPTY),
    ] {
        if found != wanted {
            return Err(DropError::Capabilities { set, found, wanted });
        }
    }
    Ok(())
}

fn set(which: CapSet, to: CapabilitySet, step: &'static str) -> Result<(), DropError> {
    caps::set(None, which, &to.to_named()).map_err(failed(step))
}

fn failed(step: &'static str) -> impl Fn(CapsError) -> DropError {
    move |source| DropError::Capability { step, source }
}

/// prctl(2) with one argument. The `caps` crate knows neither no_new_privs nor capabilities younger than itself.
pub(super) fn process_control(
    option: libc::c_int,
    argument: u32,
    step: &'static str,
) -> Result<(), DropError> {
    let argument = libc::c_ulong::from(argument);
    let unused: libc::c_ulong = 0;
    #[expect(
        unsafe_code,
        reason = "no safe wrapper of prctl among our dependencies"
    )]
    // SAFETY: the options used in this room take numbers only, no pointers, and change nothing but this thread's privileges.
    let result = unsafe { libc::prctl(option, argument, unused, unused, unused) };
    if result == 0 {
        return Ok(());
    }
    let source = io::Error::last_os_error();
    Err(DropError::Process { step, source })
}

// === impl Report ===

impl Report {
    /// Says what was dropped, and what is missing.
    pub(crate) fn log(&self) {
        let Self { kept, dropped, .. } = self;
        if self.unprivileged {
            info!(
                no_new_privs = self.no_new_privs,
                "this process has no capabilities: nothing to drop"
            );
            return;
        }
        info!(
            no_new_privs = self.no_new_privs,
            "capabilities kept: {kept}; dropped: {dropped}"
        );
        if !self.missing.is_empty() {
            warn!(
                "capabilities to be kept that this process was started without: {}; grant them or take them out of --capabilities.keep",
                self.missing
            );
        }
        if !self.bounding_left.is_empty() {
            info!(
                "the bounding set keeps more, as shrinking it needs CAP_SETPCAP; with no_new_privs nothing can be gained from it"
            );
        }
    }
}
