//! A network made of functions.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::net::{Datagram, Net, NetError, NetProblem, TcpStream, UdpSocket};

/// What a fake server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// These bytes arrive as one piece (cut to what the reader takes at once).
    Bytes(Vec<u8>),
    /// Nothing comes until the reader's timeout.
    Silence,
    /// The other side closes its half: the reader sees the end.
    End,
    /// The connection breaks.
    Reset,
}

type Server = Box<dyn FnMut(&[u8]) -> Vec<Reply>>;
type UdpServer = Box<dyn FnMut(&[u8]) -> Vec<Datagram>>;

/// A network whose servers are functions: from what a client wrote to what comes back.
///
/// ```
/// use std::time::Duration;
/// use exporter_guest_sdk::Net;
/// use exporter_guest_sdk::net::TcpStream;
/// use exporter_guest_sdk::testing::{FakeNet, Reply};
///
/// let mut net = FakeNet::default();
/// net.serve("10.0.0.1:7", |request| vec![Reply::Bytes(request.to_vec()), Reply::End]);
/// let second = Duration::from_secs(1);
/// let mut stream = net.connect("10.0.0.1:7", second).unwrap();
/// stream.write_all(b"hello", second).unwrap();
/// assert_eq!(stream.read(3, second).unwrap(), b"hel");
/// assert_eq!(stream.read(99, second).unwrap(), b"lo");
/// assert_eq!(stream.read(99, second).unwrap(), b"");
/// assert_eq!(net.written("10.0.0.1:7"), [b"hello"]);
/// assert!(net.connect("10.0.0.2:7", second).is_err());
/// ```
#[derive(Default, Clone)]
pub struct FakeNet {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    servers: BTreeMap<String, Server>,
    greetings: BTreeMap<String, Vec<Reply>>,
    udp_servers: BTreeMap<String, UdpServer>,
    problems: BTreeMap<String, NetProblem>,
    written: BTreeMap<String, Vec<Vec<u8>>>,
}

/// A connection to a fake server.
#[derive(Debug)]
pub struct FakeTcp {
    net: FakeNet,
    endpoint: String,
    replies: VecDeque<Reply>,
}

/// A socket of a fake network.
#[derive(Debug)]
pub struct FakeUdp {
    net: FakeNet,
    received: VecDeque<Datagram>,
}

impl FakeNet {
    /// Serves an endpoint by TCP. The function is called with each write of a client.
    pub fn serve(
        &mut self,
        endpoint: &str,
        server: impl FnMut(&[u8]) -> Vec<Reply> + 'static,
    ) -> &mut Self {
        let mut state = self.state.borrow_mut();
        state.servers.insert(endpoint.to_owned(), Box::new(server));
        drop(state);
        self
    }

    /// Serves an endpoint by TCP whose server speaks first, and says nothing more unless it is also
    /// [served](Self::serve).
    pub fn greet(&mut self, endpoint: &str, replies: Vec<Reply>) -> &mut Self {
        let mut state = self.state.borrow_mut();
        state.greetings.insert(endpoint.to_owned(), replies);
        drop(state);
        self
    }

    /// Serves an endpoint by UDP. The function is called with each datagram; what it gives is
    /// received by the sender.
    pub fn serve_udp(
        &mut self,
        endpoint: &str,
        server: impl FnMut(&[u8]) -> Vec<Datagram> + 'static,
    ) -> &mut Self {
        let mut state = self.state.borrow_mut();
        let servers = &mut state.udp_servers;
        servers.insert(endpoint.to_owned(), Box::new(server));
        drop(state);
        self
    }

    /// Makes connecting or sending to this endpoint fail. Unknown endpoints refuse TCP, and are
    /// silent by UDP.
    pub fn fail(&mut self, endpoint: &str, problem: NetProblem) -> &mut Self {
        let mut state = self.state.borrow_mut();
        state.problems.insert(endpoint.to_owned(), problem);
        drop(state);
        self
    }

    /// What was written or sent to an endpoint, write by write.
    pub fn written(&self, endpoint: &str) -> Vec<Vec<u8>> {
        let state = self.state.borrow();
        state.written.get(endpoint).cloned().unwrap_or_default()
    }

    fn check(&self, endpoint: &str) -> Result<(), NetError> {
        match self.state.borrow().problems.get(endpoint) {
            Some(problem) => Err(NetError::new(endpoint, problem.clone())),
            None => Ok(()),
        }
    }

    fn keep(&self, endpoint: &str, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let written = state.written.entry(endpoint.to_owned()).or_default();
        written.push(bytes.to_vec());
    }

    fn ask(&self, endpoint: &str, bytes: &[u8]) -> Option<Vec<Reply>> {
        let mut state = self.state.borrow_mut();
        state.servers.get_mut(endpoint).map(|server| server(bytes))
    }
}

impl Net for FakeNet {
    type Tcp = FakeTcp;
    type Udp = FakeUdp;

    fn connect(&self, endpoint: &str, _: Duration) -> Result<FakeTcp, NetError> {
        self.check(endpoint)?;
        let state = self.state.borrow();
        let greeting = state.greetings.get(endpoint).cloned();
        if greeting.is_none() && !state.servers.contains_key(endpoint) {
            return Err(NetError::new(endpoint, NetProblem::Refused));
        }
        Ok(FakeTcp {
            net: self.clone(),
            endpoint: endpoint.to_owned(),
            replies: greeting.unwrap_or_default().into(),
        })
    }

    fn open_udp(&self) -> Result<FakeUdp, NetError> {
        Ok(FakeUdp {
            net: self.clone(),
            received: VecDeque::new(),
        })
    }
}

impl TcpStream for FakeTcp {
    fn read(&mut self, max: u32, _: Duration) -> Result<Vec<u8>, NetError> {
        match self.replies.pop_front() {
            Some(Reply::Bytes(mut bytes)) => {
                if bytes.len() > max as usize {
                    let rest = bytes.split_off(max as usize);
                    self.replies.push_front(Reply::Bytes(rest));
                }
                Ok(bytes)
            }
            Some(Reply::End) => {
                self.replies.push_front(Reply::End);
                Ok(Vec::new())
            }
            Some(Reply::Reset) => Err(NetError::new(&self.endpoint, NetProblem::Closed)),
            Some(Reply::Silence) | None => Err(NetError::new(&self.endpoint, NetProblem::Timeout)),
        }
    }

    fn write_all(&mut self, bytes: &[u8], _: Duration) -> Result<(), NetError> {
        self.net.keep(&self.endpoint, bytes);
        let replies = self.net.ask(&self.endpoint, bytes);
        self.replies.extend(replies.unwrap_or_default());
        Ok(())
    }
}

impl UdpSocket for FakeUdp {
    fn send_to(&mut self, endpoint: &str, bytes: &[u8]) -> Result<(), NetError> {
        self.net.check(endpoint)?;
        self.net.keep(endpoint, bytes);
        let mut state = self.net.state.borrow_mut();
        if let Some(server) = state.udp_servers.get_mut(endpoint) {
            self.received.extend(server(bytes));
        }
        Ok(())
    }

    fn receive(&mut self, _: Duration) -> Result<Datagram, NetError> {
        let datagram = self.received.pop_front();
        datagram.ok_or_else(|| NetError::new("", NetProblem::Timeout))
    }
}

impl fmt::Debug for FakeNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeNet").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn connections_fail_as_told() {
        let mut net = FakeNet::default();
        net.greet("a:1", vec![Reply::Silence, Reply::Reset]);
        net.fail("b:1", NetProblem::Denied("no".to_owned()));
        let mut stream = net.connect("a:1", SECOND).unwrap();
        assert!(stream.read(1, SECOND).unwrap_err().is_timeout());
        let error = stream.read(1, SECOND).unwrap_err();
        assert_eq!(error.problem, NetProblem::Closed);
        assert_eq!(
            net.connect("b:1", SECOND).unwrap_err().to_string(),
            "b:1: no"
        );
    }

    #[test]
    fn datagrams_are_answered() {
        let mut net = FakeNet::default();
        net.serve_udp("255.255.255.255:9", |bytes| {
            let source = "10.0.0.1:9".to_owned();
            vec![Datagram {
                source,
                bytes: bytes.to_vec(),
            }]
        });
        let mut socket = net.open_udp().unwrap();
        socket.send_to("255.255.255.255:9", b"who").unwrap();
        socket.send_to("10.0.0.9:9", b"who").unwrap();
        assert_eq!(socket.receive(SECOND).unwrap().source, "10.0.0.1:9");
        assert!(socket.receive(SECOND).unwrap_err().is_timeout());
    }
}
