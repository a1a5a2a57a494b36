//! What walks of a map can know, and a proxy that walks right before it asks the host.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::harness::http;

/// Entries a call: all of them.
const BATCH: u32 = 4096;

/// Adds what each key has grown by since the walk before; of a new key, and of one that is smaller
/// than before, all that it has.
pub(crate) struct Observer {
    map: MapHandle,
    last: HashMap<Vec<u8>, u64>,
    sum: u64,
}

impl Observer {
    pub(crate) fn new(map: MapHandle) -> Self {
        Self {
            map,
            last: HashMap::new(),
            sum: 0,
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    fn walk(&mut self) {
        let entries = self
            .map
            .lookup_batch(BATCH, MapFlags::ANY, MapFlags::ANY)
            .unwrap();
        let now: HashMap<Vec<u8>, u64> = entries
            .map(|(key, value)| (key, u64::from_ne_bytes(value.try_into().unwrap())))
            .collect();
        for (key, value) in &now {
            let before = self.last.get(key).copied().unwrap_or(0);
            self.sum += value.checked_sub(before).unwrap_or(*value);
        }
        self.last = now;
    }
}

/// Stands before the host at this address: each scrape walks the observers' maps first.
pub(crate) fn proxy(host: SocketAddr, observers: Arc<Mutex<Vec<Observer>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A scraper that went away asks again.
            let _sent = answer(&mut stream.unwrap(), host, &observers);
        }
    });
    address
}

fn answer(
    stream: &mut TcpStream,
    host: SocketAddr,
    observers: &Mutex<Vec<Observer>>,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..read]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let mut headers = request.lines().filter_map(|line| line.split_once(": "));
    let accept = headers
        .find(|(name, _)| name.eq_ignore_ascii_case("accept"))
        .map_or("*/*", |(_, value)| value);
    observers
        .lock()
        .unwrap()
        .iter_mut()
        .for_each(Observer::walk);
    let response = http::request(host, "GET", "/metrics", &[("Accept", accept)]);
    let head = format!(
        "HTTP/1.1 {} Answer\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        response.status,
        response.header("content-type").unwrap_or("text/plain"),
        response.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response.body)
}
