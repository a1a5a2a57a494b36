//! `uint`: an integer of the map's key, in decimal.

use exporter_guest_sdk::{BatchDecoder, Cells, Decoded, Error, Kernel, NoOptions};

/// 1, 2, 4 or 8 bytes in the machine's byte order.
#[derive(Debug)]
pub struct Uint;

impl BatchDecoder for Uint {
    const NAME: &'static str = "uint";
    const SUMMARY: &'static str = "1, 2, 4 or 8 bytes: an unsigned integer, in decimal";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, _: &impl Kernel, input: &Cells, out: &mut Decoded) {
        let mut digits = itoa::Buffer::new();
        for cell in input.iter() {
            let number: u64 = match *cell {
                [a] => a.into(),
                [a, b] => u16::from_ne_bytes([a, b]).into(),
                [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
                [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                _ => {
                    let length = cell.len();
                    out.row(|_| Err(format!("uint wants 1, 2, 4 or 8 bytes, got {length}").into()));
                    continue;
                }
            };
            // Narrow numbers are printed in narrow steps.
            let text = match u32::try_from(number) {
                Ok(number) => digits.format(number),
                Err(_) => digits.format(number),
            };
            out.known(text.as_bytes());
        }
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
