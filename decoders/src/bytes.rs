//! `hex` and `string`: bytes as they are.

use exporter_guest_sdk::text::push_hex_bytes;
use exporter_guest_sdk::{Answer, BatchDecoder, Cells, Decoded, Decoder, Error, Kernel, NoOptions};

/// `hex`: any bytes, two digits each, in memory order.
#[derive(Debug)]
pub struct Hex;

/// `string`: the bytes before the first NUL, all of them if there is none. Not repaired here if
/// they are no UTF-8: a later decoder may want them as they are.
#[derive(Debug)]
pub struct Text;

impl Decoder for Hex {
    const NAME: &'static str = "hex";
    const SUMMARY: &'static str = "any bytes: lower-case hexadecimal";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        push_hex_bytes(out, input);
        Ok(Answer::Known)
    }
}

impl BatchDecoder for Text {
    const NAME: &'static str = "string";
    const SUMMARY: &'static str = "any bytes: those before the first NUL";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode_batch(&self, _: &impl Kernel, input: &Cells, out: &mut Decoded) {
        for cell in input.iter() {
            out.known(&cell[..before_nul(cell)]);
        }
    }
}

/// How many bytes there are before the first NUL: eight at a time.
fn before_nul(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    let mut seen = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is set belongs to the first zero byte.
        let zeros = word.wrapping_sub(ONES) & !word & HIGHS;
        if zeros != 0 {
            return seen + zeros.trailing_zeros() as usize / 8;
        }
        seen += 8;
    }
    let rest = bytes[seen..].iter().position(|&byte| byte == 0);
    rest.map_or(bytes.len(), |at| seen + at)
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;
    use crate::testing::plain;

    #[test]
    fn hex_is_in_memory_order() {
        assert_eq!(plain::<Hex>(&[0x00, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert_eq!(plain::<Hex>(b""), "");
    }

    #[test]
    fn a_string_ends_at_the_first_nul() {
        assert_eq!(plain::<Text>(b"bash\0junk\0"), "bash");
        assert_eq!(plain::<Text>(b"full"), "full");
        assert_eq!(plain::<Text>(b"\0"), "");
        assert_eq!(plain::<Text>(b""), "");
        let long = b"a text of 27 bytes, no more";
        for length in 0..=long.len() {
            let mut bytes = long.to_vec();
            bytes[length..].fill(0);
            let text = std::str::from_utf8(&long[..length]).unwrap();
            assert_eq!(plain::<Text>(&bytes), text);
            // A byte of 1 behind the NUL, which borrows.
            if let Some(byte) = bytes.get_mut(length + 1) {
                *byte = 1;
            }
            assert_eq!(plain::<Text>(&bytes), text);
        }
    }

    #[test]
    fn a_string_keeps_bytes_that_are_no_utf8() {
        let text: Text = open("").unwrap();
        let decoded = decode_one(&text, &FakeKernel::default(), b"a\xff\xfe\0");
        assert_eq!(decoded, Ok((Answer::Known, b"a\xff\xfe".to_vec())));
    }
}
