//! What loader and starter say to each other.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::privileges::ServerPaths;

/// The exit code of a child that could not give away what it has to, and so did not begin.
pub(super) const CANNOT_CONFINE: i32 = 70;

/// A child of the starter. Never used twice in a starter's life, unlike a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ChildId(pub(super) u64);

/// What one compiler may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CompileLimits {
    /// Bytes of private writable memory.
    pub(crate) memory: u64,
    /// Processor time.
    pub(crate) cpu: Duration,
}

/// A child is gone and reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exited {
    pub(crate) child: ChildId,
    pub(crate) how: How,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Of the starter only: somebody else has reaped it.
    Unknown,
}

/// From the loader.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Fork a server.
    Server { request: u64, paths: ServerPaths },
    /// Fork a compiler. Comes with one descriptor, the component.
    Compile { request: u64, limits: CompileLimits },
    /// Kill this child, if it is still there.
    Kill { child: ChildId },
}

/// From the starter. The answers to requests come in the order of the requests, and a child's
/// `Exited` after its `Started`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// The first message: privileges are given away, requests may come.
    Ready,
    /// Instead of `Ready`: it could not be, and the starter ends.
    Failed { why: String },
    /// Comes with the loader's ends: the socket and the lifeline of a server, or the answer socket
    /// of a compiler.
    Started {
        request: u64,
        child: ChildId,
        pid: u32,
    },
    /// Nothing was started.
    Refused { request: u64, why: String },
    /// The child is gone and reaped.
    Exited { child: ChildId, how: How },
}

impl How {
    /// A server or a compiler could not give away what it has to, and so did not begin: the next
    /// one will not either. Its log says why.
    pub(crate) fn unconfined(self) -> bool {
        self == Self::Code(CANNOT_CONFINE)
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(libc::SIGKILL) => f.write_str("signal 9 (SIGKILL)"),
            Self::Signal(number) => write!(f, "signal {number}"),
            Self::Unknown => f.write_str("somebody else has reaped it"),
        }
    }
}
