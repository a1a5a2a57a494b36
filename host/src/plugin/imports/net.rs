//! Connections to targets that the operator granted.

use wasmtime::component::{Linker, Resource, ResourceType};

use super::HostState;
use crate::plugin::bindings::exporter::plugin::net::{self, Datagram, NetError};
use crate::plugin::component::INTERFACE_VERSION;
use crate::plugin::grants::Interface;

#[allow(unreachable_pub, reason = "the generated bindings export it on")]
pub struct TcpStream;

#[allow(unreachable_pub, reason = "the generated bindings export it on")]
pub struct UdpSocket;

impl net::Host for HostState {}

impl net::HostTcpStream for HostState {
    async fn connect(
        &mut self,
        endpoint: String,
        _timeout_ms: u32,
    ) -> Result<Resource<TcpStream>, NetError> {
        self.deny(Interface::Net, &endpoint);
        Err(NetError::Denied(format!("{endpoint}: not granted")))
    }

    async fn read(
        &mut self,
        _stream: Resource<TcpStream>,
        _max: u32,
        _timeout_ms: u32,
    ) -> Result<Vec<u8>, NetError> {
        Err(NetError::Closed)
    }

    async fn write_all(
        &mut self,
        _stream: Resource<TcpStream>,
        _bytes: Vec<u8>,
        _timeout_ms: u32,
    ) -> Result<(), NetError> {
        Err(NetError::Closed)
    }

    async fn drop(&mut self, stream: Resource<TcpStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl net::HostUdpSocket for HostState {
    async fn open(&mut self) -> Result<Resource<UdpSocket>, NetError> {
        Err(NetError::Denied("no UDP target is granted".to_owned()))
    }

    async fn send_to(
        &mut self,
        _socket: Resource<UdpSocket>,
        _endpoint: String,
        _bytes: Vec<u8>,
    ) -> Result<(), NetError> {
        Err(NetError::Closed)
    }

    async fn receive(
        &mut self,
        _socket: Resource<UdpSocket>,
        _timeout_ms: u32,
    ) -> Result<Datagram, NetError> {
        Err(NetError::Closed)
    }

    async fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

/// The interface as decoders and shapers see it, should they call what only the collector of their component may.
pub(super) fn add_denied(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    const WHY: &str = "the network is for collectors: decoders and shapers have none";
    fn denied() -> NetError {
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
    net.func_wrap("[static]tcp-stream.connect", |_, _: (String, u32)| {
        Ok((Err::<Tcp, _>(denied()),))
    })?;
    net.func_wrap("[method]tcp-stream.read", |_, _: (Tcp, u32, u32)| {
        Ok((Err::<Vec<u8>, _>(denied()),))
    })?;
    net.func_wrap(
        "[method]tcp-stream.write-all",
        |_, _: (Tcp, Vec<u8>, u32)| Ok((Err::<(), _>(denied()),)),
    )?;
    net.func_wrap("[static]udp-socket.open", |_, (): ()| {
        Ok((Err::<Udp, _>(denied()),))
    })?;
    net.func_wrap(
        "[method]udp-socket.send-to",
        |_, _: (Udp, String, Vec<u8>)| Ok((Err::<(), _>(denied()),)),
    )?;
    net.func_wrap("[method]udp-socket.receive", |_, _: (Udp, u32)| {
        Ok((Err::<Datagram, _>(denied()),))
    })
}
