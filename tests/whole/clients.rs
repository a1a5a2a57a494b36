//! Clients that say nothing, say little, or do not read: they cost others nothing, and memory for a
//! while.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::http::{connect, raw, whole};
use crate::harness::{Host, eventually, within};

const HUGE: &str = "metrics: {counters: [{name: huge_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
const SMALL: &str = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
/// More than the host has places for connections.
const MANY: usize = 600;

fn is_answered_soon(address: SocketAddr, path: &str) {
    let begun = Instant::now();
    let answer = whole(address, path).expect("an answer");
    assert_eq!(answer.status, 200, "{path}");
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{path} took {took:?}");
}

/// Connections which have sent this and wait.
fn waiting(address: SocketAddr, sent: &str) -> Vec<TcpStream> {
    let one = |_| {
        let mut stream = connect(address);
        stream.write_all(sent.as_bytes()).unwrap();
        stream
    };
    (0..MANY).map(one).collect()
}

/// Whoever sends no request keeps nobody out: not those that are silent, not those that stop in
/// the middle of a head, and not those that may send a second request.
#[test]
fn those_that_send_no_request_make_room() {
    let host = Host::start("maps", SMALL);
    let address = host.address();
    let second = "GET /-/healthy HTTP/1.1\r\nHost: test\r\n\r\n";
    for sent in ["", "GET /metr", second] {
        let silent = waiting(address, sent);
        for path in ["/-/healthy", "/metrics", "/"] {
            is_answered_soon(address, path);
        }
        drop(silent);
    }
}

/// A head that does not come is not waited for long.
#[test]
fn a_silent_connection_is_closed_soon() {
    let host = Host::start("maps", SMALL);
    for sent in ["", "GET /metr"] {
        let mut stream = connect(host.address());
        stream.write_all(sent.as_bytes()).unwrap();
        let begun = Instant::now();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "{sent:?}: {took:?}");
    }
}

/// Everybody is being answered and reads nothing: whether the host lives is answered all the same,
/// and who asks for more is told why not.
#[test]
fn some_places_are_kept_for_health() {
    let host = Host::start("huge", HUGE);
    let address = host.address();
    host.map("huge_total")
        .set_many((0..100_000).map(|n| (n, 1)));
    let request = "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n";
    let readers = waiting(address, request);
    for path in ["/-/healthy", "/-/ready"] {
        is_answered_soon(address, path);
    }
    drop(readers);
    eventually("scrapes are answered again", || {
        whole(address, "/metrics").filter(|answer| answer.status == 200)
    });
}

fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap() >> 10
}

/// Each reader's series are of its own time, so that nothing is shared: what is held for all of
/// them is bounded, and is given back.
#[test]
fn slow_readers_hold_little_memory() {
    const SERIES: u32 = 150_000;
    let host = Host::start("huge", HUGE);
    let address = host.address();
    let map = host.map("huge_total");
    let fill = |from: u32| map.set_many((from..from + SERIES).map(|n| (n, u64::from(n))));
    fill(0);
    assert_eq!(whole(address, "/metrics").unwrap().status, 200);
    let before = memory(host.server());
    let mut readers = Vec::new();
    let mut peak = 0;
    for n in 1..=40 {
        // As many new keys in the place of old ones.
        for key in (n - 1) * SERIES / 10..n * SERIES / 10 {
            map.delete(&key.to_ne_bytes());
        }
        map.set_many((0..SERIES / 10).map(|key| (key + (n + 9) * SERIES / 10, 1)));
        let mut reader = connect(address);
        reader
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n")
            .unwrap();
        // The scrape is done, and the body is on its way.
        reader.read_exact(&mut [0; 1024]).unwrap();
        readers.push(reader);
        peak = memory(host.server()).max(peak);
    }
    let more = peak.saturating_sub(before);
    drop(readers);
    let after = within(Duration::from_secs(60), "memory is given back", || {
        let after = memory(host.server());
        (after < before + 40).then_some(after)
    });
    eprintln!("slow readers: {before} MiB before, {peak} at most, {after} after");
    assert!(more < 230, "{more} MiB more than before");
}

/// RFC 9112, 3.2: without it, or with two, the request is refused.
#[test]
fn a_request_of_http_1_1_names_its_host_once() {
    let host = Host::start("maps", SMALL);
    let status =
        |request: &str| raw(host.address(), request.as_bytes()).map(|answer| answer.status);
    let close = "Connection: close\r\n\r\n";
    for (request, expected) in [
        (format!("GET /-/healthy HTTP/1.1\r\n{close}"), 400),
        (
            format!("GET /-/healthy HTTP/1.1\r\nHost: a\r\nHost: b\r\n{close}"),
            400,
        ),
        (
            format!("GET /-/healthy HTTP/1.1\r\nHost: a\r\n{close}"),
            200,
        ),
        (format!("GET /-/healthy HTTP/1.0\r\n{close}"), 200),
    ] {
        assert_eq!(status(&request), Some(expected), "{request}");
    }
}
