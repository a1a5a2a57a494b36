//! Giving privilege away for good.

use std::io;

use caps::Capability;
use rustix::thread::{
    CapabilitySet as Raw, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use tracing::{debug, info, warn};

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
    /// Still in the bounding set beyond `kept`, as shrinking it needs CAP_SETPCAP. Harmless under
    /// no_new_privs.
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
    Step {
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

/// Puts in force what is permitted. A program file with capabilities "permitted" but not
/// "effective" can be started with fewer than it names (in a container, say), where one with both
/// could not be started at all; but then it is up to the program.
pub(crate) fn raise() -> Result<(), DropError> {
    let now = Privileges::current().map_err(DropError::Read)?;
    if now.permitted.without(now.effective).is_empty() {
        return Ok(());
    }
    set_own(now.permitted, now.permitted, now.inheritable)
        .map_err(failed("put the permitted capabilities in force"))
}

/// Keeps at most what `keep` names: permitted and effective are cut down to it, the bounding set
/// too, inheritable and ambient sets are emptied (the host starts no other program), and
/// no_new_privs is set if so wanted. Then looks whether the kernel says the same.
///
/// Linux has these per thread and hands them on to threads started later. So this has to be called
/// while the process has one thread and fails otherwise: that way it holds for all threads there
/// will ever be, without signalling threads of which libraries know nothing.
///
/// With [`Keep::All`] no capability is touched. After an error the process may have lost some
/// privilege and should end.
pub(super) fn drop_to(keep: Keep, no_new_privs: bool) -> Result<Report, DropError> {
    if keep != Keep::All || no_new_privs {
        check_single_threaded()?;
    }
    if no_new_privs {
        forbid_new_privileges()?;
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
    shrink_bounding(&before, kept)?;
    keep_only(kept)?;
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

pub(crate) fn check_single_threaded() -> Result<(), DropError> {
    let threads = threads().map_err(DropError::Read)?;
    if threads.len() <= 1 {
        return Ok(());
    }
    let names = threads
        .iter()
        .map(|thread| format!("{} ({})", thread.name, thread.id));
    Err(DropError::Threads(names.collect()))
}

/// Cuts the bounding set down. That needs CAP_SETPCAP, so it comes before the effective set is cut
/// down; without it the set stays as it is.
pub(super) fn shrink_bounding(before: &Privileges, kept: CapabilitySet) -> Result<(), DropError> {
    if !before.permitted.contains(Capability::CAP_SETPCAP) {
        return Ok(());
    }
    set_own(before.permitted, before.permitted, before.inheritable)
        .map_err(failed("make CAP_SETPCAP effective"))?;
    for number in before.bounding.without(kept).numbers() {
        remove_capability_from_bounding_set(Raw::from_bits_retain(1 << number))
            .map_err(io::Error::from)
            .map_err(failed("shrink the bounding capabilities"))?;
    }
    Ok(())
}

/// Keeps these permitted and effective, and empties the inheritable and the ambient set.
pub(super) fn keep_only(kept: CapabilitySet) -> Result<(), DropError> {
    clear_ambient_capability_set()
        .map_err(io::Error::from)
        .map_err(failed("empty the ambient capabilities"))?;
    set_own(kept, kept, CapabilitySet::EMPTY).map_err(failed("cut down the capabilities"))
}

pub(super) fn forbid_new_privileges() -> Result<(), DropError> {
    set_no_new_privs(true)
        .map_err(io::Error::from)
        .map_err(failed("set no_new_privs"))
}

/// Whether the kernel says what was wanted.
pub(super) fn verify(
    before: &Privileges,
    after: &Privileges,
    kept: CapabilitySet,
) -> Result<(), DropError> {
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

/// Sets three of the sets of this thread by one system call. (rustix changes the calling thread
/// alone, which is all threads there are here.)
pub(super) fn set_own(
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
) -> io::Result<()> {
    let raw = |set: CapabilitySet| Raw::from_bits_retain(set.bits());
    let sets = CapabilitySets {
        effective: raw(effective),
        permitted: raw(permitted),
        inheritable: raw(inheritable),
    };
    Ok(set_capabilities(None, sets)?)
}

fn failed(step: &'static str) -> impl Fn(io::Error) -> DropError {
    move |source| DropError::Step { step, source }
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
            "capabilities kept: {kept}; {} dropped",
            dropped.numbers().count()
        );
        debug!("capabilities dropped: {dropped}");
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
