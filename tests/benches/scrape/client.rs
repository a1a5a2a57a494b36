//! A scraper that costs little itself: reads an answer and throws it away.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::harness::http;

/// What came of a GET.
pub(crate) struct Answer {
    pub(crate) wall: Duration,
    /// Bytes on the wire, head included.
    pub(crate) bytes: usize,
}

/// GETs the metrics; `headers` are whole lines.
pub(crate) fn get(address: SocketAddr, headers: &str) -> Answer {
    let started = Instant::now();
    let mut stream = http::connect(address);
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    let mut status = [0; 12];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        if bytes == 0 {
            status.copy_from_slice(&buffer[..12]);
        }
        bytes += read;
    }
    assert_eq!(&status, b"HTTP/1.1 200");
    Answer {
        wall: started.elapsed(),
        bytes,
    }
}
