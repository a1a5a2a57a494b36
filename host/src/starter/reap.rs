//! How a child of this process ended.

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use super::messages::How;

/// Waits for the end of the starter, which lets nobody wait once its connection is closed.
pub(super) fn reaped(starter: Pid) -> How {
    let status = loop {
        match waitpid(Some(starter), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => break other.ok().flatten(),
        }
    };
    status
        .and_then(|(_, status)| how_of(status))
        .unwrap_or(How::Unknown)
}

/// None: it has not ended.
pub(super) fn how_of(status: WaitStatus) -> Option<How> {
    let code = status.exit_status().map(How::Code);
    code.or_else(|| status.terminating_signal().map(How::Signal))
}
