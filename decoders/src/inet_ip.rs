//! `inet_ip`: addresses in network order, as Go prints them.

use exporter_guest_sdk::text::{push_hex, push_hex_bytes, push_number};
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

/// 4 bytes: IPv4. 16 bytes: IPv6 after RFC 5952; a v4-mapped one is printed as the IPv4 address it
/// is.
#[derive(Debug)]
pub struct InetIp;

impl Decoder for InetIp {
    const NAME: &'static str = "inet_ip";
    const SUMMARY: &'static str = "4 or 16 bytes: an IPv4 or IPv6 address";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        match *input {
            [a, b, c, d] | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => {
                push_v4(out, [a, b, c, d]);
            }
            [] => out.extend_from_slice(b"<nil>"),
            _ => match input.as_array() {
                Some(address) => push_v6(out, address),
                None => {
                    out.push(b'?');
                    push_hex_bytes(out, input);
                }
            },
        }
        Ok(Answer::Known)
    }
}

fn push_v4(out: &mut Vec<u8>, address: [u8; 4]) {
    for (index, byte) in address.into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        push_number(out, byte);
    }
}

fn push_v6(out: &mut Vec<u8>, address: &[u8; 16]) {
    let (pairs, _) = address.as_chunks::<2>();
    let (start, end) = longest_zero_run(pairs);
    let mut index = 0;
    while let Some(&pair) = pairs.get(index) {
        if index == start && end > start {
            out.extend_from_slice(b"::");
            index = end;
            continue;
        }
        if index > 0 && index != end {
            out.push(b':');
        }
        push_hex(out, u64::from(u16::from_be_bytes(pair)), 1);
        index += 1;
    }
}

/// The first of the longest runs of zero groups, if it is longer than one group: where it starts
/// and ends. Otherwise an end that is no group's index.
fn longest_zero_run(pairs: &[[u8; 2]]) -> (usize, usize) {
    let mut best = (0, 0);
    let mut start = 0;
    for (index, pair) in pairs.iter().enumerate() {
        if *pair != [0, 0] {
            start = index + 1;
        } else if index + 1 - start > best.1 - best.0 {
            best = (start, index + 1);
        }
    }
    if best.1 - best.0 > 1 { best } else { (0, 0) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;
    use crate::testing::plain;

    fn v6(text: &str) -> String {
        plain::<InetIp>(&text.parse::<Ipv6Addr>().unwrap().octets())
    }

    #[test]
    fn v4() {
        assert_eq!(plain::<InetIp>(&[1, 2, 3, 4]), "1.2.3.4");
        assert_eq!(plain::<InetIp>(&[255, 0, 10, 100]), "255.0.10.100");
        assert_eq!(v6("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn v6_is_shortened_at_the_first_longest_run_of_zeros() {
        for text in [
            "::",
            "::1",
            "1::",
            "2400:cb00:4:1024::a29e:fd8f",
            "fe80::1:0:0:2",
            "1:0:0:2::3",
            "1:0:2:3:4:5:6:7",
            "0:1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:0",
            "::2:3:4:5:6:7",
            "1:2:3:4:5:6::",
            "::1:2:3:4",
            "1::2:0:0:3:4",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "64:ff9b::a00:1",
            "::102:304",
        ] {
            assert_eq!(v6(text), text);
        }
    }

    #[test]
    fn other_lengths_are_shown_as_hex() {
        assert_eq!(plain::<InetIp>(&[1, 0xab]), "?01ab");
        assert_eq!(plain::<InetIp>(&[0; 17]), format!("?{}", "00".repeat(17)));
        assert_eq!(plain::<InetIp>(b""), "<nil>");
    }
}
