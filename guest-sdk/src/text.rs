//! Writing and reading numbers without the formatting machinery: a decoder runs these once per
//! cell.

/// Appends a number in decimal.
///
/// ```
/// let mut text = b"cpu".to_vec();
/// exporter_guest_sdk::text::push_number(&mut text, 7_u16);
/// assert_eq!(text, b"cpu7");
/// ```
#[inline]
pub fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number in lower-case hexadecimal, with leading zeros up to `width` digits.
pub fn push_hex(out: &mut Vec<u8>, number: u64, width: usize) {
    let digits = (16 - number.leading_zeros() as usize / 4).max(1);
    for index in (0..digits.max(width)).rev() {
        out.push(if index < 16 {
            hex_digit((number >> (index * 4)) as u8)
        } else {
            b'0'
        });
    }
}

/// Appends two lower-case hexadecimal digits per byte.
pub fn push_hex_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for &byte in bytes {
        out.push(hex_digit(byte >> 4));
        out.push(hex_digit(byte));
    }
}

/// The digit of the low four bits.
fn hex_digit(nibble: u8) -> u8 {
    match nibble & 0xf {
        digit @ 0..=9 => b'0' + digit,
        letter => b'a' + (letter - 10),
    }
}

/// A number in the machine's byte order from the start of `input`; None if that is shorter.
#[inline]
pub fn read_u32(input: &[u8]) -> Option<u32> {
    input.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A number in the machine's byte order from the start of `input`; None if that is shorter.
#[inline]
pub fn read_u64(input: &[u8]) -> Option<u64> {
    input.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// Decimal digits and nothing else, up to 2^64 - 1.
pub fn parse_unsigned(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Decimal digits after an optional `+` or `-`, from -2^63 to 2^63 - 1.
pub fn parse_signed(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => 0_i64.checked_sub_unsigned(parse_unsigned(digits)?),
        [b'+', digits @ ..] | digits => i64::try_from(parse_unsigned(digits)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_padded_to_the_width_and_never_cut() {
        let hex = |number, width| {
            let mut out = Vec::new();
            push_hex(&mut out, number, width);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(hex(0, 0), "0");
        assert_eq!(hex(0xab, 4), "00ab");
        assert_eq!(hex(u64::MAX, 2), "ffffffffffffffff");
        assert_eq!(hex(1, 18), "000000000000000001");
    }

    #[test]
    fn numbers_are_parsed_up_to_their_limits() {
        assert_eq!(parse_unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_unsigned(b"18446744073709551616"), None);
        assert_eq!(parse_signed(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_signed(b"9223372036854775808"), None);
        assert_eq!(parse_signed(b"+7"), Some(7));
        for bad in [
            &b""[..],
            b"+",
            b"-",
            b"1_0",
            b" 1",
            b"1 ",
            b"0x1",
            b"\xff",
            b"+-1",
        ] {
            assert_eq!(
                (parse_unsigned(bad), parse_signed(bad)),
                (None, None),
                "{bad:?}"
            );
        }
        assert_eq!(parse_unsigned(b"+1"), None);
    }
}
