//! The loader's thread that takes what the starter says, and who waits for which answer.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};
use rustix::process::Pid;

use super::error::StarterError;
use super::messages::{ChildId, Event, Exited, Request};
use super::reap::reaped;
use crate::link::{ReceiveError, Receiver, SendError, Sender, Truncated};

pub(super) type Answer = Result<Started, StarterError>;

/// A child as its answer tells.
pub(super) struct Started {
    pub(super) child: ChildId,
    pub(super) pid: u32,
    pub(super) ends: Vec<OwnedFd>,
}

/// Requests without an answer.
pub(super) struct Requests {
    /// None: the starter is gone.
    open: Mutex<Option<Open>>,
}

#[derive(Default)]
struct Open {
    next: u64,
    waiting: BTreeMap<u64, mpsc::Sender<Answer>>,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self {
            open: Mutex::new(Some(Open::default())),
        }
    }

    /// None: the starter is gone.
    pub(super) fn add(&self) -> Option<(u64, mpsc::Receiver<Answer>)> {
        let mut open = self.open.lock();
        let open = open.as_mut()?;
        let (answer, receiver) = mpsc::channel();
        let number = open.next;
        open.next += 1;
        open.waiting.insert(number, answer);
        Some((number, receiver))
    }

    pub(super) fn take(&self, number: u64) -> Option<mpsc::Sender<Answer>> {
        self.open.lock().as_mut()?.waiting.remove(&number)
    }

    /// A message is lost, and it may have been the answer to any of them.
    fn fail_all(&self, why: &str) {
        let mut open = self.open.lock();
        let waiting = open.as_mut().map(|open| std::mem::take(&mut open.waiting));
        for answer in waiting.into_iter().flat_map(BTreeMap::into_values) {
            let _ = answer.send(Err(StarterError::Answer(why.to_owned())));
        }
    }

    /// Whoever waits finds its channel disconnected.
    fn close(&self) {
        *self.open.lock() = None;
    }
}

/// The thread `starter-link`: takes what the starter says.
pub(super) struct Follower {
    pub(super) pid: Pid,
    pub(super) socket: OwnedFd,
    pub(super) sender: Sender,
    pub(super) requests: Arc<Requests>,
    pub(super) exits: mpsc::Sender<Exited>,
    /// Children that came too late for whoever asked for them.
    pub(super) unwanted: BTreeSet<ChildId>,
    pub(super) ending: Arc<AtomicBool>,
}

impl Follower {
    pub(super) fn run(mut self, mut receiver: Receiver) {
        let why = loop {
            match receiver.receive::<Event>() {
                Ok(Some(received)) => self.take(received.message, received.descriptors),
                Ok(None) => break None,
                Err(ReceiveError::Io(error)) => break Some(error.to_string()),
                Err(ReceiveError::Truncated(truncated)) => self.lose(&truncated),
                Err(ReceiveError::Malformed(why)) => {
                    tracing::error!("a message of the starter's is lost: {why}");
                    self.requests.fail_all(&why);
                }
            }
        };
        self.requests.close();
        // If it is there still, it ends now. Whoever waits for children learns of it first.
        let Self {
            pid, exits, ending, ..
        } = self;
        let _ = shutdown(&self.socket, Shutdown::Both);
        drop(exits);
        let how = reaped(pid);
        if ending.load(Ordering::Relaxed) {
            tracing::debug!("the starter ended: {how}");
        } else {
            let why = why.map(|why| format!(", cannot read from it: {why}"));
            tracing::error!(
                "the starter is gone ({how}{}), and every server with it",
                why.unwrap_or_default()
            );
        }
    }

    /// A child came without the loader's ends of it.
    fn lose(&mut self, truncated: &Truncated) {
        let why = truncated.to_string();
        let Some(Event::Started { request, child, .. }) = truncated.message() else {
            tracing::error!("a message of the starter's is lost: {why}");
            return self.requests.fail_all(&why);
        };
        if let Some(answer) = self.requests.take(request) {
            let _ = answer.send(Err(StarterError::Answer(why)));
        }
        self.refuse(child);
    }

    /// Nobody will ask for the end of this child.
    fn refuse(&mut self, child: ChildId) {
        self.unwanted.insert(child);
        kill(&self.sender, child);
    }

    fn take(&mut self, event: Event, ends: Vec<OwnedFd>) {
        match event {
            Event::Started {
                request,
                child,
                pid,
            } => {
                let started = Started { child, pid, ends };
                let answer = self.requests.take(request);
                let untaken = answer.is_none_or(|answer| answer.send(Ok(started)).is_err());
                if untaken {
                    self.refuse(child);
                }
            }
            Event::Refused { request, why } => {
                if let Some(answer) = self.requests.take(request) {
                    let _ = answer.send(Err(StarterError::Refused(why)));
                }
            }
            Event::Exited { child, how } => {
                if !self.unwanted.remove(&child) {
                    // The loader need not listen.
                    let _ = self.exits.send(Exited { child, how });
                }
            }
            Event::Ready | Event::Failed { .. } => {
                tracing::error!("expected news of children from the starter, found {event:?}");
            }
        }
    }
}

pub(super) fn kill(sender: &Sender, child: ChildId) {
    match sender.send(&Request::Kill { child }, &[]) {
        Ok(()) | Err(SendError::Closed) => {}
        Err(error) => tracing::error!(%child, "cannot have a process killed: {error}"),
    }
}
