//! For the fuzzers in tests/fuzz: any bytes as what a device says.

use std::cell::Cell;

use exporter_guest_sdk::net::Datagram;
use exporter_guest_sdk::registry::OpenCollector;
use exporter_guest_sdk::testing::{self, FakeHost, Reply};
use exporter_guest_sdk::{Collector, NoOptions, Request};

use crate::collector::HdHomeRun;
use crate::debug::{Debug, Section};
use crate::discovery::Discovery;
use crate::frame::{Frame, frame_len, seal};
use crate::reply::{Answer, Found};
use crate::request::Variable;
use crate::target::{PORT, endpoint};
use crate::tlv::{Tags, push};

const DISCOVER_REPLY: u16 = 3;
const GET_REPLY: u16 = 5;

/// As a frame, as the payload of one, as a text, as what a device sends in pieces, and as a
/// datagram.
pub fn hdhomerun(data: &[u8]) {
    frame(data);
    for kind in [DISCOVER_REPLY, GET_REPLY] {
        let payload = data.get(..usize::from(u16::MAX)).unwrap_or(data);
        frame(&seal(kind, payload));
    }
    let text = String::from_utf8_lossy(data);
    debug(&text);
    if let Ok(endpoint) = endpoint(&text) {
        // It is its own target.
        assert_eq!(crate::target::endpoint(&endpoint), Ok(endpoint));
    }
    conversation(data);
    discovery(data);
}

fn frame(data: &[u8]) {
    if let Ok(frame) = Frame::parse(data) {
        assert_eq!(seal(frame.kind, frame.payload), data);
        assert_eq!(frame_len(data), Some(data.len()));
        tags(frame.payload);
    }
    for variable in [Variable::Model, Variable::Debug(0)] {
        if let Ok(Answer::Value(value)) = Answer::parse(data, variable) {
            assert!(!value.contains('\0'));
        }
    }
    if let Ok(found) = Found::parse(data, "192.0.2.1:65001") {
        assert!(found.id != 0 && found.base_url.starts_with("http"));
    }
}

/// Written again they are the same, if not the same bytes: a short length has two ways.
fn tags(payload: &[u8]) {
    let read: Result<Vec<_>, _> = Tags::of(payload).collect();
    let Ok(read) = read else { return };
    let mut written = Vec::new();
    for (tag, value) in &read {
        push(&mut written, *tag, value);
    }
    assert!(written.len() <= payload.len());
    let again: Result<Vec<_>, _> = Tags::of(&written).collect();
    assert_eq!(again, Ok(read));
}

fn debug(text: &str) {
    let debug = Debug::parse(text);
    let tokens = text
        .split(['\n', '\0'])
        .flat_map(str::split_ascii_whitespace);
    assert!(debug.skipped <= tokens.count() as u64 * 2);
    if debug.number(Section::CableCard, "bps").is_some() {
        assert!(debug.has_cable_card());
    }
    assert_eq!(debug.is_locked().is_some(), debug.lock.is_some());
}

/// A device that answers with these bytes, cut at every 0xfe: the pieces of a stream, sealed where
/// they are said to be a payload.
fn conversation(data: &[u8]) {
    let pieces: Vec<Vec<u8>> = data
        .split(|byte| *byte == 0xfe)
        .map(|chunk| match chunk.split_first() {
            Some((0xfd, payload)) => seal(GET_REPLY, payload),
            // The answer that fits, with this as its value.
            Some((0xfc, value)) => value.to_vec(),
            _ => chunk.to_vec(),
        })
        .collect();
    let fits: Vec<bool> = data
        .split(|byte| *byte == 0xfe)
        .map(|chunk| chunk.first() == Some(&0xfc))
        .collect();
    let mut host = FakeHost::default();
    let next = Cell::new(0);
    host.net.serve(&format!("device:{PORT}"), move |request| {
        let at = next.get();
        next.set(at + 1);
        let Some(chunk) = pieces.get(at) else {
            return vec![Reply::End];
        };
        let chunk = if fits.get(at) == Some(&true) {
            answered(request, chunk)
        } else {
            chunk.clone()
        };
        let (front, back) = chunk.split_at(chunk.len() / 2);
        let halves = [front, back].into_iter().filter(|half| !half.is_empty());
        halves.map(|half| Reply::Bytes(half.to_vec())).collect()
    });
    let request = Request {
        target: Some("device".to_owned()),
        ..Request::default()
    };
    let Ok(collector) = <HdHomeRun as Collector>::open(NoOptions {}) else {
        return;
    };
    serves(&collector, &host, &request);
}

/// The reply to `request` with this value.
fn answered(request: &[u8], value: &[u8]) -> Vec<u8> {
    const NAME: u8 = 3;
    const VALUE: u8 = 4;
    let mut payload = Vec::new();
    if let Ok(frame) = Frame::parse(request) {
        let name = Tags::of(frame.payload)
            .filter_map(Result::ok)
            .find(|(tag, _)| *tag == NAME);
        push(&mut payload, NAME, name.map_or(&[][..], |(_, name)| name));
    }
    push(&mut payload, VALUE, value.get(..0x7fff).unwrap_or(value));
    seal(GET_REPLY, &payload)
}

fn discovery(data: &[u8]) {
    let mut host = FakeHost::default();
    let payload = data.get(..usize::from(u16::MAX)).unwrap_or(data);
    let datagrams = [data.to_vec(), seal(DISCOVER_REPLY, payload)];
    host.net
        .serve_udp(&format!("255.255.255.255:{PORT}"), move |_| {
            let datagram = |bytes: &Vec<u8>| Datagram {
                source: format!("192.0.2.1:{PORT}"),
                bytes: bytes.clone(),
            };
            datagrams.iter().map(datagram).collect()
        });
    if let Ok(collector) = testing::open_collector::<Discovery>("{}") {
        serves(&collector, &host, &Request::default());
    }
}

/// Whatever comes, there are families or a failure, and no mistake of ours.
fn serves<C: Collector>(collector: &C, host: &FakeHost, request: &Request) {
    let mistake = "is added as";
    match OpenCollector::collect(collector, host, request) {
        Ok(families) => assert!(!families.is_empty()),
        Err(failure) => assert!(!format!("{failure:?}").contains(mistake), "{failure:?}"),
    }
    testing::take_log();
}
