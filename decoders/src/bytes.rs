//! `hex` and `string`: bytes as they are.

use exporter_guest_sdk::text::push_hex_bytes;
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

/// `hex`: any bytes, two digits each, in memory order.
#[derive(Debug)]
pub struct Hex;

/// `string`: the bytes before the first NUL, all of them if there is none. Not repaired here if they are no UTF-8: a later decoder
/// may want them as they are.
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

impl Decoder for Text {
    const NAME: &'static str = "string";
    const SUMMARY: &'static str = "any bytes: those before the first NUL";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        out.extend(input.iter().take_while(|&&byte| byte != 0));
        Ok(Answer::Known)
    }
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
    }

    #[test]
    fn a_string_keeps_bytes_that_are_no_utf8() {
        let text: Text = open("").unwrap();
        let decoded = decode_one(&text, &FakeKernel::default(), b"a\xff\xfe\0");
        assert_eq!(decoded, Ok((Answer::Known, b"a\xff\xfe".to_vec())));
    }
}
