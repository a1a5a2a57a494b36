//! What several modules' tests use.

use crate::frame::seal;
use crate::tlv::{push, tag};

/// The debug text of a CableCARD tuner that was shown in the talk about the 2018 exporter: 214
/// bytes.
pub(crate) const PRIME: &str = "tun: ch=qam:183000000 lock=qam256:183000000 ss=100 snq=100 seq=100 dbg=-381/-5551\n\
                                dev: bps=38810720 resync=0 overflow=0\n\
                                cc:  bps=38810720 resync=0 overflow=0\n\
                                ts:  bps=12514784 te=0 crc=0\n\
                                net: pps=1192 err=0 stop=0\n";

/// Bytes written in hex, with or without blanks.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|d| d as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A reply as a device gives it.
pub(crate) fn value_reply(name: &str, value: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    push(&mut payload, tag::NAME, format!("{name}\0").as_bytes());
    push(&mut payload, tag::VALUE, format!("{value}\0").as_bytes());
    seal(5, &payload)
}
