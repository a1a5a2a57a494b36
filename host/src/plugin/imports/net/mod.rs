//! Connections to targets that the operator granted.
//!
//! No operation lasts longer than its own timeout, nor up to the deadline of the call: the plugin
//! has to hear of it before the host ends it.

pub(in crate::plugin) mod sockets;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{Linker, Resource, ResourceType};

use self::sockets::{TcpStream, UdpSocket};
use super::HostState;
use crate::plugin::bindings::exporter::plugin::net::{self, Datagram, NetError};
use crate::plugin::grants::Interface;
use crate::plugin::grants::endpoints::{Endpoint, Protocol, Unreachable};
use crate::plugin::interface::INTERFACE_VERSION;

/// Connections and sockets of one instance at once.
const MAX_SOCKETS: usize = 16;

impl net::Host for HostState {}

impl HostState {
    /// When an operation has to be answered that may take this long.
    fn until(&self, timeout_ms: u32) -> Instant {
        let own = Instant::now() + Duration::from_millis(timeout_ms.into());
        own.min(self.latest())
    }

    /// The granted addresses of an endpoint.
    async fn addresses(
        &mut self,
        endpoint: &str,
        protocol: Protocol,
        until: Instant,
    ) -> Result<Vec<SocketAddr>, NetError> {
        let endpoint = Endpoint::parse(endpoint).map_err(|why| self.unreachable(why))?;
        let found = if let Endpoint::Address(_) = endpoint {
            endpoint.addresses(&self.grants, protocol)
        } else {
            let grants = Arc::clone(&self.grants);
            let resolve = move || endpoint.addresses(&grants, protocol);
            let resolved = tokio::time::timeout_at(until, self.waiting.run(resolve)).await;
            match resolved {
                Ok(Some(found)) => found,
                Ok(None) => Err(Unreachable::Other(
                    "the host failed, see its log".to_owned(),
                )),
                Err(_) => return Err(NetError::Timeout),
            }
        };
        found.map_err(|why| self.unreachable(why))
    }

    fn unreachable(&self, why: Unreachable) -> NetError {
        match why {
            Unreachable::Denied(what) => {
                self.deny(Interface::Net, &what);
                NetError::Denied(what)
            }
            Unreachable::Other(why) => NetError::Other(why),
        }
    }

    /// Whether there may be one more socket.
    fn check_sockets(&self) -> Result<(), NetError> {
        if self.sockets < MAX_SOCKETS {
            return Ok(());
        }
        Err(NetError::Other(format!(
            "{MAX_SOCKETS} connections and sockets are open: close one first"
        )))
    }

    fn keep<T: Send + 'static>(&mut self, socket: T) -> Result<Resource<T>, NetError> {
        let kept = self.table.push(socket);
        let kept = kept.map_err(|error| NetError::Other(error.to_string()))?;
        self.sockets += 1;
        self.has_read = true;
        Ok(kept)
    }

    fn close<T: Send + 'static>(&mut self, socket: Resource<T>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        self.sockets = self.sockets.saturating_sub(1);
        Ok(())
    }
}

fn failed(error: io::Error) -> NetError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NetError::Refused,
        io::ErrorKind::TimedOut => NetError::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => NetError::Closed,
        _ => NetError::Other(error.to_string()),
    }
}

fn lost(error: wasmtime::component::ResourceTableError) -> NetError {
    NetError::Other(error.to_string())
}

/// The interface as decoders and shapers see it, should they call what only the collector of their
/// component may.
pub(super) fn add_denied(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    const WHY: &str = "the network is for collectors: decoders and shapers have none";
    fn denied(state: &HostState) -> NetError {
        state.deny(Interface::Net, WHY);
        NetError::Denied(WHY.to_owned())
    }
    type Tcp = Resource<TcpStream>;
    type Udp = Resource<UdpSocket>;
    let mut net = linker.instance(&format!("exporter:plugin/net@{INTERFACE_VERSION}"))?;
    // There is never one to be dropped.
    net.resource("tcp-stream", ResourceType::host::<TcpStream>(), |_, _| {
        Ok(())
    })?;
    net.resource("udp-socket", ResourceType::host::<UdpSocket>(), |_, _| {
        Ok(())
    })?;
    net.func_wrap("[static]tcp-stream.connect", |store, _: (String, u32)| {
        Ok((Err::<Tcp, _>(denied(store.data())),))
    })?;
    net.func_wrap("[method]tcp-stream.read", |store, _: (Tcp, u32, u32)| {
        Ok((Err::<Vec<u8>, _>(denied(store.data())),))
    })?;
    net.func_wrap(
        "[method]tcp-stream.write-all",
        |store, _: (Tcp, Vec<u8>, u32)| Ok((Err::<(), _>(denied(store.data())),)),
    )?;
    net.func_wrap("[static]udp-socket.open", |store, (): ()| {
        Ok((Err::<Udp, _>(denied(store.data())),))
    })?;
    net.func_wrap(
        "[method]udp-socket.send-to",
        |store, _: (Udp, String, Vec<u8>)| Ok((Err::<(), _>(denied(store.data())),)),
    )?;
    net.func_wrap("[method]udp-socket.receive", |store, _: (Udp, u32)| {
        Ok((Err::<Datagram, _>(denied(store.data())),))
    })
}
