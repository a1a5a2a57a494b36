//! The starter's own life: one thread that waits for the loader's requests and for the end of its
//! children.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use rustix::thread::set_name;

use super::child::Origin;
use super::messages::{CANNOT_CONFINE, ChildId, CompileLimits, Event, Request};
use super::reap::how_of;
use super::sys::{self, Forked};
use super::{CompilerStart, Entries, ServerStart};
use crate::cli::settings::Settings;
use crate::link::{self, Next, ReceiveError, Received, Receiver, SendError, Sender};
use crate::privileges::{self, ServerPaths, ServerUser};

/// All that the starter's process does. Gives its exit code.
pub(super) fn run(
    socket: OwnedFd,
    settings: &Settings,
    user: Option<&ServerUser>,
    keep_bpf: bool,
    entries: Entries,
) -> i32 {
    let prepared = prepare(&socket).and_then(|signals| {
        privileges::enter_starter(user, keep_bpf, &settings.hardening)
            .map_err(|error| error.to_string())?;
        // Another user makes a process dumpable where fs.suid_dumpable says so.
        privileges::hide_process().map_err(failed("make the starter non-dumpable"))?;
        let theirs = socket
            .try_clone()
            .map_err(failed("copy the loader's socket"))?;
        Ok((signals, theirs))
    });
    let (signals, theirs) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => {
            // Without a loader there is nobody to tell.
            let _ = Sender::direct(socket).send(&Event::Failed { why }, &[]);
            return CANNOT_CONFINE;
        }
    };
    let origin = Origin {
        settings,
        entries,
        parent: getpid(),
    };
    let mut supervisor = Supervisor {
        origin,
        loader: Sender::direct(theirs),
        children: BTreeMap::new(),
        next: 0,
    };
    let outcome = supervisor.work(Receiver::new(socket), &signals);
    supervisor.end_children();
    match outcome {
        Ok(()) | Err(Lost::Loader) => 0,
        Err(Lost::Link(why)) => {
            tracing::error!("the starter ends, and every server with it: {why}");
            1
        }
    }
}

/// Gives the descriptor that becomes readable when children end.
fn prepare(socket: &OwnedFd) -> Result<OwnedFd, String> {
    sys::ignore_stop_signals().map_err(failed("ignore signals"))?;
    let signals = sys::child_signals().map_err(failed("watch for the end of children"))?;
    set_name(c"exporter-start").map_err(failed("set the starter's name"))?;
    let keep = [socket.as_fd(), signals.as_fd()];
    sys::close_all_but(&keep).map_err(failed("close the loader's descriptors"))?;
    privileges::raise_descriptor_limit().map_err(failed("raise the limit on descriptors"))?;
    privileges::hide_process().map_err(failed("make the starter non-dumpable"))?;
    Ok(signals)
}

fn failed<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> String {
    move |error| format!("cannot {step}: {error}")
}

/// Why the starter's work is over.
enum Lost {
    Loader,
    /// The loader may be there, but cannot be talked to.
    Link(String),
}

#[derive(PartialEq, Eq)]
enum Connection {
    Open,
    Closed,
}

struct Supervisor<'a> {
    origin: Origin<'a>,
    loader: Sender,
    /// Those that are not reaped yet, so that their process ids are theirs.
    children: BTreeMap<ChildId, Pid>,
    next: u64,
}

/// What a fork has come to, in the starter.
struct Started {
    child: ChildId,
    pid: Pid,
    /// For the loader.
    ends: Vec<OwnedFd>,
}

impl Supervisor<'_> {
    /// Until the loader lets go of its end.
    fn work(&mut self, mut requests: Receiver, signals: &OwnedFd) -> Result<(), Lost> {
        self.tell(&Event::Ready)?;
        loop {
            let mut waiting = [
                PollFd::new(&requests, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
            ];
            match poll(&mut waiting, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Lost::Link(format!("cannot wait: {error}"))),
            }
            let [request, ended] = waiting.map(|one| !one.revents().is_empty());
            if ended {
                drain(signals);
                self.reap()?;
            }
            if request && self.read(&mut requests)? == Connection::Closed {
                return Ok(());
            }
        }
    }

    /// Answers the requests that are there.
    fn read(&mut self, requests: &mut Receiver) -> Result<Connection, Lost> {
        loop {
            match requests.receive_ready::<Request>() {
                Ok(Next::Received(request)) => self.answer(request)?,
                Ok(Next::Nothing) => return Ok(Connection::Open),
                Ok(Next::Closed) => return Ok(Connection::Closed),
                Err(ReceiveError::Truncated(truncated)) => match truncated.message() {
                    Some(Request::Compile { request, .. } | Request::Server { request, .. }) => {
                        let why = truncated.to_string();
                        self.tell(&Event::Refused { request, why })?;
                    }
                    _ => tracing::error!("a request of the loader's is lost: {truncated}"),
                },
                // Its sender waits in vain and says so.
                Err(ReceiveError::Malformed(why)) => {
                    tracing::error!("a request of the loader's is lost: {why}");
                }
                Err(ReceiveError::Io(error)) => {
                    return Err(Lost::Link(format!("cannot read requests: {error}")));
                }
            }
        }
    }

    fn answer(&mut self, received: Received<Request>) -> Result<(), Lost> {
        let (request, started) = match received.message {
            Request::Server { request, paths } => (request, self.start_server(&paths)),
            Request::Compile { request, limits } => {
                let started = self.start_compiler(limits, received.descriptors);
                (request, started)
            }
            Request::Kill { child } => {
                self.kill(child);
                return Ok(());
            }
        };
        match started {
            Ok(started) => self.hand_over(request, &started),
            Err(why) => self.tell(&Event::Refused { request, why }),
        }
    }

    /// The loader gets its ends of a child; ours close after this.
    fn hand_over(&mut self, request: u64, started: &Started) -> Result<(), Lost> {
        let Started { child, pid, ends } = started;
        let event = Event::Started {
            request,
            child: *child,
            pid: pid.as_raw_nonzero().get().unsigned_abs(),
        };
        let ends: Vec<BorrowedFd<'_>> = ends.iter().map(AsFd::as_fd).collect();
        match self.loader.send(&event, &ends) {
            Ok(()) => Ok(()),
            Err(SendError::Closed) => Err(Lost::Loader),
            // Too many descriptors that the loader has not taken yet, say.
            Err(error) => {
                self.kill(*child);
                let why = format!("cannot hand over a new process: {error}");
                self.tell(&Event::Refused { request, why })
            }
        }
    }

    fn start_server(&mut self, paths: &ServerPaths) -> Result<Started, String> {
        let (socket, theirs) = link::pair().map_err(failed("make a socket pair"))?;
        let (lifeline, held) = pipe_with(PipeFlags::CLOEXEC).map_err(failed("make a pipe"))?;
        match sys::fork().map_err(failed("fork a server"))? {
            Forked::Child => {
                let start = ServerStart {
                    socket,
                    lifeline,
                    features: Vec::new(),
                };
                self.origin.serve(paths, start)
            }
            Forked::Parent(pid) => Ok(self.adopt(pid, vec![theirs, held])),
        }
    }

    fn start_compiler(
        &mut self,
        limits: CompileLimits,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Started, String> {
        let component = match <[OwnedFd; 1]>::try_from(descriptors) {
            Ok([component]) => component,
            Err(other) => {
                let found = other.len();
                return Err(format!(
                    "expected the component's descriptor, found {found}"
                ));
            }
        };
        let (answer, theirs) = link::pair().map_err(failed("make a socket pair"))?;
        match sys::fork().map_err(failed("fork a compiler"))? {
            Forked::Child => self
                .origin
                .compile(limits, CompilerStart { component, answer }),
            Forked::Parent(pid) => Ok(self.adopt(pid, vec![theirs])),
        }
    }

    fn adopt(&mut self, pid: Pid, ends: Vec<OwnedFd>) -> Started {
        let child = ChildId(self.next);
        self.next += 1;
        self.children.insert(child, pid);
        Started { child, pid, ends }
    }

    /// Does nothing for a child that is gone.
    fn kill(&self, child: ChildId) {
        if let Some(pid) = self.children.get(&child) {
            end(*pid);
        }
    }

    /// Reaps what has ended and tells the loader.
    fn reap(&mut self) -> Result<(), Lost> {
        loop {
            let (pid, status) = match waitpid(None, WaitOptions::NOHANG) {
                Ok(Some(ended)) => ended,
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(Lost::Link(format!("cannot reap: {error}"))),
            };
            let mut children = self.children.iter();
            let found = children.find_map(|(child, known)| (*known == pid).then_some(*child));
            if let (Some(child), Some(how)) = (found, how_of(status)) {
                self.children.remove(&child);
                self.tell(&Event::Exited { child, how })?;
            }
        }
    }

    fn tell(&self, event: &Event) -> Result<(), Lost> {
        self.loader.send(event, &[]).map_err(|error| match error {
            SendError::Closed => Lost::Loader,
            error => Lost::Link(format!("cannot write to the loader: {error}")),
        })
    }

    /// Kills and reaps all.
    fn end_children(&self) {
        self.children.values().copied().for_each(end);
        loop {
            match waitpid(None, WaitOptions::empty()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

fn end(pid: Pid) {
    if let Err(error) = kill_process(pid, Signal::KILL) {
        tracing::error!(pid = pid.as_raw_nonzero(), %error, "cannot kill a process of ours");
    }
}

/// How often it was raised says nothing: signals that are pending become one.
fn drain(signals: &OwnedFd) {
    // One signalfd_siginfo. The descriptor does not block.
    let mut buffer = [0; 128];
    while matches!(read(signals, &mut buffer), Ok(1..)) {}
}
