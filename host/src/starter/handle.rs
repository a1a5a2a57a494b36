//! The loader's handle on the starter.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use rustix::process::Pid;

use super::error::{ANSWER_WITHIN, StarterError};
use super::follow::{Follower, Requests, Started, kill};
use super::messages::{ChildId, CompileLimits, Exited, Request};
use super::orphans;
use crate::link::{Receiver, SendError, Sender};
use crate::privileges::ServerPaths;

/// A server that was forked. It may end, and its [`Exited`] be there, before this is.
#[derive(Debug)]
pub(crate) struct NewServer {
    pub(crate) child: ChildId,
    pub(crate) pid: u32,
    /// The loader's end of the pair.
    pub(crate) socket: OwnedFd,
    /// The server leaves when this is closed.
    pub(crate) lifeline: OwnedFd,
}

/// A compiler that was forked. It may end, and its [`Exited`] be there, before this is.
#[derive(Debug)]
pub(crate) struct NewCompiler {
    pub(crate) child: ChildId,
    pub(crate) pid: u32,
    /// Where its answer comes; closed by the peer: it ended without one.
    pub(crate) answer: OwnedFd,
}

/// The starter, for the loader. Dropping it ends the starter and all of its children.
pub(crate) struct Starter {
    pid: Pid,
    /// A copy, to shut the connection down with.
    socket: OwnedFd,
    link: Mutex<Link>,
    exits: Mutex<Option<mpsc::Receiver<Exited>>>,
    /// The end of the starter is no surprise any more.
    ending: Arc<AtomicBool>,
}

/// The threads belong to the first use: the loader has one thread until it has given away its own
/// privileges.
enum Link {
    Waiting {
        receiver: Receiver,
        exits: mpsc::Sender<Exited>,
    },
    Running {
        sender: Sender,
        requests: Arc<Requests>,
    },
    /// Its threads could not be started.
    Broken,
}

impl Starter {
    /// `receiver` and `socket` are of the same socket; the first message was taken.
    pub(super) fn new(pid: Pid, socket: OwnedFd, receiver: Receiver) -> Self {
        let (exits, ended) = mpsc::channel();
        Self {
            pid,
            socket,
            link: Mutex::new(Link::Waiting { receiver, exits }),
            exits: Mutex::new(Some(ended)),
            ending: Arc::default(),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Has a server forked that may read `paths`. Blocks until it is there, 10 s at most. Starts
    /// threads.
    pub(crate) fn start_server(&self, paths: &ServerPaths) -> Result<NewServer, StarterError> {
        let paths = paths.clone();
        let started = self.ask(|request| Request::Server { request, paths }, &[])?;
        let Started { child, pid, ends } = started;
        let [socket, lifeline] = self.exactly(child, ends)?;
        Ok(NewServer {
            child,
            pid,
            socket,
            lifeline,
        })
    }

    /// Has a compiler forked for `component`, a sealed memfd. Blocks until it is there, 10 s at
    /// most; that it takes no longer than `limits` say for its work is the kernel's business, that
    /// it does not sleep the caller's. Starts threads.
    pub(crate) fn start_compiler(
        &self,
        component: BorrowedFd<'_>,
        limits: CompileLimits,
    ) -> Result<NewCompiler, StarterError> {
        let started = self.ask(|request| Request::Compile { request, limits }, &[component])?;
        let Started { child, pid, ends } = started;
        let [answer] = self.exactly(child, ends)?;
        Ok(NewCompiler { child, pid, answer })
    }

    /// Has `child` killed. Neither blocks nor fails: one that is gone is what was wanted, and
    /// without a starter all are.
    pub(crate) fn kill(&self, child: ChildId) {
        if let Ok((sender, _)) = self.running() {
            kill(&sender, child);
        }
    }

    /// Where the ends of children are told; disconnected when the starter is gone. None: handed out
    /// before. Starts threads.
    pub(crate) fn wait_exit(&self) -> Option<mpsc::Receiver<Exited>> {
        // Without threads it is disconnected.
        let _ = self.running();
        self.exits.lock().take()
    }

    /// Where this process is PID 1: starts a thread that reaps what the kernel hands to it. Says
    /// whether it did.
    pub(crate) fn reap_orphans(&self) -> io::Result<bool> {
        orphans::reap_all_but(self.pid)
    }

    /// Sends a request and waits for its answer.
    fn ask(
        &self,
        request: impl FnOnce(u64) -> Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Started, StarterError> {
        let (sender, requests) = self.running()?;
        let (number, answer) = requests.add().ok_or(StarterError::Gone)?;
        if let Err(error) = sender.send(&request(number), descriptors) {
            requests.take(number);
            return Err(match error {
                SendError::Closed => StarterError::Gone,
                error => StarterError::Send(error),
            });
        }
        match answer.recv_timeout(ANSWER_WITHIN) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(StarterError::Gone),
            // An answer that comes later is nobody's, and its child is killed.
            Err(RecvTimeoutError::Timeout) if requests.take(number).is_some() => {
                Err(StarterError::Slow)
            }
            // The answer is just being handed over.
            Err(RecvTimeoutError::Timeout) => answer.recv().unwrap_or(Err(StarterError::Gone)),
        }
    }

    fn exactly<const N: usize>(
        &self,
        child: ChildId,
        ends: Vec<OwnedFd>,
    ) -> Result<[OwnedFd; N], StarterError> {
        <[OwnedFd; N]>::try_from(ends).map_err(|other| {
            self.kill(child);
            StarterError::Answer(format!("expected {N} descriptors, found {}", other.len()))
        })
    }

    /// Starts the threads if that has not been done.
    fn running(&self) -> Result<(Sender, Arc<Requests>), StarterError> {
        let mut link = self.link.lock();
        if let Link::Running { sender, requests } = &*link {
            return Ok((sender.clone(), Arc::clone(requests)));
        }
        match std::mem::replace(&mut *link, Link::Broken) {
            Link::Waiting { receiver, exits } => {
                let (sender, requests) = self.run(receiver, exits).map_err(StarterError::Link)?;
                *link = Link::Running {
                    sender: sender.clone(),
                    requests: Arc::clone(&requests),
                };
                Ok((sender, requests))
            }
            _ => Err(StarterError::Gone),
        }
    }

    fn run(
        &self,
        receiver: Receiver,
        exits: mpsc::Sender<Exited>,
    ) -> io::Result<(Sender, Arc<Requests>)> {
        let sender = Sender::queued(self.socket.try_clone()?, "starter-send")?;
        let requests = Arc::new(Requests::new());
        let follower = Follower {
            pid: self.pid,
            socket: self.socket.try_clone()?,
            sender: sender.clone(),
            requests: Arc::clone(&requests),
            exits,
            unwanted: BTreeSet::new(),
            ending: Arc::clone(&self.ending),
        };
        thread::Builder::new()
            .name("starter-link".to_owned())
            .spawn(move || follower.run(receiver))?;
        Ok((sender, requests))
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        // Copies of the socket may live on in the threads.
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}

/// Waits for a message, or the end of the connection. False: neither came within `limit`.
pub(super) fn readable_within(receiver: &Receiver, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    loop {
        let mut waiting = [PollFd::from_borrowed_fd(receiver.as_fd(), PollFlags::IN)];
        match poll(&mut waiting, Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
