//! What a plugin's handles of connections and sockets stand for.

use std::net::SocketAddr;

#[allow(unreachable_pub, reason = "the generated bindings export it on")]
pub struct TcpStream(pub(super) tokio::net::TcpStream);

#[allow(unreachable_pub, reason = "the generated bindings export it on")]
pub struct UdpSocket {
    /// Opened when something is sent from them.
    pub(super) ipv4: Option<tokio::net::UdpSocket>,
    pub(super) ipv6: Option<tokio::net::UdpSocket>,
    pub(super) heard: Heard,
}

/// Whose answers are expected.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Reached by their names.
    pub(super) peers: Vec<SocketAddr>,
    /// Ports of broadcasts.
    pub(super) ports: Vec<u16>,
}
