//! A peer that writes whatever it wants.

use std::mem::MaybeUninit;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;

use super::*;

/// The hostile end, a sender that means well on the same socket, and the receiver of both.
struct Attack {
    socket: OwnedFd,
    good: Sender,
    receiver: Receiver,
    sent: u64,
    null: OwnedFd,
}

impl Attack {
    fn new() -> Self {
        let (left, right) = pair().unwrap();
        Self {
            good: Sender::direct(left.try_clone().unwrap()),
            socket: left,
            receiver: Receiver::new(right),
            sent: 0,
            null: null(),
        }
    }

    /// Sends these bytes with these descriptors, up to the kernel's 253.
    fn write(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        let bytes = [std::io::IoSlice::new(bytes)];
        rustix::net::sendmsg(&self.socket, &bytes, &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    fn write_nulls(&self, bytes: &[u8], count: usize) {
        self.write(bytes, &repeated(&self.null, count));
    }

    /// Sends a good message and receives up to it. Gives the reasons for which those before it
    /// were refused.
    fn reasons(&mut self) -> Vec<String> {
        self.sent += 1;
        let message = Message::Number(self.sent);
        self.good
            .send(&message, &repeated(&self.null, 201))
            .unwrap();
        let mut reasons = Vec::new();
        loop {
            match self.receiver.receive::<Message>() {
                Ok(Some(received)) if received.message == message => {
                    assert_eq!(received.descriptors.len(), 201);
                    return reasons;
                }
                Ok(Some(other)) => reasons.push(format!("taken: {:?}", other.message)),
                Err(ReceiveError::Malformed(why)) => {
                    assert!(why.chars().count() <= 301 && !why.contains('\n'), "{why}");
                    reasons.push(why);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The one reason for which one packet is refused.
    fn reason_of(&mut self, bytes: &[u8], descriptors: usize) -> String {
        self.write_nulls(bytes, descriptors);
        let [reason] = self.reasons().try_into().unwrap();
        reason
    }
}

fn head(length: usize, total: usize) -> head::Head {
    head::Head::first(1_000_000, length, total).unwrap()
}

fn packet(length: usize, total: usize, payload: &[u8]) -> Vec<u8> {
    [&head(length, total).to_bytes(), payload].concat()
}

#[test]
fn packets_that_are_none_are_refused() {
    in_own_process(
        concat!(module_path!(), "::packets_that_are_none_are_refused"),
        || {
            let before = open_descriptors();
            let mut attack = Attack::new();
            let mut reason = |bytes: &[u8], descriptors| attack.reason_of(bytes, descriptors);
            assert_eq!(
                reason(b"x", 0),
                "expected a head of 24 bytes, found 1 bytes"
            );
            assert_eq!(reason(b"", 3), "expected a head of 24 bytes, found 0 bytes");
            assert_eq!(
                reason(&[b'x'; 24], 253),
                "expected a head, found other bytes"
            );
            assert_eq!(
                reason(&[b'x'; 100_000], 253),
                "a packet is longer than 65560 bytes"
            );
            let length = reason(&packet(3, 0, b"12345"), 0);
            assert_eq!(length, "expected 3 bytes after the head, found 5");
            let length = reason(&packet(u32::MAX as usize, 1, b""), 1);
            let expected =
                "a payload of 4294967295 bytes is announced, at most 67108864 are accepted";
            assert_eq!(length, expected);
            let rights = "a part announces 0 descriptors, 2 came with it";
            assert_eq!(reason(&packet(1, 0, b"1"), 2), rights);
            let rights = "a part announces 5 descriptors, 253 came with it";
            assert_eq!(reason(&packet(1, 5, b"1"), 253), rights);
            let rights = "a part announces 5 descriptors, 0 came with it";
            assert_eq!(reason(&packet(1, 5, b"1"), 0), rights);
            let rights = "5000 descriptors are announced, at most 4096 are accepted";
            assert_eq!(reason(&packet(1, 5000, b"1"), 200), rights);
            drop(attack);
            assert_eq!(open_descriptors(), before);
        },
    );
}

#[test]
fn texts_that_are_no_message_are_refused() {
    let mut attack = Attack::new();
    let long = format!(r#"{{"a\n{}":1}}"#, "x".repeat(60_000));
    let deep = "[".repeat(60_000);
    for text in [
        "",
        "1",
        "null",
        "{}",
        r#"{"number":-1}"#,
        r#"{"number":1} x"#,
        &long,
        &deep,
    ] {
        let reason = attack.reason_of(&packet(text.len(), 0, text.as_bytes()), 0);
        assert!(
            reason.starts_with("expected another JSON text: "),
            "{reason}"
        );
    }
    let reason = attack.reason_of(&packet(7, 0, b"\"\xff\xfe\xfd\xfc\xfb\""), 0);
    assert!(
        reason.starts_with("expected another JSON text: "),
        "{reason}"
    );
    let reason = attack.reason_of(&packet(10, 0, br#"{"xyz": 1}"#), 0);
    assert!(
        reason.contains("unknown variant `xyz`, expected `number` or `text`"),
        "{reason}"
    );
}

#[test]
fn parts_out_of_order_are_refused() {
    in_own_process(
        concat!(module_path!(), "::parts_out_of_order_are_refused"),
        || {
            let before = open_descriptors();
            let mut attack = Attack::new();
            let parts: Vec<_> =
                std::iter::successors(Some(head(1, 500)), |head| head.next()).collect();
            let write = |attack: &Attack, part: usize| {
                let payload: &[u8] = if part == 0 { b"1" } else { b"" };
                let bytes = [&parts[part].to_bytes(), payload].concat();
                attack.write_nulls(&bytes, parts[part].here.into());
            };
            let name = |part| format!("part {part} of 3 of message 1000000");
            // Without its beginning, once; what belongs to a refused message is not said again.
            write(&attack, 1);
            write(&attack, 2);
            assert_eq!(
                attack.reasons(),
                [format!("{} comes without those before it", name(1))]
            );
            // Unfinished.
            write(&attack, 0);
            write(&attack, 1);
            assert_eq!(
                attack.reasons(),
                [format!("{} is followed by another message", name(1))]
            );
            // One left out, one twice, and what is no packet in between.
            write(&attack, 0);
            write(&attack, 2);
            let left_out = format!("{} is followed by {}", name(0), name(2));
            assert_eq!(attack.reasons(), [left_out]);
            write(&attack, 0);
            write(&attack, 1);
            write(&attack, 1);
            write(&attack, 2);
            let twice = format!("{} is followed by {}", name(1), name(1));
            assert_eq!(attack.reasons(), [twice]);
            write(&attack, 0);
            attack.write_nulls(b"nonsense", 7);
            write(&attack, 1);
            write(&attack, 2);
            assert_eq!(
                attack.reasons(),
                ["expected a head of 24 bytes, found 8 bytes"]
            );
            // A good one in between.
            write(&attack, 0);
            attack.reasons();
            write(&attack, 1);
            assert_eq!(
                attack.reasons(),
                [format!("{} comes without those before it", name(1))]
            );
            drop(attack);
            assert_eq!(open_descriptors(), before);
        },
    );
}

#[test]
fn payloads_elsewhere_are_not_believed() {
    in_own_process(
        concat!(module_path!(), "::payloads_elsewhere_are_not_believed"),
        || {
            let before = open_descriptors();
            let mut attack = Attack::new();
            let length = 100_000;
            let plain = |seals: SealFlags, size: u64| -> OwnedFd {
                let memfd = rustix::fs::memfd_create(
                    "plain",
                    MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC,
                )
                .unwrap();
                rustix::fs::ftruncate(&memfd, size).unwrap();
                rustix::fs::fcntl_add_seals(&memfd, seals).unwrap();
                memfd
            };
            let mut reason = |memfd: &OwnedFd| {
                let bytes = packet(length, 3, b"");
                attack.write(&bytes, &[memfd.as_fd(), attack.null.as_fd(), memfd.as_fd()]);
                let [reason] = attack.reasons().try_into().unwrap();
                reason
            };
            let sealed_to_shrink = SealFlags::SHRINK | SealFlags::SEAL;
            let found = reason(&plain(SealFlags::empty(), 100_000));
            assert!(
                found.starts_with("expected a memfd with the seals "),
                "{found}"
            );
            let found = reason(&plain(sealed_to_shrink, 100_000));
            assert!(
                found.starts_with("expected a memfd with the seals "),
                "{found}"
            );
            let found = reason(&null());
            assert_eq!(found, "expected a sealed memfd, found another kind of file");
            let found = reason(&OwnedFd::from(std::io::pipe().unwrap().0));
            assert_eq!(found, "expected a sealed memfd, found another kind of file");
            let short = "a payload of 100000 bytes is announced, its memfd has 5";
            assert_eq!(reason(&sealed("", b"bytes").unwrap()), short);
            let found = reason(&plain(memfd_seals(), 10 << 30));
            assert_eq!(
                found,
                "expected a memfd of at most 67108864 bytes, found 10737418240"
            );
            let found = reason(&sealed("", &vec![b'x'; length]).unwrap());
            assert!(found.starts_with("expected another JSON text: "), "{found}");
            drop(attack);
            assert_eq!(open_descriptors(), before);
        },
    );
}

fn memfd_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

#[test]
fn a_receiver_has_limits_of_its_own() {
    let (left, right) = pair().unwrap();
    let sender = Sender::direct(left);
    let mut receiver = Receiver::limited(right, 50, 1);
    let null = null();
    sender.send(&Message::Text("x".repeat(50)), &[]).unwrap();
    sender
        .send(&Message::Text("x".repeat(1 << 20)), &[])
        .unwrap();
    sender
        .send(&Message::Number(1), &repeated(&null, 2))
        .unwrap();
    sender
        .send(&Message::Number(2), &repeated(&null, 1))
        .unwrap();
    for _ in 0..3 {
        assert!(refusal(&mut receiver).ends_with(" are accepted"));
    }
    assert_eq!(receive(&mut receiver).0, Message::Number(2));
}

/// Of 3,000 packets, most of them good ones that were changed in places, each good message behind
/// them comes, and no descriptor stays open.
#[test]
fn any_packets_are_survived() {
    in_own_process(
        concat!(module_path!(), "::any_packets_are_survived"),
        || {
            let before = open_descriptors();
            let mut attack = Attack::new();
            let mut random = Random(88_172_645_463_325_252);
            let memfd = sealed("", &vec![b'1'; 70_000]).unwrap();
            let mut refused = 0;
            for _ in 0..1000 {
                for _ in 0..1 + random.below(3) {
                    let (bytes, announced) = random.packet();
                    let count = match random.below(4) {
                        0 => random.below(254),
                        _ => announced.min(253),
                    };
                    let mut descriptors = repeated(&attack.null, count);
                    if let (Some(first), 0) = (descriptors.first_mut(), random.below(2)) {
                        *first = memfd.as_fd();
                    }
                    attack.write(&bytes, &descriptors);
                }
                refused += attack.reasons().len();
            }
            assert!(refused > 1000, "{refused}");
            drop((attack, memfd));
            assert_eq!(open_descriptors(), before);
        },
    );
}

/// Numbers by xorshift: the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length)
            .map(|_| self.below(256).to_le_bytes()[0])
            .collect()
    }

    /// A packet and the number of descriptors that it should have.
    fn packet(&mut self) -> (Vec<u8>, usize) {
        if self.below(4) == 0 {
            let length = [10, 100, 70_000][self.below(3)];
            let length = self.below(length);
            return (self.bytes(length), 0);
        }
        let total = [0, 1, 200, 201, 600, 4096][self.below(6)];
        let length = [0, 1, 100, 65_536, 70_000, 80_000_000][self.below(6)];
        let mut head = head(length, total);
        for _ in 0..self.below(3) {
            head = head.next().unwrap_or(head);
        }
        let payload = if head.part == 0 && length <= MAX_INLINE {
            self.bytes(length)
        } else {
            Vec::new()
        };
        let mut bytes = [&head.to_bytes(), payload.as_slice()].concat();
        for _ in 0..self.below(3) {
            let at = self.below(24);
            bytes[at] = self.bytes(1)[0];
        }
        (bytes, head.here.into())
    }
}
