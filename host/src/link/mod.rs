//! How the loader, the starter, the server and the compilers talk: messages and descriptors over
//! pairs of sockets, bytes in sealed memfds.
//!
//! Owns the frames on the socket, the limits of a message, and the thread of a queued [`Sender`].
//! Does not know what a message means, and starts, kills or waits for no process.
//!
//! A message is JSON with descriptors beside it. It travels as one or more packets (parts) of a
//! SOCK_SEQPACKET socket, which the kernel keeps apart and in order:
//! - At most [`PART_DESCRIPTORS`] descriptors go with a packet (the kernel takes 253), at most
//!   [`MAX_DESCRIPTORS`] with a message.
//! - A payload of up to [`MAX_INLINE`] bytes follows the head of the first part. A longer one, up
//!   to [`MAX_PAYLOAD`], is in a sealed memfd: the message's first descriptor.
//!
//! Neither end trusts the other. Whatever a peer sends, a [`Receiver`] keeps at most one message
//! that is not whole yet, closes every descriptor that it does not hand out, says what was wrong
//! with a message ([`ReceiveError`]) and goes on with the next one.
//!
//! System calls, for those who write filters: socketpair, sendmsg, recvmsg, ppoll or poll,
//! ioctl(FIONREAD), shutdown, memfd_create, write, lseek, pread64, fstat, fcntl(F_ADD_SEALS,
//! F_GET_SEALS, F_DUPFD_CLOEXEC).

mod head;
mod memfd;
mod messages;
mod packet;
mod payload;
mod queue;
mod receiver;
mod reserve;
mod sender;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::head::{MAX_DESCRIPTORS, MAX_INLINE, MAX_PAYLOAD};
pub(crate) use self::memfd::check_sealed;
pub(crate) use self::memfd::read_sealed;
pub(crate) use self::memfd::sealed;
pub(crate) use self::messages::MapLayout;
pub(crate) use self::messages::{
    FileAnswer, FileKind, FileRefusal, FileWish, LoadFigures, OnDemand, OpenRefusal, PluginMessage,
    ProcessFigures, ProgramCounts, ServedConfig, ServedProgram, ServedSource, ServedUnit, ToLoader,
    ToServer, UnitPhase, UnitStatus, WatchMode,
};
pub(crate) use self::packet::pair;
pub(crate) use self::payload::SendError;
pub(crate) use self::receiver::Next;
pub(crate) use self::receiver::ReceiveError;
pub(crate) use self::receiver::Received;
pub(crate) use self::receiver::Receiver;
pub(crate) use self::receiver::Truncated;
pub(crate) use self::reserve::Reserve;
pub(crate) use self::sender::Sender;
