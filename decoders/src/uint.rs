//! `uint`: an integer of the map's key, in decimal.

use exporter_guest_sdk::text::push_number;
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

/// 1, 2, 4 or 8 bytes in the machine's byte order.
#[derive(Debug)]
pub struct Uint;

impl Decoder for Uint {
    const NAME: &'static str = "uint";
    const SUMMARY: &'static str = "1, 2, 4 or 8 bytes: an unsigned integer, in decimal";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        match *input {
            [a] => push_number(out, a),
            [a, b] => push_number(out, u16::from_ne_bytes([a, b])),
            [a, b, c, d] => push_number(out, u32::from_ne_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => {
                push_number(out, u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => return Err(format!("uint wants 1, 2, 4 or 8 bytes, got {}", input.len()).into()),
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
        assert_eq!(plain::<Uint>(&[200]), "200");
        assert_eq!(plain::<Uint>(&0xfffe_u16.to_ne_bytes()), "65534");
        assert_eq!(plain::<Uint>(&u32::MAX.to_ne_bytes()), "4294967295");
        assert_eq!(
            plain::<Uint>(&u64::MAX.to_ne_bytes()),
            "18446744073709551615"
        );
        assert_eq!(plain::<Uint>(&[0; 8]), "0");
        for length in [0, 3, 5, 7, 9, 16] {
            let error = format!("! uint wants 1, 2, 4 or 8 bytes, got {length}");
            assert_eq!(plain::<Uint>(&vec![1; length]), error);
        }
    }
}
