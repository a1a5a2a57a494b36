//! One packet of a socket: bytes and descriptors, sent and received. Knows no messages.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::cmsg_space;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::io::retry_on_intr;
use rustix::net::AddressFamily;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::ReturnFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::head::PART_DESCRIPTORS;

/// The most descriptors that the kernel passes with one packet (SCM_MAX_FD). There is room for
/// all of them, so that MSG_CTRUNC has one meaning: this process could not take them.
const KERNEL_DESCRIPTORS: usize = 253;

/// Two connected sockets (SOCK_SEQPACKET), closed on exec. Each end is for one [`super::Sender`]
/// and one [`super::Receiver`], which share it: the socket and a `try_clone()` of it. Both expect
/// a blocking socket.
///
/// # Errors
///
/// What the kernel says: EMFILE or ENFILE when there are too many open files.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends one packet of at most [`PART_DESCRIPTORS`] descriptors, whole or not at all. Blocks while
/// the socket's buffer is full.
///
/// # Errors
///
/// What the kernel says. [`is_closed`] tells whether there is a peer left.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    head: &[u8],
    payload: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(PART_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    let bytes = [IoSlice::new(head), IoSlice::new(payload)];
    let sent =
        retry_on_intr(|| rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL))?;
    // A packet is never cut by the sender's kernel.
    debug_assert_eq!(sent, head.len() + payload.len());
    Ok(())
}

/// True for the errors of a socket whose peer is gone.
pub(super) fn is_closed(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED | Errno::NOTCONN
    )
}

/// Waits until the peer is gone, but not longer than this. True: it is gone.
pub(super) fn wait_closed(socket: BorrowedFd<'_>, nanoseconds: u32) -> bool {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: nanoseconds.into(),
    };
    // POLLHUP is always looked for. An error (EINTR) ends the wait early, which does no harm.
    !poll(socket, PollFlags::empty(), &timeout).is_empty()
}

fn poll(socket: BorrowedFd<'_>, events: PollFlags, timeout: &Timespec) -> PollFlags {
    let mut sockets = [PollFd::from_borrowed_fd(socket, events)];
    match rustix::event::poll(&mut sockets, Some(timeout)) {
        Ok(1) => sockets[0].revents(),
        _ => PollFlags::empty(),
    }
}

/// What [`receive`] found.
#[derive(Debug)]
pub(super) enum Incoming {
    Packet(Packet),
    /// Nothing now: only where [`receive`] does not wait.
    Nothing,
    /// The peer is gone, and so are all packets it had sent.
    Closed,
}

/// What came with a packet besides its bytes.
#[derive(Debug)]
pub(super) struct Packet {
    /// How many bytes of the buffer are the packet's.
    pub(super) bytes: usize,
    /// The packet was longer than the buffer; the rest is gone.
    pub(super) cut: bool,
    /// Descriptors were lost: the kernel could not install all of them in this process.
    pub(super) lost: bool,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// Receives one packet; with `wait` blocks until there is one.
///
/// # Errors
///
/// What the kernel says; the socket cannot be used any more.
pub(super) fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    wait: bool,
) -> Result<Incoming, Errno> {
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !wait);
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(KERNEL_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut buffers = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(socket, &mut buffers, &mut control, flags) {
            // A peer that leaves without having read everything resets the connection: that is
            // said once, before what it had sent itself.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(Errno::AGAIN) if !wait => return Ok(Incoming::Nothing),
            Err(errno) => return Err(errno),
            Ok(received) => break received,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let packet = Packet {
        bytes: received.bytes,
        cut: received.flags.contains(ReturnFlags::TRUNC),
        lost: received.flags.contains(ReturnFlags::CTRUNC),
        descriptors,
    };
    let empty = packet.bytes == 0 && !packet.lost && packet.descriptors.is_empty();
    if empty && has_ended(socket) {
        return Ok(Incoming::Closed);
    }
    Ok(Incoming::Packet(packet))
}

/// Whether 0 bytes were the end and not an empty packet, which a peer may send to be believed
/// gone. After the end of a peer only bytes that it sent before tell: where there are none, all
/// that can be left are empty packets.
fn has_ended(socket: BorrowedFd<'_>) -> bool {
    let now = Timespec::default();
    let hung_up = PollFlags::RDHUP | PollFlags::HUP;
    poll(socket, PollFlags::RDHUP, &now).intersects(hung_up)
        && rustix::io::ioctl_fionread(socket).unwrap_or(0) == 0
}
