//! Connections to targets that the operator granted. The host resolves names, checks every address
//! and connects to that one.

use std::fmt;
use std::time::Duration;

use crate::collector::Failure;

/// Opens connections. An endpoint is `host:port`; the host is a name, an IPv4 address or an IPv6
/// address in brackets.
///
/// No operation outlives the call's deadline, whatever its own timeout: near the end it answers
/// [`NetProblem::Timeout`] early enough to give what is there.
///
/// In a component this is the imported `net` interface; tests take `testing::FakeNet`.
pub trait Net {
    /// What [`connect`](Self::connect) gives.
    type Tcp: TcpStream;
    /// What [`open_udp`](Self::open_udp) gives.
    type Udp: UdpSocket;

    /// Connects by TCP.
    fn connect(&self, endpoint: &str, timeout: Duration) -> Result<Self::Tcp, NetError>;
    /// Opens a UDP socket on a port of the kernel's choice.
    fn open_udp(&self) -> Result<Self::Udp, NetError>;
}

/// A connection; dropping it closes it.
pub trait TcpStream {
    /// What has come, at most `max` bytes, waiting for the first one. Empty: the other side has
    /// closed its half.
    fn read(&mut self, max: u32, timeout: Duration) -> Result<Vec<u8>, NetError>;
    /// Sends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), NetError>;
}

/// A socket; dropping it closes it.
pub trait UdpSocket {
    /// Sends one datagram. To a broadcast address only if that is granted.
    fn send_to(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), NetError>;
    /// Waits for one datagram.
    fn receive(&mut self, timeout: Duration) -> Result<Datagram, NetError>;
}

/// What came by UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Its sender's address and port.
    pub source: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetError {
    /// Whom it was about; empty if nobody in particular.
    pub endpoint: String,
    /// What came of it.
    pub problem: NetProblem,
}

/// What can go wrong with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetProblem {
    /// Not granted; says what to do.
    Denied(String),
    /// Nothing came in time.
    Timeout,
    /// The other side closed or reset the connection.
    Closed,
    /// Nobody listens there.
    Refused,
    /// The host's words.
    Other(String),
}

impl NetError {
    /// About `endpoint`.
    pub fn new(endpoint: &str, problem: NetProblem) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            problem,
        }
    }

    /// Whether time ran out.
    pub fn is_timeout(&self) -> bool {
        self.problem == NetProblem::Timeout
    }
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match &self.problem {
            // The host's sentence names the endpoint.
            NetProblem::Denied(why) if why.contains(&self.endpoint) => return f.write_str(why),
            NetProblem::Denied(why) | NetProblem::Other(why) => why,
            NetProblem::Timeout => "no answer in time",
            NetProblem::Closed => "connection closed by the other side",
            NetProblem::Refused => "connection refused",
        };
        if !self.endpoint.is_empty() {
            write!(f, "{}: ", self.endpoint)?;
        }
        f.write_str(problem)
    }
}

impl std::error::Error for NetError {}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        let message = error.to_string();
        match error.problem {
            NetProblem::Denied(_) => Self::Denied(message),
            NetProblem::Timeout => Self::Timeout(message),
            NetProblem::Closed | NetProblem::Refused | NetProblem::Other(_) => {
                Self::Unreachable(message)
            }
        }
    }
}

/// As the interface has it: whole milliseconds, at least one.
#[doc(hidden)]
pub fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}
