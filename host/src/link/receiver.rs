//! The receiving end: puts the parts of messages together and decodes them. Believes nothing.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use serde::de::DeserializeOwned;

use super::head::Head;
use super::head::Limits;
use super::head::MAX_PACKET;
use super::memfd;
use super::packet;
use super::packet::Incoming;
use super::packet::Packet;

/// Receives the messages of a peer. Keeps at most one message that is not whole yet.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: OwnedFd,
    limits: Limits,
    buffer: Box<[u8]>,
    /// The message whose parts come.
    partial: Option<Partial>,
    /// The next part of a message that was given up, and of which nobody needs to hear again.
    skipped: Option<Head>,
}

/// A message and the descriptors that came with it. Those that are not taken out are closed.
#[derive(Debug)]
pub(crate) struct Received<M> {
    pub(crate) message: M,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// What [`Receiver::receive_ready`] found.
#[derive(Debug)]
pub(crate) enum Next<M> {
    Received(Received<M>),
    /// No whole message is there now.
    Nothing,
    /// The peer has closed its end, and everything that it sent before was received.
    Closed,
}

/// Why there is no message. But for `Io` it is about one message only: the next call goes on with
/// the one after it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("the other process sent a message that cannot be used: {0}")]
    Malformed(String),
    #[error(transparent)]
    Truncated(Truncated),
    #[error("cannot receive messages of the other process: {0}")]
    Io(#[source] io::Error),
}

/// A message came without all of its descriptors, as this process could not have so many. Those
/// that did come are closed.
#[derive(thiserror::Error)]
#[error(
    "of a message's {announced} descriptors only {came} came: this process has too many open files \
     (raise its limit: ulimit -n, LimitNOFILE=), or a security module refuses them"
)]
pub(crate) struct Truncated {
    /// How many descriptors the message has (that of a long payload among them).
    pub(crate) announced: usize,
    /// How many of them came.
    pub(crate) came: usize,
    /// The message's bytes, if they came.
    payload: Option<Vec<u8>>,
}

impl Truncated {
    /// The message: so it can be told for what the descriptors were. None: its bytes are lost too,
    /// or malformed.
    pub(crate) fn message<M: DeserializeOwned>(&self) -> Option<M> {
        serde_json::from_slice(self.payload.as_deref()?).ok()
    }
}

impl fmt::Debug for Truncated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A message of which some parts are here.
#[derive(Debug)]
struct Partial {
    /// Of its latest part.
    head: Head,
    inline: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What came of receiving parts.
#[derive(Debug)]
enum Step {
    Whole(Partial),
    Nothing,
    Closed,
}

impl Receiver {
    /// Accepts what a [`super::Sender`] can send.
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self::limited(socket, Limits::MAX.payload, Limits::MAX.descriptors)
    }

    /// Accepts messages of at most `payload` bytes with at most so many descriptors: for a peer
    /// from which no large ones are expected. A decoded message may take many times the memory of
    /// its bytes.
    pub(crate) fn limited(socket: OwnedFd, payload: usize, descriptors: usize) -> Self {
        Self {
            socket,
            limits: Limits {
                payload: payload.min(Limits::MAX.payload),
                descriptors: descriptors.min(Limits::MAX.descriptors),
            },
            buffer: vec![0; MAX_PACKET].into_boxed_slice(),
            partial: None,
            skipped: None,
        }
    }

    /// Waits for the next message. None: the peer has closed its end, and everything that it sent
    /// before was received. A peer that begins a message and does not end it is waited for: who
    /// cannot wait for one peer only uses [`Self::receive_ready`].
    ///
    /// # Errors
    ///
    /// See [`ReceiveError`].
    pub(crate) fn receive<M: DeserializeOwned>(
        &mut self,
    ) -> Result<Option<Received<M>>, ReceiveError> {
        loop {
            match self.step(true)? {
                Step::Whole(partial) => return partial.decode(self.limits).map(Some),
                Step::Nothing => {}
                Step::Closed => return Ok(None),
            }
        }
    }

    /// The next message if it is there; never waits, whatever the peer does. To be called until
    /// it says `Nothing` before the socket is polled again, also after a malformed message: the
    /// next one may be here already.
    ///
    /// # Errors
    ///
    /// See [`ReceiveError`].
    pub(crate) fn receive_ready<M: DeserializeOwned>(&mut self) -> Result<Next<M>, ReceiveError> {
        Ok(match self.step(false)? {
            Step::Whole(partial) => Next::Received(partial.decode(self.limits)?),
            Step::Nothing => Next::Nothing,
            Step::Closed => Next::Closed,
        })
    }

    /// Receives parts up to a message's last. They are numbered and those of a message are few, so
    /// this comes to an end.
    fn step(&mut self, wait: bool) -> Result<Step, ReceiveError> {
        loop {
            if let Some(partial) = self.partial.take_if(|partial| partial.is_whole()) {
                return Ok(Step::Whole(partial));
            }
            let incoming = packet::receive(self.socket.as_fd(), &mut self.buffer, wait);
            match incoming.map_err(|errno| ReceiveError::Io(errno.into()))? {
                Incoming::Packet(packet) => self.accept(packet)?,
                Incoming::Nothing => return Ok(Step::Nothing),
                // A message whose end never came is nothing to tell: its sender is gone.
                Incoming::Closed => {
                    self.partial = None;
                    return Ok(Step::Closed);
                }
            }
        }
    }

    /// Puts a packet to the message to which it belongs. Without one it is closed with all its
    /// descriptors.
    fn accept(&mut self, packet: Packet) -> Result<(), ReceiveError> {
        let before = self.partial.take();
        let skipped = self.skipped.take();
        if packet.cut {
            self.skipped = before.and_then(|before| before.head.next());
            return Err(malformed(format!(
                "a packet is longer than {MAX_PACKET} bytes"
            )));
        }
        let bytes = self.buffer.get(..packet.bytes).unwrap_or_default();
        let (head, inline) = match Head::read(bytes, self.limits) {
            Ok(read) => read,
            Err(why) => {
                self.skipped = before.and_then(|before| before.head.next());
                return Err(malformed(why));
            }
        };
        if skipped == Some(head) {
            self.skipped = head.next();
            return Ok(());
        }
        let came = packet.descriptors.len();
        let here = usize::from(head.here);
        if came > here || (came < here && !packet.lost) {
            self.skipped = head.next();
            return Err(malformed(format!(
                "a part announces {here} descriptors, {came} came with it"
            )));
        }
        // What the parts so far are to be continued by, or the beginning of a message.
        let (partial, unfinished) = match before {
            Some(before) if before.head.next() == Some(head) => {
                let mut partial = before;
                partial.head = head;
                partial.descriptors.extend(packet.descriptors);
                (partial, None)
            }
            before if head.part == 0 => {
                let partial = Partial {
                    head,
                    inline: inline.to_vec(),
                    descriptors: packet.descriptors,
                };
                (partial, before)
            }
            before => {
                self.skipped = head.next();
                return Err(malformed(match before {
                    Some(before) => format!("{} is followed by {head}", before.head),
                    None => format!("{head} comes without those before it"),
                }));
            }
        };
        if packet.lost {
            self.skipped = head.next();
            return Err(ReceiveError::Truncated(partial.truncated(self.limits)));
        }
        self.partial = Some(partial);
        match unfinished {
            Some(unfinished) => Err(malformed(format!(
                "{} is followed by another message",
                unfinished.head
            ))),
            None => Ok(()),
        }
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Partial {
    fn is_whole(&self) -> bool {
        self.head.next().is_none()
    }

    fn decode<M: DeserializeOwned>(mut self, limits: Limits) -> Result<Received<M>, ReceiveError> {
        let payload = self.payload(limits).map_err(malformed)?;
        if self.head.in_memfd() {
            self.descriptors.remove(0);
        }
        let message = serde_json::from_slice(&payload)
            .map_err(|error| malformed(format!("expected another JSON text: {error}")))?;
        Ok(Received {
            message,
            descriptors: self.descriptors,
        })
    }

    fn truncated(mut self, limits: Limits) -> Truncated {
        Truncated {
            announced: self.head.total.into(),
            came: self.descriptors.len(),
            payload: self.payload(limits).ok(),
        }
    }

    /// The message's bytes.
    fn payload(&mut self, limits: Limits) -> Result<Vec<u8>, String> {
        if !self.head.in_memfd() {
            return Ok(std::mem::take(&mut self.inline));
        }
        let memfd = self.descriptors.first().ok_or("its memfd is missing")?;
        let payload =
            memfd::read_sealed(memfd, limits.payload).map_err(|error| error.to_string())?;
        if payload.len() != self.head.length as usize {
            return Err(format!(
                "a payload of {} bytes is announced, its memfd has {}",
                self.head.length,
                payload.len()
            ));
        }
        Ok(payload)
    }
}

/// The longest reason, in characters: it may cite the peer, and goes to the log.
const MAX_REASON: usize = 300;

/// Names why a message is refused. What it cites of the peer cannot break lines or fill the log.
fn malformed(why: impl AsRef<str>) -> ReceiveError {
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    let mut characters = why.as_ref().chars().map(printable);
    let mut reason: String = characters.by_ref().take(MAX_REASON).collect();
    if characters.next().is_some() {
        reason.push('…');
    }
    ReceiveError::Malformed(reason)
}
