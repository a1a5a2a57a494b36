//! The bytes of a message that is to be sent, and why one was not.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::head::Head;
use super::head::MAX_DESCRIPTORS;
use super::head::MAX_INLINE;
use super::head::MAX_PAYLOAD;
use super::head::PART_DESCRIPTORS;
use super::memfd;
use super::packet;

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

/// A message's bytes, as they will travel.
#[derive(Debug)]
pub(super) struct Payload {
    length: usize,
    /// Empty where there is a memfd.
    inline: Vec<u8>,
    memfd: Option<OwnedFd>,
}

impl Payload {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, SendError> {
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

impl From<Errno> for SendError {
    fn from(errno: Errno) -> Self {
        if packet::is_closed(errno) {
            Self::Closed
        } else {
            Self::Io(errno.into())
        }
    }
}
