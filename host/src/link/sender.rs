//! The sending end: encodes a message and puts it on the socket, or into the queue of a thread
//! that does.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use serde::Serialize;

use super::head::Head;
use super::head::MAX_DESCRIPTORS;
use super::head::MAX_INLINE;
use super::head::MAX_PAYLOAD;
use super::head::PART_DESCRIPTORS;
use super::memfd;
use super::packet;
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

/// Why a message was not sent. After `Closed` and `Io` none will be by this sender, but for `Io`
/// of a direct one; the others are about this message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the other process has closed the connection")]
    Closed,
    #[error(
        "the other process does not read: {messages} messages wait for it, of {bytes} bytes with \
         {descriptors} descriptors"
    )]
    Full {
        messages: usize,
        bytes: usize,
        descriptors: usize,
    },
    #[error("cannot encode the message as JSON: {0}")]
    Encode(#[source] serde_json::Error),
    #[error("the message has {0} bytes, at most {MAX_PAYLOAD} can be sent")]
    TooLarge(usize),
    #[error("the message has {0} descriptors, at most {MAX_DESCRIPTORS} can be sent")]
    TooManyDescriptors(usize),
    #[error("cannot send a message to the other process: {0}")]
    Io(#[source] io::Error),
    #[error("cannot keep the message's descriptors until it is sent: {0}")]
    Descriptors(#[source] io::Error),
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

/// A message's bytes, as they will travel.
#[derive(Debug)]
pub(super) struct Payload {
    length: usize,
    /// Empty where there is a memfd.
    inline: Vec<u8>,
    memfd: Option<OwnedFd>,
}

impl Payload {
    fn new(bytes: Vec<u8>) -> Result<Self, SendError> {
        let length = bytes.len();
        if length > MAX_PAYLOAD {
            return Err(SendError::TooLarge(length));
        }
        if length <= MAX_INLINE {
            return Ok(Self {
                length,
                inline: bytes,
                memfd: None,
            });
        }
        let memfd = memfd::sealed("message", &bytes).map_err(SendError::Io)?;
        Ok(Self {
            length,
            inline: Vec::new(),
            memfd: Some(memfd),
        })
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Those besides the message's own.
    pub(super) fn descriptors(&self) -> usize {
        usize::from(self.memfd.is_some())
    }

    /// Sends all parts of a message. Blocks while the peer does not read. `number` has to be
    /// another one for each message. `on_error` says whether a part is tried again.
    pub(super) fn send<'fd>(
        &'fd self,
        socket: BorrowedFd<'_>,
        number: u64,
        descriptors: impl Iterator<Item = BorrowedFd<'fd>>,
        on_error: impl Fn(Errno) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let memfd = self.memfd.as_ref().map(OwnedFd::as_fd);
        let all: Vec<BorrowedFd<'_>> = memfd.into_iter().chain(descriptors).collect();
        let mut head = Head::first(number, self.length, all.len()).ok_or(Errno::INVAL)?;
        let mut chunks = all.chunks(PART_DESCRIPTORS);
        let mut inline = self.inline.as_slice();
        loop {
            let here = chunks.next().unwrap_or_default();
            while let Err(errno) = packet::send(socket, &head.to_bytes(), inline, here) {
                on_error(errno)?;
            }
            inline = &[];
            match head.next() {
                Some(next) => head = next,
                None => return Ok(()),
            }
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

impl From<Errno> for SendError {
    fn from(errno: Errno) -> Self {
        if packet::is_closed(errno) {
            Self::Closed
        } else {
            Self::Io(errno.into())
        }
    }
}
