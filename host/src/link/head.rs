//! The head of a packet: which part of which message it is, and what belongs to it. Knows no
//! sockets.
//!
//! What a head says is redundant on purpose: of a message's number of descriptors there is only
//! one way to spread them over parts, so that nothing is left for a peer to choose.

use std::fmt;

/// The longest payload that travels in the packet itself, in bytes. With the head it is far below
/// the some 212,000 bytes that a socket with default buffers takes at once.
pub(crate) const MAX_INLINE: usize = 64 << 10;
/// The longest payload of a message, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 64 << 20;
/// The most descriptors that go with one packet. The kernel takes 253.
pub(crate) const PART_DESCRIPTORS: usize = 200;
/// The most descriptors of a message, without the memfd of its payload.
pub(crate) const MAX_DESCRIPTORS: usize = 4096;

/// The bytes of a head.
pub(super) const HEAD_BYTES: usize = 24;
/// The longest packet.
pub(super) const MAX_PACKET: usize = HEAD_BYTES + MAX_INLINE;

/// How each head begins: what begins otherwise was not sent by this code.
const MARK: u32 = u32::from_le_bytes(*b"xhl1");

/// What a receiver accepts of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// The longest payload, in bytes.
    pub(super) payload: usize,
    /// The most descriptors, without the memfd of the payload.
    pub(super) descriptors: usize,
}

impl Limits {
    /// What a [`super::Sender`] sends at most.
    pub(super) const MAX: Self = Self {
        payload: MAX_PAYLOAD,
        descriptors: MAX_DESCRIPTORS,
    };
}

/// On the socket: the mark, then these in this order, each little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The payload of the message, in bytes.
    pub(super) length: u32,
    /// The same for all parts of a message, another for each message of a sender.
    pub(super) number: u64,
    /// From 0 on.
    pub(super) part: u16,
    /// How many parts the message has.
    pub(super) parts: u16,
    /// How many descriptors go with this part.
    pub(super) here: u16,
    /// How many descriptors go with all parts, the payload's memfd (the very first one) among
    /// them.
    pub(super) total: u16,
}

impl Head {
    /// The head of the first part. None: no message can be that large.
    pub(super) fn first(number: u64, length: usize, total: usize) -> Option<Self> {
        Some(Self {
            length: u32::try_from(length).ok()?,
            number,
            part: 0,
            parts: u16::try_from(parts(total)).ok()?,
            here: u16::try_from(descriptors_of_part(total, 0)).ok()?,
            total: u16::try_from(total).ok()?,
        })
    }

    /// The head of the part after this one. None: this one is the last.
    pub(super) fn next(self) -> Option<Self> {
        let part = self.part.checked_add(1).filter(|part| *part < self.parts)?;
        let here = descriptors_of_part(usize::from(self.total), usize::from(part));
        Some(Self {
            part,
            here: u16::try_from(here).ok()?,
            ..self
        })
    }

    /// True where the payload is in a memfd, false where it follows the first part's head.
    pub(super) fn in_memfd(self) -> bool {
        self.length as usize > MAX_INLINE
    }

    pub(super) fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&MARK.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.part.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.parts.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.here.to_le_bytes());
        bytes[22..24].copy_from_slice(&self.total.to_le_bytes());
        bytes
    }

    /// Takes a packet apart: its head, and what follows the head. What a head can be wrong about
    /// by itself is refused here: afterwards its numbers agree with each other and with `limits`.
    ///
    /// # Errors
    ///
    /// A sentence: what is wrong with the packet.
    pub(super) fn read(packet: &[u8], limits: Limits) -> Result<(Self, &[u8]), String> {
        let Some((bytes, rest)) = packet.split_first_chunk::<HEAD_BYTES>() else {
            return Err(format!(
                "expected a head of {HEAD_BYTES} bytes, found {} bytes",
                packet.len()
            ));
        };
        let [m0, m1, m2, m3, l0, l1, l2, l3, numbers @ ..] = *bytes;
        let [n0, n1, n2, n3, n4, n5, n6, n7, counts @ ..] = numbers;
        let [p0, p1, s0, s1, h0, h1, t0, t1] = counts;
        if u32::from_le_bytes([m0, m1, m2, m3]) != MARK {
            return Err("expected a head, found other bytes".to_owned());
        }
        let head = Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            number: u64::from_le_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            part: u16::from_le_bytes([p0, p1]),
            parts: u16::from_le_bytes([s0, s1]),
            here: u16::from_le_bytes([h0, h1]),
            total: u16::from_le_bytes([t0, t1]),
        };
        head.check(rest.len(), limits)?;
        Ok((head, rest))
    }

    fn check(self, rest: usize, limits: Limits) -> Result<(), String> {
        let length = self.length as usize;
        let (part, total) = (usize::from(self.part), usize::from(self.total));
        if length > limits.payload {
            return Err(format!(
                "a payload of {length} bytes is announced, at most {} are accepted",
                limits.payload
            ));
        }
        let memfds = usize::from(self.in_memfd());
        if total < memfds {
            return Err(format!(
                "a payload of {length} bytes is announced without its memfd"
            ));
        }
        if total - memfds > limits.descriptors {
            return Err(format!(
                "{} descriptors are announced, at most {} are accepted",
                total - memfds,
                limits.descriptors
            ));
        }
        if usize::from(self.parts) != parts(total) || self.part >= self.parts {
            return Err(format!(
                "{total} descriptors take {} parts, found part {part} of {}",
                parts(total),
                self.parts
            ));
        }
        let here = descriptors_of_part(total, part);
        if usize::from(self.here) != here {
            return Err(format!(
                "part {part} of {total} descriptors has {here} of them, {} are announced",
                self.here
            ));
        }
        let expected = if self.part == 0 && !self.in_memfd() {
            length
        } else {
            0
        };
        if rest != expected {
            return Err(format!(
                "expected {expected} bytes after the head, found {rest}"
            ));
        }
        Ok(())
    }
}

/// For sentences about a message.
impl fmt::Display for Head {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            part,
            parts,
            ..
        } = self;
        write!(formatter, "part {part} of {parts} of message {number}")
    }
}

/// How many parts a message of so many descriptors has.
fn parts(total: usize) -> usize {
    total.div_ceil(PART_DESCRIPTORS).max(1)
}

/// Each part is full but for the last.
fn descriptors_of_part(total: usize, part: usize) -> usize {
    total
        .saturating_sub(part.saturating_mul(PART_DESCRIPTORS))
        .min(PART_DESCRIPTORS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(length: usize, total: usize) -> Vec<Head> {
        let first = Head::first(7, length, total).unwrap();
        std::iter::successors(Some(first), |head| head.next()).collect()
    }

    #[test]
    fn descriptors_are_spread_over_parts_in_one_way() {
        let spread = |total| -> Vec<u16> { heads(1, total).iter().map(|head| head.here).collect() };
        assert_eq!(spread(0), [0]);
        assert_eq!(spread(200), [200]);
        assert_eq!(spread(201), [200, 1]);
        assert_eq!(spread(400), [200, 200]);
        let largest = spread(MAX_DESCRIPTORS + 1);
        assert_eq!(largest.len(), 21);
        assert_eq!(
            largest.iter().map(|here| usize::from(*here)).sum::<usize>(),
            4097
        );
        assert_eq!(Head::first(1, 1, 70_000), None);
        assert_eq!(Head::first(1, usize::MAX, 1), None);
    }

    #[test]
    fn a_head_that_is_written_is_read() {
        for (length, total) in [(0, 0), (5, 0), (MAX_INLINE, 450), (MAX_PAYLOAD, 4097)] {
            for head in heads(length, total) {
                let mut packet = head.to_bytes().to_vec();
                if head.part == 0 && length <= MAX_INLINE {
                    packet.resize(HEAD_BYTES + length, b'x');
                }
                let (found, rest) = Head::read(&packet, Limits::MAX).unwrap();
                assert_eq!(found, head);
                assert_eq!(rest.len(), packet.len() - HEAD_BYTES);
            }
        }
    }

    /// Of every single changed byte a head is refused, or what it says is in order by itself.
    #[test]
    fn what_a_head_says_agrees_or_is_refused() {
        let good = heads(5, 201)[1];
        for at in 0..HEAD_BYTES {
            for value in 0..=u8::MAX {
                let mut packet = good.to_bytes();
                packet[at] = value;
                if let Ok((head, _)) = Head::read(&packet, Limits::MAX) {
                    assert!(head.part < head.parts && head.parts == 2, "{head:?}");
                    assert_eq!((head.here, head.total), (1, 201));
                }
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_receiver() {
        let limits = Limits {
            payload: 10,
            descriptors: 1,
        };
        let read = |length, total, limits| {
            let mut packet = Head::first(1, length, total).unwrap().to_bytes().to_vec();
            if length <= MAX_INLINE {
                packet.resize(HEAD_BYTES + length, b'x');
            }
            Head::read(&packet, limits).map(drop)
        };
        assert_eq!(read(10, 1, limits), Ok(()));
        let error = read(11, 1, limits).unwrap_err();
        assert_eq!(
            error,
            "a payload of 11 bytes is announced, at most 10 are accepted"
        );
        let error = read(10, 2, limits).unwrap_err();
        assert_eq!(error, "2 descriptors are announced, at most 1 are accepted");
        let error = read(MAX_INLINE + 1, 0, Limits::MAX).unwrap_err();
        assert_eq!(
            error,
            "a payload of 65537 bytes is announced without its memfd"
        );
        // The payload's memfd does not count.
        assert_eq!(read(MAX_INLINE + 1, 4097, Limits::MAX), Ok(()));
        assert!(read(MAX_INLINE, 4097, Limits::MAX).is_err());
    }
}
