//! An HDHomeRun device on loopback, and what such devices get wrong. It remembers whatever a
//! collector must never send, and its end fails the test then.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::Crc;

const GET_REQUEST: u16 = 4;
const GET_REPLY: u16 = 5;
const NAME: u8 = 3;
const VALUE: u8 = 4;
const ERROR: u8 = 5;

/// What a device does in place of answering at once.
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Nothing more comes on this connection, until the other side closes it.
    Hang,
    Close,
}

/// How a device answers: from the variable's name and a good reply to what is done.
type Manner = dyn Fn(&str, Vec<u8>) -> Vec<Act> + Send + Sync;

pub(crate) struct Device {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    variables: Vec<(String, String)>,
    manner: Box<Manner>,
    asked: Mutex<Vec<String>>,
    offences: Mutex<Vec<String>>,
    open: AtomicUsize,
    stopped: AtomicBool,
}

impl Device {
    /// A device that knows these variables and answers as it should.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::with_manner(variables, |_, reply| vec![Act::Send(reply)])
    }

    pub(crate) fn with_manner(
        variables: &[(&str, &str)],
        manner: impl Fn(&str, Vec<u8>) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let known = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let shared = Arc::new(Shared {
            variables: known.collect(),
            manner: Box::new(manner),
            asked: Mutex::default(),
            offences: Mutex::default(),
            open: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let accepting = thread::spawn(move || own.accept(&listener));
        Self {
            address,
            shared,
            accepting: Some(accepting),
        }
    }

    /// As a target: `127.0.0.1:PORT`.
    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }

    /// The variables that were asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join();
        }
        let offences = self.shared.offences.lock().unwrap();
        if !thread::panicking() {
            assert!(offences.is_empty(), "a collector only asks: {offences:?}");
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { return };
            let own = Arc::clone(self);
            own.open.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                own.serve(stream);
                own.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// Until the other side goes, or has got what it is meant to get.
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        while let Some(frame) = read_frame(&mut stream) {
            let name = match asked(&frame) {
                Ok(name) => name,
                Err(offence) => {
                    self.offences.lock().unwrap().push(offence);
                    return;
                }
            };
            self.asked.lock().unwrap().push(name.clone());
            for act in (self.manner)(&name, self.reply(&name)) {
                match act {
                    Act::Send(bytes) => {
                        if stream.write_all(&bytes).is_err() {
                            return;
                        }
                    }
                    Act::Wait(time) => thread::sleep(time),
                    Act::Hang => {
                        let _closed = stream.read(&mut [0]);
                        return;
                    }
                    Act::Close => return,
                }
            }
        }
    }

    fn reply(&self, name: &str) -> Vec<u8> {
        match self.variables.iter().find(|(known, _)| known == name) {
            Some((_, text)) => value(name, text),
            None => error(None, "ERROR: unknown getset variable"),
        }
    }
}

/// A reply with a value.
pub(crate) fn value(name: &str, text: &str) -> Vec<u8> {
    let mut payload = tag(NAME, &format!("{name}\0"));
    payload.extend(tag(VALUE, &format!("{text}\0")));
    frame(GET_REPLY, &payload)
}

/// A reply with an error, and the variable's name if it is to have one.
pub(crate) fn error(name: Option<&str>, text: &str) -> Vec<u8> {
    let mut payload = name.map_or_else(Vec::new, |name| tag(NAME, &format!("{name}\0")));
    payload.extend(tag(ERROR, &format!("{text}\0")));
    frame(GET_REPLY, &payload)
}

pub(crate) fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = kind.to_be_bytes().to_vec();
    frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame.extend(checksum(&frame).to_le_bytes());
    frame
}

fn tag(tag: u8, value: &str) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = u16::try_from(value.len()).unwrap();
    match u8::try_from(length) {
        Ok(length @ 0..=127) => bytes.push(length),
        _ => bytes.extend([0x80 | (length & 0x7f) as u8, (length >> 7) as u8]),
    }
    bytes.extend(value.as_bytes());
    bytes
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// None: the other side has closed, or sent half a frame.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).ok()?;
    let length = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
    frame.resize(4 + length + 4, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

/// The variable that a request asks for, or what is wrong with it: a set request, an upgrade, or no
/// frame at all.
fn asked(frame: &[u8]) -> Result<String, String> {
    let (body, sum) = frame.split_at(frame.len() - 4);
    if checksum(body).to_le_bytes() != sum {
        return Err(format!("the checksum of {frame:02x?} is wrong"));
    }
    let kind = u16::from_be_bytes([body[0], body[1]]);
    if kind != GET_REQUEST {
        return Err(format!("a frame of type {kind}: {frame:02x?}"));
    }
    // Our names are short: one byte of length.
    match &body[4..] {
        [NAME, length, name @ ..] if usize::from(*length) == name.len() && name.ends_with(&[0]) => {
            let name = &name[..name.len() - 1];
            String::from_utf8(name.to_vec()).map_err(|error| error.to_string())
        }
        _ => Err(format!("not just a name: {frame:02x?}")),
    }
}
