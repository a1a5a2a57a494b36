//! Sockets that lead where a process has nothing to look for.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

use super::{LOADER, NOT_WHOLE, On, SERVER, Try, call, call_for_descriptor};

pub(super) const TRIES: &[Try] = &[
    Try {
        what: "open a unix socket",
        on: On::Real,
        of: SERVER,
        how: || UnixDatagram::unbound().map(drop),
    },
    Try {
        what: "connect to a unix socket",
        on: On::Nothing,
        of: SERVER,
        how: || UnixStream::connect("/nowhere/at/all").map(drop),
    },
    Try {
        what: "connect to an abstract unix socket",
        on: On::Nothing,
        of: SERVER,
        how: || {
            let nobodys = SocketAddr::from_abstract_name(b"exporter-host-check")?;
            UnixStream::connect_addr(&nobodys).map(drop)
        },
    },
    Try {
        what: "make a unix socket that can send to any other",
        on: On::Real,
        of: SERVER,
        how: || UnixDatagram::pair().map(drop),
    },
    Try {
        what: "open a socket to virtual machines",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || socket(libc::AF_VSOCK, libc::SOCK_STREAM),
    },
    Try {
        what: "open a packet socket",
        on: On::Nothing,
        of: NOT_WHOLE,
        how: || socket(libc::AF_PACKET, libc::SOCK_RAW),
    },
    Try {
        what: "make the end of a connection wait",
        on: On::Nothing,
        of: SERVER,
        how: || option(libc::SO_LINGER),
    },
    Try {
        what: "choose the interface of a socket",
        on: On::Nothing,
        of: SERVER,
        how: || option(libc::SO_BINDTODEVICE),
    },
    Try {
        what: "run a filter on a socket",
        on: On::Nothing,
        of: SERVER,
        how: || option(libc::SO_ATTACH_FILTER),
    },
    Try {
        what: "listen",
        on: On::Real,
        of: SERVER,
        how: || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
    },
    Try {
        what: "hear what the kernel says of devices",
        on: On::Real,
        of: SERVER,
        how: || {
            let (family, kind) = (libc::AF_NETLINK as usize, libc::SOCK_DGRAM as usize);
            let about = libc::NETLINK_KOBJECT_UEVENT as usize;
            call_for_descriptor(libc::SYS_socket, [family, kind, about])
        },
    },
    Try {
        what: "open an internet socket",
        on: On::Real,
        of: LOADER,
        how: || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop),
    },
    Try {
        what: "take connections",
        on: On::Nothing,
        of: LOADER,
        how: || call_for_descriptor(libc::SYS_accept4, [usize::MAX]),
    },
];

fn socket(family: i32, kind: i32) -> std::io::Result<()> {
    let number = |value: i32| value.cast_unsigned() as usize;
    call_for_descriptor(libc::SYS_socket, [number(family), number(kind), 0])
}

/// Of a socket that there is not.
fn option(option: i32) -> std::io::Result<()> {
    let number = |value: i32| value.cast_unsigned() as usize;
    let arguments = [usize::MAX, number(libc::SOL_SOCKET), number(option), 0, 0];
    call(libc::SYS_setsockopt, arguments).map(drop)
}
