//! Frames: `u16 BE type | u16 BE payload length | payload | u32 LE CRC-32 of all before it`. The
//! protocol is SiliconDust's, as libhdhomerun has it in hdhomerun_pkt.h.

/// Type and length.
const HEADER: usize = 4;
const CHECKSUM: usize = 4;

/// The answers that we ever wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyType {
    Discover,
    GetSet,
}

/// One frame, its checksum verified.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u16,
    pub(crate) payload: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame has at least {} bytes, found {found}", HEADER + CHECKSUM)]
    Short { found: usize },
    #[error("the header says that the frame has {declared} bytes, found {found}")]
    Length { declared: usize, found: usize },
    #[error(
        "the frame's CRC-32 is {found:08x}, its bytes give {expected:08x}: it was damaged on the way"
    )]
    Checksum { expected: u32, found: u32 },
    #[error("expected a {expected}, found a frame of type 0x{found:04x}")]
    Type { expected: ReplyType, found: u16 },
}

/// The size of the whole frame that starts with these bytes: None until its header is there. At
/// most 65543, as the length has 16 bits.
pub(crate) fn frame_len(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let [_, _, high, low] = *header;
    Some(HEADER + usize::from(u16::from_be_bytes([high, low])) + CHECKSUM)
}

/// The type of the frame that starts with these bytes.
pub(crate) fn frame_type(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Puts a frame around a payload. Only `request` makes frames to send: the tests below and the fake
/// devices make the others.
pub(crate) fn seal(kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
    frame.extend_from_slice(&kind.to_be_bytes());
    // Our payloads are a name of ours long.
    frame.extend_from_slice(
        &u16::try_from(payload.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    frame.extend_from_slice(payload);
    let checksum = crc32fast::hash(&frame);
    frame.extend_from_slice(&checksum.to_le_bytes());
    frame
}

// === impl Frame ===

impl<'a> Frame<'a> {
    /// `bytes` are one whole frame and nothing else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let found = bytes.len();
        let (Some(kind), Some(declared)) = (frame_type(bytes), frame_len(bytes)) else {
            return Err(FrameError::Short { found });
        };
        if found < HEADER + CHECKSUM {
            return Err(FrameError::Short { found });
        }
        let Some((covered, checksum)) = bytes
            .split_last_chunk::<CHECKSUM>()
            .filter(|_| declared == found)
        else {
            return Err(FrameError::Length { declared, found });
        };
        let (expected, found) = (crc32fast::hash(covered), u32::from_le_bytes(*checksum));
        if expected != found {
            return Err(FrameError::Checksum { expected, found });
        }
        let payload = covered.get(HEADER..).unwrap_or_default();
        Ok(Self { kind, payload })
    }

    /// As `parse`, of a frame that has to be this answer.
    pub(crate) fn parse_reply(bytes: &'a [u8], expected: ReplyType) -> Result<Self, FrameError> {
        let frame = Self::parse(bytes)?;
        expected.check(frame.kind)?;
        Ok(frame)
    }
}

// === impl ReplyType ===

impl ReplyType {
    const fn number(self) -> u16 {
        match self {
            Self::Discover => 0x0003,
            Self::GetSet => 0x0005,
        }
    }

    /// Whether a frame of type `found` is this answer.
    pub(crate) fn check(self, found: u16) -> Result<(), FrameError> {
        if found == self.number() {
            return Ok(());
        }
        Err(FrameError::Type {
            expected: self,
            found,
        })
    }
}

impl std::fmt::Display for ReplyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Discover => "discover reply",
            Self::GetSet => "get/set reply",
        };
        write!(f, "{name} (type 0x{:04x})", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bytes;

    #[test]
    fn the_checksum_is_the_one_of_ethernet() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn frames_go_there_and_back() {
        assert_eq!(seal(0, b""), bytes("00000000 1cdf4421"));
        assert_eq!(
            Frame::parse(&bytes("00000000 1cdf4421")),
            Ok(Frame {
                kind: 0,
                payload: b""
            })
        );
        let mut long = bytes("00030102 04ff01");
        long.extend([0xff; 255]);
        long.extend(bytes("d2c9422c"));
        let frame = Frame::parse(&long).unwrap();
        assert_eq!((frame.kind, frame.payload.len()), (3, 258));
        assert_eq!(seal(3, frame.payload), long);

        let largest = seal(5, &[7; 65535]);
        assert_eq!(largest.len(), 65543);
        assert_eq!(frame_len(&largest), Some(65543));
        assert_eq!(Frame::parse(&largest).unwrap().payload.len(), 65535);
    }

    /// Valid checksums over lengths that lie: mdlayher's fuzzer found them.
    #[test]
    fn lengths_that_lie_are_refused_although_the_checksum_is_right() {
        for frame in [
            "1d78cba9d544d544f3653bbe1cc346be",
            "313198d31406523b51",
            "7265516c0000010056008007afae70ffee",
            "a8d9000010005c66bfefbdbf441ea28d",
        ] {
            let frame = bytes(frame);
            let error = Frame::parse(&frame).unwrap_err();
            let length =
                matches!(&error, FrameError::Length { declared, found } if declared != found);
            assert!(length, "{frame:02x?}: {error}");
        }
    }

    #[test]
    fn what_is_no_frame_says_why() {
        let refused = |bytes: &[u8]| Frame::parse(bytes).unwrap_err().to_string();
        assert_eq!(refused(b""), "a frame has at least 8 bytes, found 0");
        assert_eq!(
            refused(&[0, 5, 0, 0, 1, 2, 3]),
            "a frame has at least 8 bytes, found 7"
        );
        let good = seal(5, b"abc");
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 0x10;
            assert!(Frame::parse(&bad).is_err(), "byte {byte}");
        }
        assert!(Frame::parse(&good[..good.len() - 1]).is_err());
        let mut more = good.clone();
        more.push(0);
        assert_eq!(
            Frame::parse(&more),
            Err(FrameError::Length {
                declared: good.len(),
                found: more.len()
            })
        );
        // The checksum has its own byte order.
        let mut swapped = good.clone();
        swapped[7..].reverse();
        assert!(refused(&swapped).starts_with("the frame's CRC-32 is"));
    }

    #[test]
    fn a_reply_has_to_be_of_its_type() {
        let frame = seal(7, b"");
        assert_eq!(
            Frame::parse_reply(&frame, ReplyType::GetSet)
                .unwrap_err()
                .to_string(),
            "expected a get/set reply (type 0x0005), found a frame of type 0x0007"
        );
        assert!(Frame::parse_reply(&seal(5, b""), ReplyType::GetSet).is_ok());
        assert!(Frame::parse_reply(&seal(3, b""), ReplyType::Discover).is_ok());
    }
}
