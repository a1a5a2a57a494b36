//! Where to listen: the forms of `--web.listen-address`, and the sockets.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

/// Clients that may wait to be accepted; the kernel caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;

/// One `--web.listen-address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// `:9435`: all addresses of the machine, IPv6 and IPv4.
    Any { port: u16 },
    /// `localhost:9435`, `192.0.2.1:9435`, `[::1]:9435`; the host without brackets.
    Host { host: String, port: u16 },
    /// `fd://0`: the socket of that index among those systemd has handed over.
    Activated { index: usize },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error(
        "cannot listen on {address}: the port is in use; `ss -ltnp 'sport = :{port}'` shows by whom: stop that, or choose another port with --web.listen-address"
    )]
    InUse { address: Address, port: u16 },
    #[error("cannot listen on {address}")]
    Io {
        address: Address,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {address}: the name `{host}` has no address")]
    Unresolved { address: Address, host: String },
    #[error(
        "cannot listen on {address}: {count} sockets were handed over (LISTEN_FDS), counted from 0; is the socket unit started, and is no socket named twice?"
    )]
    NotActivated { address: Address, count: usize },
    #[error("cannot listen on {address}: the socket handed over is no listening TCP socket")]
    NotTcp {
        address: Address,
        #[source]
        source: io::Error,
    },
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any { port } => write!(f, ":{port}"),
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
            Self::Activated { index } => write!(f, "fd://{index}"),
        }
    }
}

/// The port of a TCP service by its name, such as `http-alt`.
pub(crate) fn service_port(name: &str) -> Option<u16> {
    // Those two a machine without the file has too.
    match name {
        "http" => Some(80),
        "https" => Some(443),
        _ => port_in(&std::fs::read_to_string("/etc/services").ok()?, name),
    }
}

/// `services`: as in /etc/services: a name, a port with its protocol, and other names.
fn port_in(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let line = line.split('#').next()?;
        let mut words = line.split_ascii_whitespace();
        let (first, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        let is_it = first == name || words.any(|alias| alias == name);
        if is_it { port.parse().ok() } else { None }
    })
}

/// Opens all addresses; `activated` are the sockets handed over (`ListenFd::from_env`).
pub(crate) fn bind(
    addresses: &[Address],
    activated: &mut ListenFd,
) -> Result<Vec<TcpListener>, ListenError> {
    addresses
        .iter()
        .map(|address| bind_one(address, activated))
        .collect()
}

fn bind_one(address: &Address, activated: &mut ListenFd) -> Result<TcpListener, ListenError> {
    let failed = |port: u16, source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse {
            address: address.clone(),
            port,
        },
        _ => ListenError::Io {
            address: address.clone(),
            source,
        },
    };
    match address {
        &Address::Any { port } => bind_any(port).map_err(|source| failed(port, source)),
        Address::Host { host, port } => {
            let found = (host.as_str(), *port).to_socket_addrs();
            let mut found: Vec<SocketAddr> =
                found.map_err(|source| failed(*port, source))?.collect();
            // As Go does: of a name's addresses the first, IPv4 before IPv6.
            found.sort_by_key(SocketAddr::is_ipv6);
            let first = found
                .first()
                .copied()
                .ok_or_else(|| ListenError::Unresolved {
                    address: address.clone(),
                    host: host.clone(),
                })?;
            open(first).map_err(|source| failed(*port, source))
        }
        &Address::Activated { index } => {
            let count = activated.len();
            match activated.take_tcp_listener(index) {
                Ok(Some(listener)) => Ok(listener),
                Ok(None) => Err(ListenError::NotActivated {
                    address: address.clone(),
                    count,
                }),
                Err(source) => Err(ListenError::NotTcp {
                    address: address.clone(),
                    source,
                }),
            }
        }
    }
}

/// One socket for both protocols; for IPv4 alone where the kernel has no IPv6.
fn bind_any(port: u16) -> io::Result<TcpListener> {
    match open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        outcome => outcome,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart must not wait for the old connections to time out.
    socket.set_reuse_address(true)?;
    if let SocketAddr::V6(address) = address {
        // Said either way: the default is the administrator's (`net.ipv6.bindv6only`).
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn local(port: u16) -> Address {
        Address::Host {
            host: "127.0.0.1".into(),
            port,
        }
    }

    #[test]
    fn services_are_ports() {
        let text = "# ports\nhttp-alt\t8080/tcp\twebcache\t# cache\nntp 123/udp\nx 9/tcp\n";
        assert_eq!(port_in(text, "http-alt"), Some(8080));
        assert_eq!(port_in(text, "webcache"), Some(8080));
        for none in ["ntp", "cache", "", "#", "9"] {
            assert_eq!(port_in(text, none), None, "{none}");
        }
        assert_eq!(service_port("https"), Some(443));
    }

    #[test]
    fn an_empty_host_answers_both_protocols() {
        let listeners = bind(&[Address::Any { port: 0 }], &mut ListenFd::empty()).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        if listeners[0].local_addr().unwrap().is_ipv6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        }
    }

    #[test]
    fn a_port_in_use_and_a_missing_socket_are_told_in_words() {
        let first = bind(&[local(0)], &mut ListenFd::empty()).unwrap();
        let port = first[0].local_addr().unwrap().port();
        for address in [local(port), Address::Any { port }] {
            let error = bind(std::slice::from_ref(&address), &mut ListenFd::empty()).unwrap_err();
            let start = format!(
                "cannot listen on {address}: the port is in use; `ss -ltnp 'sport = :{port}'`"
            );
            assert!(error.to_string().starts_with(&start), "{error}");
        }
        let error = bind(&[Address::Activated { index: 1 }], &mut ListenFd::empty()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot listen on fd://1: 0 sockets"),
            "{error}"
        );
    }
}
