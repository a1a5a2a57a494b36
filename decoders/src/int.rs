//! `int`: a signed integer of the map's key, in decimal.

use exporter_guest_sdk::text::push_number;
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

/// 1, 2, 4 or 8 bytes in the machine's byte order, as a two's complement.
#[derive(Debug)]
pub struct Int;

impl Decoder for Int {
    const NAME: &'static str = "int";
    const SUMMARY: &'static str = "1, 2, 4 or 8 bytes: a signed integer, in decimal";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        match *input {
            [a] => push_number(out, i8::from_ne_bytes([a])),
            [a, b] => push_number(out, i16::from_ne_bytes([a, b])),
            [a, b, c, d] => push_number(out, i32::from_ne_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                push_number(out, i64::from_ne_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => return Err(format!("int wants 1, 2, 4 or 8 bytes, got {}", input.len()).into()),
        }
        Ok(Answer::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plain;

    #[test]
    fn integers_of_every_size() {
        assert_eq!(plain::<Int>(&[200]), "-56");
        assert_eq!(plain::<Int>(&(-2_i16).to_ne_bytes()), "-2");
        assert_eq!(plain::<Int>(&i32::MIN.to_ne_bytes()), "-2147483648");
        assert_eq!(plain::<Int>(&i64::MAX.to_ne_bytes()), "9223372036854775807");
        for length in [0, 3, 5, 7, 9, 16] {
            let error = format!("! int wants 1, 2, 4 or 8 bytes, got {length}");
            assert_eq!(plain::<Int>(&vec![1; length]), error);
        }
    }
}
