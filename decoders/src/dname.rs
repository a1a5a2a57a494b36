//! `dname`: domain names from their wire format.

use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

/// Length-prefixed labels become a dotted name. No compression, no case folding.
#[derive(Debug)]
pub struct Dname;

impl Decoder for Dname {
    const NAME: &'static str = "dname";
    const SUMMARY: &'static str = "a DNS name in wire format: the dotted name";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        if input.is_empty() {
            out.push(b'.');
            return Ok(Answer::Known);
        }
        let mut rest = input;
        while let Some((&length, after)) = rest.split_first() {
            let Some((label, after)) = after.split_at_checked(usize::from(length)) else {
                // The label runs past the end: whatever this is, it is shown as it is.
                out.clear();
                out.extend_from_slice(input);
                break;
            };
            // Not at the start: the first length byte stands for nothing.
            if rest.len() != input.len() {
                out.push(b'.');
            }
            out.extend_from_slice(label);
            rest = after;
        }
        Ok(Answer::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plain;

    #[test]
    fn names_are_dotted() {
        assert_eq!(plain::<Dname>(b"\x03com"), "com");
        assert_eq!(plain::<Dname>(b"\x07example\x03com"), "example.com");
        assert_eq!(plain::<Dname>(b"\x07eXample\x03com\0"), "eXample.com.");
        assert_eq!(plain::<Dname>(b"\x01a\0\0"), "a..");
        assert_eq!(plain::<Dname>(b"\0"), "");
        assert_eq!(plain::<Dname>(b""), ".");
    }

    #[test]
    fn what_is_no_name_stays_as_it_is() {
        assert_eq!(plain::<Dname>(b"\x05com"), "\x05com");
        assert_eq!(plain::<Dname>(b"\x03com\x02x"), "\x03com\x02x");
        assert_eq!(plain::<Dname>(b"\x01"), "\x01");
    }
}
