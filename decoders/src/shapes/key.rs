//! Bucket keys: what a bucket label says, as Go's ParseUint reads it with base 0.

/// `0x1f`, `0o17`, `017`, `0b11` or `31`, with underscores between digits and after the prefix; up
/// to 2^64 - 1.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] if !digits.is_empty() => (16, digits),
        [b'0', b'o' | b'O', digits @ ..] if !digits.is_empty() => (8, digits),
        [b'0', b'b' | b'B', digits @ ..] if !digits.is_empty() => (2, digits),
        [b'0', ..] => (8, text),
        [b'_', ..] | [] => return None,
        _ => (10, text),
    };
    let mut number = 0_u64;
    let mut before = b'0';
    for &byte in digits {
        if byte == b'_' {
            if before == b'_' {
                return None;
            }
        } else {
            let digit = char::from(byte).to_digit(radix)?;
            number = number
                .checked_mul(u64::from(radix))?
                .checked_add(u64::from(digit))?;
        }
        before = byte;
    }
    (before != b'_').then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_go_reads_them() {
        let cases: [(&str, u64); 14] = [
            ("0", 0),
            ("7", 7),
            ("18446744073709551615", u64::MAX),
            ("1_000", 1000),
            ("0x1F", 31),
            ("0X_ff", 255),
            ("0o17", 15),
            ("017", 15),
            ("0_17", 15),
            ("00", 0),
            ("0b101", 5),
            ("0B1_1", 3),
            ("0xffffffffffffffff", u64::MAX),
            ("0x1_f", 31),
        ];
        for (text, number) in cases {
            assert_eq!(parse(text.as_bytes()), Some(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number() {
        let cases = [
            "",
            "_",
            "_1",
            "1_",
            "1__0",
            "0x",
            "0b",
            "0o",
            "0x_",
            "08",
            "0b2",
            "0o8",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "1 ",
            "a",
            "x",
            "0_",
            "18446744073709551616",
            "0x1ffffffffffffffff",
            "1_a",
            "\u{661}",
        ];
        for text in cases {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"\xff"), None);
    }
}
