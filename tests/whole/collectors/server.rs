//! What a collector talks to: a server on loopback that counts who comes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    gate: Arc<Gate>,
}

/// Answers wait while it is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Server {
    /// The number of the request, as text, is its answer.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gate::default()));
        let server = Self {
            address,
            asked: Arc::clone(&asked),
            gate: Arc::clone(&gate),
        };
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (asked, gate) = (Arc::clone(&asked), Arc::clone(&gate));
                thread::spawn(move || {
                    let mut question = [0; 64];
                    let _read = stream.read(&mut question);
                    let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
                    let mut shut = gate.shut.lock().unwrap();
                    while *shut {
                        shut = gate.opened.wait(shut).unwrap();
                    }
                    drop(shut);
                    let _written = stream.write_all(number.to_string().as_bytes());
                });
            }
        });
        server
    }

    /// Requests so far, answered or not.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn shut(&self) {
        *self.gate.shut.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.gate.shut.lock().unwrap() = false;
        self.gate.opened.notify_all();
    }

    /// Lines of a sidecar that let a plugin talk to this server.
    pub(crate) fn grant(&self) -> String {
        format!("grants: {{tcp: [\"{}\"]}}\n", self.address)
    }
}
