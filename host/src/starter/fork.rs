//! Forking the starter itself.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::Entries;
use super::child::end_after;
use super::error::{ANSWER_WITHIN, StarterError};
use super::handle::{Starter, readable_within};
use super::messages::Event;
use super::reap::reaped;
use super::supervise;
use super::sys::{self, Forked};
use crate::cli::settings::Settings;
use crate::link::{self, Receiver};
use crate::privileges::{self, ServerUser};

/// Bytes of what the starter says.
const MAX_EVENT: usize = 64 << 10;
/// Descriptors that come with a child.
const MAX_ENDS: usize = 2;

/// Forks the starter, which never returns from here, and waits until it has given away what it need
/// not have: its user becomes `user` (None: stays), and of the capabilities it keeps CAP_BPF alone,
/// and only with `keep_bpf`. This process has to have one thread, and goes on having one: the
/// threads of the handle start with its first use.
pub(crate) fn start(
    settings: &Settings,
    user: Option<ServerUser>,
    keep_bpf: bool,
    entries: Entries,
) -> Result<Starter, StarterError> {
    privileges::check_single_threaded()?;
    let (ours, theirs) = link::pair().map_err(StarterError::Fork)?;
    // What is still buffered would be written twice.
    let _ = io::stdout().flush();
    let mask = sys::block_stop_signals().map_err(StarterError::Fork)?;
    let forked = sys::fork();
    if let Ok(Forked::Child) = forked {
        end_after(move || supervise::run(theirs, settings, user.as_ref(), keep_bpf, entries));
    }
    // It cannot fail: the mask was one.
    let _ = mask.set_as_mask();
    match forked.map_err(StarterError::Fork)? {
        Forked::Parent(pid) => {
            drop(theirs);
            wait_until_ready(pid, ours)
        }
        Forked::Child => sys::exit_now(0),
    }
}

fn wait_until_ready(pid: Pid, socket: OwnedFd) -> Result<Starter, StarterError> {
    let ours = socket.try_clone().map_err(StarterError::Fork)?;
    let mut receiver = Receiver::limited(socket, MAX_EVENT, MAX_ENDS);
    if !readable_within(&receiver, ANSWER_WITHIN).map_err(StarterError::Fork)? {
        return Err(StarterError::Slow);
    }
    let first = receiver.receive::<Event>();
    match first.map(|received| received.map(|received| received.message)) {
        Ok(Some(Event::Ready)) => Ok(Starter::new(pid, ours, receiver)),
        Ok(Some(Event::Failed { why })) => {
            reaped(pid);
            Err(StarterError::Unconfined(why))
        }
        Ok(Some(other)) => Err(StarterError::Answer(format!(
            "expected `Ready` first, found {other:?}"
        ))),
        Ok(None) => Err(StarterError::Ended(reaped(pid))),
        Err(error) => Err(StarterError::Answer(error.to_string())),
    }
}
