//! Reaping for a loader that is PID 1: the kernel hands it every process of its container whose
//! parent has ended.

use std::io;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::sys::ended_child;

/// Where this process is PID 1: starts a thread that reaps all children but `starter`, whose exit
/// status its own handle wants. Says whether it did. The thread ends with the starter, as the
/// loader does then.
pub(super) fn reap_all_but(starter: Pid) -> io::Result<bool> {
    if !getpid().is_init() {
        return Ok(false);
    }
    thread::Builder::new()
        .name("reap-orphans".to_owned())
        .spawn(move || reap(starter))?;
    Ok(true)
}

fn reap(starter: Pid) {
    loop {
        match ended_child() {
            // It stays where it is, so that it would be found again and again.
            Ok(Some(child)) if child == starter => return,
            Ok(Some(child)) => match waitpid(Some(child), WaitOptions::NOHANG) {
                Ok(_) => tracing::debug!(pid = child.as_raw_nonzero(), "reaped an orphan"),
                // Somebody else was faster.
                Err(Errno::CHILD | Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot reap: processes that ended stay as zombies");
                    return;
                }
            },
            Ok(None) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot wait: processes that ended stay as zombies");
                return;
            }
        }
    }
}
