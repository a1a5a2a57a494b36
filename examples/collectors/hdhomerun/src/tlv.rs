//! What a payload consists of: tag, length, value, again and again. A length below 128 is one byte;
//! otherwise two: `0x80 | n & 0x7f`, `n >> 7`.

/// The tags that we read or write; all others are passed over.
pub(crate) mod tag {
    pub(crate) const DEVICE_TYPE: u8 = 0x01;
    pub(crate) const DEVICE_ID: u8 = 0x02;
    pub(crate) const NAME: u8 = 0x03;
    pub(crate) const VALUE: u8 = 0x04;
    pub(crate) const ERROR: u8 = 0x05;
    pub(crate) const TUNER_COUNT: u8 = 0x10;
    pub(crate) const BASE_URL: u8 = 0x2a;
    pub(crate) const MULTI_TYPE: u8 = 0x2d;
}

/// The tags of a payload, in order.
#[derive(Debug, Clone)]
pub(crate) struct Tags<'a> {
    rest: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagError {
    #[error("tag 0x{tag:02x} has no length: the payload ends")]
    NoLength { tag: u8 },
    #[error(
        "tag 0x{tag:02x} says that its value has {declared} bytes, the payload has {left} more"
    )]
    Truncated {
        tag: u8,
        declared: usize,
        left: usize,
    },
}

/// Appends one tag. Values are names and numbers of ours: none has the 32768 bytes that a length
/// cannot say.
pub(crate) fn push(payload: &mut Vec<u8>, tag: u8, value: &[u8]) {
    payload.push(tag);
    match u8::try_from(value.len()) {
        Ok(short @ 0..=0x7f) => payload.push(short),
        _ => {
            let [low, _, ..] = value.len().to_le_bytes();
            payload.push(low | 0x80);
            payload.push(u8::try_from(value.len() >> 7).unwrap_or(u8::MAX));
        }
    }
    payload.extend_from_slice(value);
}

/// A string without the NUL that ends it, if there is one.
pub(crate) fn text(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number of four bytes, and of no other size.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

// === impl Tags ===

impl<'a> Tags<'a> {
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    fn take(&mut self, tag: u8, rest: &'a [u8]) -> Result<(u8, &'a [u8]), TagError> {
        let (declared, rest) = match rest {
            [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
            [low, high, rest @ ..] => (usize::from(low & 0x7f) | usize::from(*high) << 7, rest),
            _ => return Err(TagError::NoLength { tag }),
        };
        let Some((value, rest)) = rest.split_at_checked(declared) else {
            let left = rest.len();
            return Err(TagError::Truncated {
                tag,
                declared,
                left,
            });
        };
        self.rest = rest;
        Ok((tag, value))
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<(u8, &'a [u8]), TagError>;

    fn next(&mut self) -> Option<Self::Item> {
        // After an error nothing more can be told apart.
        let (&tag, rest) = std::mem::take(&mut self.rest).split_first()?;
        Some(self.take(tag, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bytes;

    fn tags(payload: &[u8]) -> Result<Vec<(u8, usize)>, TagError> {
        Tags::of(payload)
            .map(|tag| tag.map(|(tag, value)| (tag, value.len())))
            .collect()
    }

    #[test]
    fn lengths_are_of_one_or_two_bytes() {
        for (size, length) in [
            (0, "00"),
            (127, "7f"),
            (128, "80 01"),
            (130, "82 01"),
            (215, "d7 01"),
            (255, "ff 01"),
            (256, "80 02"),
            (555, "ab 04"),
            (1452, "ac 0b"),
            (32767, "ff ff"),
        ] {
            let mut payload = Vec::new();
            push(&mut payload, 4, &vec![b'x'; size]);
            let length = bytes(length);
            assert_eq!(payload[1..=length.len()], length, "{size}");
            push(&mut payload, 5, b"next");
            assert_eq!(tags(&payload), Ok(vec![(4, size), (5, 4)]));
        }
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        assert_eq!(tags(b""), Ok(vec![]));
        assert_eq!(tags(&[3]), Err(TagError::NoLength { tag: 3 }));
        assert_eq!(tags(&[3, 0x80]), Err(TagError::NoLength { tag: 3 }));
        assert_eq!(
            tags(&[3, 0x80, 1]),
            Err(TagError::Truncated {
                tag: 3,
                declared: 128,
                left: 0
            })
        );
        assert_eq!(
            tags(&[3, 1, b'a', 4, 2, b'a']).unwrap_err().to_string(),
            "tag 0x04 says that its value has 2 bytes, the payload has 1 more"
        );
        let mut after = Tags::of(&[3, 9]);
        assert!(after.next().is_some_and(|tag| tag.is_err()) && after.next().is_none());
    }

    #[test]
    fn texts_end_at_their_nul_or_without_one() {
        assert_eq!(text(b"abc\0"), b"abc");
        assert_eq!(text(b"abc"), b"abc");
        assert_eq!(text(b"a\0c\0"), b"a");
        assert_eq!(text(b""), b"");
        assert_eq!(number(&[0x13, 0x25, 0x2c, 0x05]), Some(0x1325_2c05));
        assert_eq!((number(&[1, 2, 3]), number(&[0; 5])), (None, None));
    }
}
