//! The queue of a [`super::Sender`] that never blocks, and the thread that empties it.
//!
//! Owns the socket and what waits: messages, and duplicates of their descriptors. A peer that does
//! not read costs bounded memory and descriptors, and is told to the caller ([`SendError::Full`]).
//! What the kernel holds of the socket comes on top: some 270 packets at most, each perhaps with
//! the memfd of a long payload.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use parking_lot::Condvar;
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::Shutdown;
use tracing::debug;

use super::packet;
use super::payload::Payload;
use super::payload::SendError;

/// How long the kernel is left alone when it has no room for another packet.
const PAUSE_NANOSECONDS: u32 = 20_000_000;

/// The caller's end of the queue. When it is dropped the thread empties the queue and ends.
#[derive(Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Queued>,
    /// Of what waits, and of what is being sent.
    load: Load,
    /// How many messages there were.
    pushed: u64,
    /// Nothing more is to come.
    dropped: bool,
    /// The thread is gone, for this reason.
    ended: Option<Errno>,
}

#[derive(Debug)]
struct Queued {
    number: u64,
    payload: Payload,
    descriptors: Vec<OwnedFd>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Load {
    messages: usize,
    /// Of payload.
    bytes: usize,
    descriptors: usize,
}

/// How much may wait.
const BOUNDS: Load = Load {
    messages: 16_384,
    bytes: 64 << 20,
    descriptors: 8192,
};

impl Load {
    fn of(payload: &Payload, descriptors: usize) -> Self {
        Self {
            messages: 1,
            bytes: payload.length(),
            descriptors: descriptors + payload.descriptors(),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages + other.messages,
            bytes: self.bytes + other.bytes,
            descriptors: self.descriptors + other.descriptors,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            bytes: self.bytes.saturating_sub(other.bytes),
            descriptors: self.descriptors.saturating_sub(other.descriptors),
        }
    }

    fn is_within(self, bounds: Self) -> bool {
        self.messages <= bounds.messages
            && self.bytes <= bounds.bytes
            && self.descriptors <= bounds.descriptors
    }
}

impl Queue {
    /// Starts the thread.
    pub(super) fn start(socket: OwnedFd, name: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&shared);
        // A thread's name with a 0 in it would be a panic.
        let name = name.replace('\0', "");
        thread::Builder::new()
            .name(name)
            .spawn(move || of_thread.run(&socket))?;
        Ok(Self(shared))
    }

    /// Does not block, but for the time it takes to duplicate the descriptors.
    pub(super) fn push(
        &self,
        payload: Payload,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        let mut state = self.0.state.lock();
        if let Some(errno) = state.ended {
            return Err(errno.into());
        }
        let load = state.load.plus(Load::of(&payload, descriptors.len()));
        if !load.is_within(BOUNDS) {
            let Load {
                messages,
                bytes,
                descriptors,
            } = state.load;
            return Err(SendError::Full {
                messages,
                bytes,
                descriptors,
            });
        }
        let descriptors: Result<_, Errno> = descriptors
            .iter()
            .map(|descriptor| fcntl_dupfd_cloexec(descriptor, 0))
            .collect();
        let descriptors = descriptors.map_err(|errno| SendError::Descriptors(errno.into()))?;
        state.load = load;
        state.pushed += 1;
        let number = state.pushed;
        state.waiting.push_back(Queued {
            number,
            payload,
            descriptors,
        });
        drop(state);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.0.state.lock().dropped = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    /// The thread. A message that cannot be sent ends it, and so the connection: were it left out,
    /// both ends would know different things.
    fn run(&self, socket: &OwnedFd) {
        let socket = socket.as_fd();
        while let Some(queued) = self.next() {
            let result = queued.send(socket);
            let load = Load::of(&queued.payload, queued.descriptors.len());
            drop(queued);
            let mut state = self.state.lock();
            state.load = state.load.minus(load);
            if let Err(errno) = result {
                debug!("messages to another process end: {errno}");
                state.ended = Some(errno);
                state.load = Load::default();
                // Closed once nobody waits for the lock.
                let left = std::mem::take(&mut state.waiting);
                drop(state);
                drop(left);
                break;
            }
        }
        // The receiver of this end may have the socket open for longer. Without a peer this fails.
        let _ = rustix::net::shutdown(socket, Shutdown::Write);
    }

    /// Waits for a message. None: there will be none.
    fn next(&self) -> Option<Queued> {
        let mut state = self.state.lock();
        loop {
            if let Some(queued) = state.waiting.pop_front() {
                return Some(queued);
            }
            if state.dropped {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

impl Queued {
    fn send(&self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let descriptors = self.descriptors.iter().map(OwnedFd::as_fd);
        self.payload
            .send(socket, self.number, descriptors, |errno| match errno {
                // So many descriptors are on their way between this user's processes, or the
                // kernel is short of memory: both pass, when the peer reads or dies.
                Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM => {
                    if packet::wait_closed(socket, PAUSE_NANOSECONDS) {
                        Err(Errno::PIPE)
                    } else {
                        Ok(())
                    }
                }
                errno => Err(errno),
            })
    }
}
