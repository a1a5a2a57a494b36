//! The starter: a process of its own that forks, kills and reaps servers and compilers, and the
//! loader's handle on it.
//!
//! Filters, landlock and no_new_privs are inherited and only add up, so a process that has given
//! away what a loader gives away could not fork one that may use the network; and a loader without
//! CAP_KILL could not kill a process of another user. So [`start`] forks the starter first of all:
//! it takes the server's user, gives away every capability, and then waits for requests. It runs
//! no plugin, reads nothing but the loader's messages, and has one thread, so that what it forks
//! may use the whole library. Nothing here executes a program: all processes are this one, forked.
//!
//! ```text
//! loader ── SEQPACKET pair ── starter ─┬─ server     its pair's other end and the write end of
//!                                      │             its lifeline go to the loader
//!                                      └─ compiler   its answer's other end goes to the loader
//! ```
//!
//! Who ends with whom: the end of the loader's socket ends the starter, which kills and reaps its
//! children first. The end of the starter kills its children (PR_SET_PDEATHSIG: it has one thread,
//! so the signal comes when the process ends and not before) and tells the loader, whose receiver
//! of [`Exited`] is then disconnected. A server leaves by itself when the loader lets go of its
//! lifeline ([`leave_with`]), also while the starter is stopped.
//!
//! Owns the forks, the descriptors that a child starts with, its comm, its OOM score and its
//! reaping. Does not own what a server or a compiler does ([`Entries`]), what they give away
//! (`privileges`), nor when a new server is due (the loader).

mod child;
mod error;
mod follow;
mod fork;
mod handle;
mod lifeline;
mod messages;
mod orphans;
mod reap;
mod supervise;
mod sys;

use std::os::fd::OwnedFd;
use std::process::ExitCode;

use crate::cli::settings::Settings;
use crate::privileges::Feature;

pub(crate) use error::StarterError;
pub(crate) use fork::start;
pub(crate) use handle::Starter;
#[cfg(test)]
pub(crate) use handle::{NewCompiler, NewServer};
pub(crate) use lifeline::leave_with;
pub(crate) use messages::{ChildId, CompileLimits, Exited, How};

/// What the forked processes do once they have given away what they need not have.
#[derive(Clone, Copy)]
pub(crate) struct Entries {
    /// A server's process ends with the code that this gives.
    pub(crate) server: fn(&Settings, ServerStart) -> ExitCode,
    /// A compiler's process ends with code 0 after this.
    pub(crate) compiler: fn(CompilerStart),
}

/// What a server starts with.
pub(crate) struct ServerStart {
    /// One end of a SOCK_SEQPACKET pair; the loader has the other.
    pub(crate) socket: OwnedFd,
    /// For [`leave_with`].
    pub(crate) lifeline: OwnedFd,
    /// What became of this server's hardening.
    pub(crate) features: Vec<Feature>,
}

/// What a compiler starts with.
pub(crate) struct CompilerStart {
    /// As the loader gave it: a sealed memfd with the component's bytes.
    pub(crate) component: OwnedFd,
    /// One end of a SOCK_SEQPACKET pair; the loader has the other.
    pub(crate) answer: OwnedFd,
}

#[cfg(test)]
mod tests;
