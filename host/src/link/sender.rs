//! The sending end: encodes a message and puts it on the socket, or into the queue of a thread
//! that does.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::head::MAX_DESCRIPTORS;
use super::payload::Payload;
use super::payload::SendError;
use super::queue::Queue;

/// Sends messages to the peer of a socket. Clones share the socket, and messages of all of them
/// come whole. So that they do, there has to be one sender (and its clones) for each end of a
/// pair.
#[derive(Debug, Clone)]
pub(crate) struct Sender(Way);

#[derive(Debug, Clone)]
enum Way {
    Direct(Arc<Direct>),
    Queued(Arc<Queue>),
}

impl Sender {
    /// Sends on the caller's thread, which blocks while the peer does not read. After a fork both
    /// processes have it; only one may go on to use it.
    pub(crate) fn direct(socket: OwnedFd) -> Self {
        Self(Way::Direct(Arc::new(Direct {
            socket,
            sent: Mutex::new(0),
        })))
    }

    /// Sends on a thread of its own: [`Self::send`] never blocks. When the last clone is dropped,
    /// what waits is still sent (as long as the peer reads); then the peer sees the end of the
    /// connection, even where a receiver of this process still uses the socket. `name` is the
    /// thread's, of at most 15 bytes.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn queued(socket: OwnedFd, name: &str) -> io::Result<Self> {
        let queue = Queue::start(socket, name)?;
        Ok(Self(Way::Queued(Arc::new(queue))))
    }

    /// Sends a message with these descriptors; they stay the caller's, which may close them at
    /// once. `Ok` of a queued sender means that the message waits to be sent.
    ///
    /// # Errors
    ///
    /// See [`SendError`]. After [`SendError::Io`] the peer may have part of a message: its receiver
    /// says so and goes on with the next one.
    pub(crate) fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(SendError::TooManyDescriptors(descriptors.len()));
        }
        let payload = serde_json::to_vec(message).map_err(SendError::Encode)?;
        let payload = Payload::new(payload)?;
        match &self.0 {
            Way::Direct(direct) => direct.send(&payload, descriptors),
            Way::Queued(queue) => queue.push(payload, descriptors),
        }
    }
}

#[derive(Debug)]
struct Direct {
    socket: OwnedFd,
    /// How many messages were begun. Held while one is sent, so that parts do not mix.
    sent: Mutex<u64>,
}

impl Direct {
    fn send(&self, payload: &Payload, descriptors: &[BorrowedFd<'_>]) -> Result<(), SendError> {
        let mut sent = self.sent.lock();
        *sent += 1;
        payload
            .send(self.socket.as_fd(), *sent, descriptors.iter().copied(), Err)
            .map_err(SendError::from)
    }
}
