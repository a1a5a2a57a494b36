//! The imported interfaces, as the SDK's traits.

use std::time::Duration;

use super::PluginHost;
use super::collector_world::exporter::plugin::{files, net};
use super::decoder_world::exporter::plugin::kernel;
use crate::files::{FileError, FileKind, FileProblem, Files, Metadata, Usage, time_of};
use crate::kernel::{Kernel, PciKind, Symbol};
use crate::net::{Datagram, Net, NetError, NetProblem, TcpStream, UdpSocket, milliseconds};

impl Files for PluginHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        files::read(path).map_err(|error| file_error(path, error))
    }

    fn metadata(&self, path: &str) -> Result<Metadata, FileError> {
        let metadata = files::metadata(path).map_err(|error| file_error(path, error))?;
        Ok(Metadata {
            kind: match metadata.kind {
                files::FileKind::File => FileKind::File,
                files::FileKind::Directory => FileKind::Directory,
                files::FileKind::Other => FileKind::Other,
            },
            size: metadata.size,
            modified: time_of(metadata.modified),
        })
    }

    fn list_dir(&self, path: &str) -> Result<Vec<String>, FileError> {
        files::list_dir(path).map_err(|error| file_error(path, error))
    }

    fn file_system(&self, path: &str) -> Result<Usage, FileError> {
        let usage = files::file_system(path).map_err(|error| file_error(path, error))?;
        Ok(Usage {
            total: usage.total,
            free: usage.free,
            available: usage.available,
            files: usage.files,
            files_free: usage.files_free,
            kind: usage.kind,
            read_only: usage.read_only,
        })
    }
}

/// A connection, and with whom.
#[derive(Debug)]
pub struct HostTcpStream {
    stream: net::TcpStream,
    endpoint: String,
}

/// A socket of the host's.
#[derive(Debug)]
pub struct HostUdpSocket(net::UdpSocket);

impl Net for PluginHost {
    type Tcp = HostTcpStream;
    type Udp = HostUdpSocket;

    fn connect(&self, endpoint: &str, timeout: Duration) -> Result<HostTcpStream, NetError> {
        let stream = net::TcpStream::connect(endpoint, milliseconds(timeout));
        Ok(HostTcpStream {
            stream: stream.map_err(|error| net_error(endpoint, error))?,
            endpoint: endpoint.to_owned(),
        })
    }

    fn open_udp(&self) -> Result<HostUdpSocket, NetError> {
        let socket = net::UdpSocket::open().map_err(|error| net_error("", error))?;
        Ok(HostUdpSocket(socket))
    }
}

impl TcpStream for HostTcpStream {
    fn read(&mut self, max: u32, timeout: Duration) -> Result<Vec<u8>, NetError> {
        let bytes = self.stream.read(max, milliseconds(timeout));
        bytes.map_err(|error| net_error(&self.endpoint, error))
    }

    fn write_all(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), NetError> {
        let written = self.stream.write_all(bytes, milliseconds(timeout));
        written.map_err(|error| net_error(&self.endpoint, error))
    }
}

impl UdpSocket for HostUdpSocket {
    fn send_to(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), NetError> {
        let sent = self.0.send_to(endpoint, bytes);
        sent.map_err(|error| net_error(endpoint, error))
    }

    fn receive(&mut self, timeout: Duration) -> Result<Datagram, NetError> {
        let datagram = self.0.receive(milliseconds(timeout));
        let datagram = datagram.map_err(|error| net_error("", error))?;
        Ok(Datagram {
            source: datagram.source,
            bytes: datagram.bytes,
        })
    }
}

fn file_error(path: &str, error: files::FileError) -> FileError {
    let problem = match error {
        files::FileError::Denied(why) => FileProblem::Denied(why),
        files::FileError::NotFound => FileProblem::NotFound,
        files::FileError::TooLarge(limit) => FileProblem::TooLarge(limit),
        files::FileError::Io(why) => FileProblem::Io(why),
    };
    FileError::new(path, problem)
}

fn net_error(endpoint: &str, error: net::NetError) -> NetError {
    let problem = match error {
        net::NetError::Denied(why) => NetProblem::Denied(why),
        net::NetError::Timeout => NetProblem::Timeout,
        net::NetError::Closed => NetProblem::Closed,
        net::NetError::Refused => NetProblem::Refused,
        net::NetError::Other(why) => NetProblem::Other(why),
    };
    NetError::new(endpoint, problem)
}

impl Kernel for PluginHost {
    fn symbols(&self, addresses: &[u64]) -> Vec<Option<Symbol>> {
        let symbols = kernel::symbols(addresses).into_iter();
        symbols
            .map(|symbol| {
                symbol.map(|symbol| Symbol {
                    name: symbol.name,
                    offset: symbol.offset,
                })
            })
            .collect()
    }

    fn cgroup_paths(&self, ids: &[u64]) -> Vec<Option<String>> {
        kernel::cgroup_paths(ids)
    }

    fn interface_names(&self, indexes: &[u32]) -> Vec<Option<String>> {
        kernel::interface_names(indexes)
    }

    fn block_devices(&self, devices: &[u32]) -> Vec<Option<String>> {
        kernel::block_devices(devices)
    }

    fn machine(&self) -> String {
        kernel::machine()
    }

    fn pci_names(&self, kind: PciKind, ids: &[u32]) -> Option<Vec<Option<String>>> {
        let kind = match kind {
            PciKind::Vendor => kernel::PciKind::Vendor,
            PciKind::Device => kernel::PciKind::Device,
            PciKind::Class => kernel::PciKind::Class,
            PciKind::Subclass => kernel::PciKind::Subclass,
        };
        kernel::pci_names(kind, ids)
    }
}
