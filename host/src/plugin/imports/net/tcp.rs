//! TCP connections.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::Resource;

use super::sockets::TcpStream;
use super::{failed, lost};
use crate::plugin::bindings::exporter::plugin::net::{HostTcpStream, NetError};
use crate::plugin::grants::endpoints::Protocol;
use crate::plugin::imports::HostState;

/// Bytes handed over at once.
const MAX_READ: u32 = 64 << 10;

impl HostTcpStream for HostState {
    async fn connect(
        &mut self,
        endpoint: String,
        timeout_ms: u32,
    ) -> Result<Resource<TcpStream>, NetError> {
        let until = self.until(timeout_ms);
        let addresses = self.addresses(&endpoint, Protocol::Tcp, until).await?;
        self.check_sockets()?;
        let mut last = NetError::Timeout;
        for (tried, address) in addresses.iter().enumerate() {
            // Each gets its share of the time: the first may be a machine that is off.
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let connecting = tokio::net::TcpStream::connect(*address);
            match timeout_at(Instant::now() + share, connecting).await {
                Ok(Ok(stream)) => {
                    // What a plugin writes at once is one question.
                    let _ = stream.set_nodelay(true);
                    return self.keep(TcpStream(stream));
                }
                Ok(Err(error)) => last = failed(error),
                Err(_) => last = NetError::Timeout,
            }
        }
        Err(last)
    }

    async fn read(
        &mut self,
        stream: Resource<TcpStream>,
        max: u32,
        timeout_ms: u32,
    ) -> Result<Vec<u8>, NetError> {
        let until = self.until(timeout_ms);
        let TcpStream(stream) = self.table.get_mut(&stream).map_err(lost)?;
        if max == 0 {
            // An empty answer would be the end of the stream.
            return Err(NetError::Other(
                "expected at least 1 for `max`, found 0".to_owned(),
            ));
        }
        let mut bytes = vec![0; max.min(MAX_READ) as usize];
        match timeout_at(until, stream.read(&mut bytes)).await {
            Ok(Ok(count)) => {
                bytes.truncate(count);
                Ok(bytes)
            }
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(NetError::Timeout),
        }
    }

    async fn write_all(
        &mut self,
        stream: Resource<TcpStream>,
        bytes: Vec<u8>,
        timeout_ms: u32,
    ) -> Result<(), NetError> {
        let until = self.until(timeout_ms);
        let TcpStream(stream) = self.table.get_mut(&stream).map_err(lost)?;
        match timeout_at(until, stream.write_all(&bytes)).await {
            Ok(written) => written.map_err(failed),
            Err(_) => Err(NetError::Timeout),
        }
    }

    async fn drop(&mut self, stream: Resource<TcpStream>) -> wasmtime::Result<()> {
        self.close(stream)
    }
}
