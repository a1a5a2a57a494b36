//! UDP sockets.
//!
//! What arrives is handed over only if its sender is granted, or is one that was reached by a
//! granted name; and after something was sent to a broadcast or multicast address, which stands for
//! nobody in particular, whatever comes from the port that it was sent to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use wasmtime::component::Resource;

use super::sockets::{Heard, UdpSocket};
use super::{failed, lost};
use crate::config::sidecar::Grants;
use crate::plugin::bindings::exporter::plugin::net::{Datagram, HostUdpSocket, NetError};
use crate::plugin::grants::Interface;
use crate::plugin::grants::endpoints::{Protocol, canonical, covers};
use crate::plugin::imports::HostState;

/// The largest datagram that IP carries.
const MAX_RECEIVED: usize = 65_535;
/// Peers that are remembered.
const MAX_PEERS: usize = 256;

impl Heard {
    fn expects(&self, grants: &Grants, source: SocketAddr) -> bool {
        covers(&grants.udp, source)
            || self.peers.contains(&source)
            || self.ports.contains(&source.port())
    }

    fn sent_to(&mut self, target: SocketAddr, everyone: bool) {
        if everyone && !self.ports.contains(&target.port()) {
            self.ports.push(target.port());
        }
        if !self.peers.contains(&target) && self.peers.len() < MAX_PEERS {
            self.peers.push(target);
        }
    }
}

impl UdpSocket {
    async fn of(&mut self, target: SocketAddr) -> io::Result<&mut tokio::net::UdpSocket> {
        let (socket, any) = match target {
            SocketAddr::V4(_) => (&mut self.ipv4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            SocketAddr::V6(_) => (&mut self.ipv6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        };
        if socket.is_none() {
            *socket = Some(tokio::net::UdpSocket::bind((any, 0)).await?);
        }
        socket
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// The next datagram, whoever sent it.
    async fn next(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        async fn from(socket: Option<&tokio::net::UdpSocket>) -> io::Result<(Vec<u8>, SocketAddr)> {
            let Some(socket) = socket else {
                return std::future::pending().await;
            };
            socket.readable().await?;
            let mut bytes = vec![0; MAX_RECEIVED];
            let (length, source) = socket.recv_from(&mut bytes).await?;
            bytes.truncate(length);
            Ok((bytes, canonical(source)))
        }
        tokio::select! {
            datagram = from(self.ipv4.as_ref()) => datagram,
            datagram = from(self.ipv6.as_ref()) => datagram,
        }
    }
}

async fn send(
    socket: &tokio::net::UdpSocket,
    bytes: &[u8],
    target: SocketAddr,
    until: Instant,
) -> io::Result<()> {
    match timeout_at(until, socket.send_to(bytes, target)).await {
        Ok(sent) => sent.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

impl HostUdpSocket for HostState {
    async fn open(&mut self) -> Result<Resource<UdpSocket>, NetError> {
        if self.grants.udp.is_empty() {
            let what = "udp".to_owned();
            self.deny(Interface::Net, &what);
            return Err(NetError::Denied(what));
        }
        self.check_sockets()?;
        self.keep(UdpSocket {
            ipv4: None,
            ipv6: None,
            heard: Heard::default(),
        })
    }

    async fn send_to(
        &mut self,
        socket: Resource<UdpSocket>,
        endpoint: String,
        bytes: Vec<u8>,
    ) -> Result<(), NetError> {
        let until = self.latest();
        let addresses = self.addresses(&endpoint, Protocol::Udp, until).await?;
        let Some(&target) = addresses.first() else {
            return Err(NetError::Other(format!("{endpoint} has no address")));
        };
        let exact = self.grants.udp.iter().any(|grant| grant.is_exactly(target));
        let socket = self.table.get_mut(&socket).map_err(lost)?;
        let own = socket.of(target).await.map_err(failed)?;
        // Which addresses are a broadcast is for the kernel to say, which knows the networks: it
        // refuses them unless they are allowed.
        own.set_broadcast(false).map_err(failed)?;
        let mut sent = send(own, &bytes, target, until).await;
        let broadcast =
            // Not EPERM, which is a firewall's.
            matches!(&sent, Err(error) if error.raw_os_error() == Some(libc::EACCES));
        if broadcast && exact {
            own.set_broadcast(true).map_err(failed)?;
            sent = send(own, &bytes, target, until).await;
        }
        match sent {
            Ok(()) => {
                let everyone = broadcast || target.ip().is_multicast();
                socket.heard.sent_to(target, everyone);
                Ok(())
            }
            Err(_) if broadcast && !exact => {
                let what = format!(
                    "udp {target}, a broadcast address, which only a grant of its own covers"
                );
                self.deny(Interface::Net, &what);
                Err(NetError::Denied(what))
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn receive(
        &mut self,
        socket: Resource<UdpSocket>,
        timeout_ms: u32,
    ) -> Result<Datagram, NetError> {
        let until = self.until(timeout_ms);
        let grants = Arc::clone(&self.grants);
        let socket = self.table.get(&socket).map_err(lost)?;
        if socket.ipv4.is_none() && socket.ipv6.is_none() {
            return Err(NetError::Other(
                "nothing was sent from this socket, so nothing can arrive".to_owned(),
            ));
        }
        loop {
            match timeout_at(until, socket.next()).await {
                Ok(Ok((bytes, source))) if socket.heard.expects(&grants, source) => {
                    let source = source.to_string();
                    return Ok(Datagram { source, bytes });
                }
                Ok(Ok(_)) => self.deny(
                    Interface::Net,
                    "datagrams from senders that are not granted",
                ),
                Ok(Err(error)) => return Err(failed(error)),
                Err(_) => return Err(NetError::Timeout),
            }
        }
    }

    async fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.close(socket)
    }
}
