//! What devices answer.

use crate::frame::{Frame, FrameError, ReplyType};
use crate::request::Variable;
use crate::tlv::{TagError, Tags, number, tag, text};

/// What all error texts begin with.
const ERROR_PREFIX: &str = "ERROR: ";
/// How a device says that it has no such variable; so ends its list of tuners.
const UNKNOWN_VARIABLE: &str = "unknown getset variable";

/// The answer to a get request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(String),
    /// There is no such variable.
    Unknown,
    /// The device's words for another error.
    Error(String),
}

/// A device that answered a discover request. Its authorization string is a secret and not looked
/// at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub(crate) id: u32,
    /// None: the device did not say, and its number does not tell.
    pub(crate) tuners: Option<u8>,
    pub(crate) base_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("expected the answer for {expected}, found one for `{found}`")]
    Name { expected: Variable, found: String },
    #[error("neither an error nor a name and a value are in it")]
    Incomplete,
    #[error("it names no {0}")]
    NoDevice(&'static str),
}

// === impl Answer ===

impl Answer {
    /// `bytes` are the whole reply to the request for `variable`.
    pub(crate) fn parse(bytes: &[u8], variable: Variable) -> Result<Self, ReplyError> {
        let frame = Frame::parse_reply(bytes, ReplyType::GetSet)?;
        let (mut name, mut value, mut error) = (None, None, None);
        for tag in Tags::of(frame.payload) {
            let (tag, bytes) = tag?;
            let slot = match tag {
                tag::NAME => &mut name,
                tag::VALUE => &mut value,
                tag::ERROR => &mut error,
                _ => continue,
            };
            slot.get_or_insert(text(bytes));
        }
        // Real devices give errors without a name, others with one: it then has to be ours.
        if let Some(found) = name.filter(|name| *name != variable.to_string().as_bytes()) {
            return Err(ReplyError::Name {
                expected: variable,
                found: String::from_utf8_lossy(found).into_owned(),
            });
        }
        match (error, name, value) {
            (Some(error), _, _) => Ok(Self::of_error(&String::from_utf8_lossy(error))),
            (None, Some(_), Some(value)) => {
                Ok(Self::Value(String::from_utf8_lossy(value).into_owned()))
            }
            _ => Err(ReplyError::Incomplete),
        }
    }

    fn of_error(text: &str) -> Self {
        let text = text.trim();
        let text = text.strip_prefix(ERROR_PREFIX).unwrap_or(text);
        if text == UNKNOWN_VARIABLE {
            Self::Unknown
        } else {
            Self::Error(text.to_owned())
        }
    }
}

// === impl Found ===

impl Found {
    /// `bytes` are one datagram from `address`.
    pub(crate) fn parse(bytes: &[u8], address: &str) -> Result<Self, ReplyError> {
        let frame = Frame::parse_reply(bytes, ReplyType::Discover)?;
        let (mut is_device, mut id, mut tuners, mut base_url) = (false, None, None, None);
        for tag in Tags::of(frame.payload) {
            let (tag, value) = tag?;
            match tag {
                // The newer tag lists several types of four bytes.
                tag::DEVICE_TYPE | tag::MULTI_TYPE => {
                    let types = value.chunks_exact(4).filter_map(number);
                    is_device |= types.into_iter().any(|kind| kind != 0 && kind != u32::MAX);
                }
                tag::DEVICE_ID => id = id.or_else(|| number(value)),
                tag::TUNER_COUNT => {
                    if let [count] = value {
                        tuners = Some(*count);
                    }
                }
                tag::BASE_URL => {
                    let url = String::from_utf8_lossy(text(value)).into_owned();
                    base_url = Some(url).filter(|url| is_url(url)).or(base_url);
                }
                _ => {}
            }
        }
        if !is_device {
            return Err(ReplyError::NoDevice("type of device"));
        }
        let id = id.filter(|id| *id != 0 && *id != u32::MAX);
        let id = id.ok_or(ReplyError::NoDevice("device id"))?;
        Ok(Self {
            id,
            tuners: tuners.or_else(|| tuners_by_id(id)),
            base_url: base_url.unwrap_or_else(|| format!("http://{}:80", host_of(address))),
        })
    }
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic()))
}

/// `address` less its port.
fn host_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Old firmware does not say how many tuners there are: libhdhomerun knows by the model, which the
/// id begins with.
fn tuners_by_id(id: u32) -> Option<u8> {
    match id >> 20 {
        0x102 => Some(1),
        0x100 | 0x101 | 0x121 => Some(2),
        _ => None,
    }
}

/// Whether the check digit of a device id is right: xor over its nibbles, every other one through a
/// table.
pub(crate) fn is_device_id(id: u32) -> bool {
    const TABLE: [u8; 16] = [
        0xa, 0x5, 0xf, 0x6, 0x7, 0xc, 0x1, 0xb, 0x9, 0x2, 0x8, 0xd, 0x4, 0x3, 0xe, 0x0,
    ];
    let through = |nibble: u8| TABLE.get(usize::from(nibble)).copied().unwrap_or_default();
    let checksum = id
        .to_be_bytes()
        .into_iter()
        .fold(0, |sum, byte| sum ^ through(byte >> 4) ^ (byte & 0xf));
    checksum == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::seal;
    use crate::testing::{PRIME, bytes, value_reply};
    use crate::tlv::push;

    const DEBUG_1: &str = "00 05 00 41 03 0e 2f 74 75 6e 65 72 31 2f 64 65 62 75 67 00 04 2f 74 75 6e 3a 20 63 68 3d 6e 6f 6e 65 20 \
                           6c 6f 63 6b 3d 6e 6f 6e 65 20 73 73 3d 30 20 73 6e 71 3d 30 20 73 65 71 3d 30 20 64 62 67 3d 30 0a 00 af 9d 9a 9b";
    const UNKNOWN: &str = "00 05 00 21 05 1f 45 52 52 4f 52 3a 20 75 6e 6b 6e 6f 77 6e 20 67 65 74 73 65 74 20 76 61 72 69 61 62 6c 65 \
                           00 a7 b7 80 f0";
    const UNKNOWN_9: &str = "00 05 00 31 03 0e 2f 74 75 6e 65 72 39 2f 64 65 62 75 67 00 05 1f 45 52 52 4f 52 3a 20 75 6e 6b 6e 6f 77 \
                             6e 20 67 65 74 73 65 74 20 76 61 72 69 61 62 6c 65 00 e2 0f 52 23";

    fn value(text: &str) -> Result<Answer, ReplyError> {
        Ok(Answer::Value(text.to_owned()))
    }

    fn reply(kind: u16, tags: &[(u8, &[u8])]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (tag, value) in tags {
            push(&mut payload, *tag, value);
        }
        seal(kind, &payload)
    }

    #[test]
    fn captured_replies_are_read() {
        let prime = value_reply("/tuner0/debug", PRIME);
        assert_eq!(prime.len(), 242);
        let head =
            "00 05 00 ea 03 0e 2f 74 75 6e 65 72 30 2f 64 65 62 75 67 00 04 d7 01 74 75 6e 3a 20";
        assert!(prime.starts_with(&bytes(head)));
        assert!(prime.ends_with(&bytes("73 74 6f 70 3d 30 0a 00 88 ca 06 10")));
        assert_eq!(Answer::parse(&prime, Variable::Debug(0)), value(PRIME));

        let line = "tun: ch=none lock=none ss=0 snq=0 seq=0 dbg=0\n";
        assert_eq!(
            Answer::parse(&bytes(DEBUG_1), Variable::Debug(1)),
            value(line)
        );
        let model = "00 05 00 24 03 0b 2f 73 79 73 2f 6d 6f 64 65 6c 00 04 15 68 64 68 6f 6d 65 72 75 6e 33 5f 63 61 62 6c 65 63 61 72 64 \
                     00 c7 29 51 f9";
        assert_eq!(
            Answer::parse(&bytes(model), Variable::Model),
            value("hdhomerun3_cablecard")
        );
        let version = "00 05 00 1a 03 0d 2f 73 79 73 2f 76 65 72 73 69 6f 6e 00 04 09 32 30 32 36 30 33 31 33 00 c0 07 1e e4";
        assert_eq!(
            Answer::parse(&bytes(version), Variable::Version),
            value("20260313")
        );
    }

    #[test]
    fn errors_come_with_a_name_or_without() {
        for (reply, tuner) in [(UNKNOWN, 9), (UNKNOWN_9, 9), (UNKNOWN, 0)] {
            assert_eq!(
                Answer::parse(&bytes(reply), Variable::Debug(tuner)),
                Ok(Answer::Unknown)
            );
        }
        let locked = reply(5, &[(tag::ERROR, b"ERROR: resource locked\0")]);
        assert_eq!(
            Answer::parse(&locked, Variable::Model),
            Ok(Answer::Error("resource locked".to_owned()))
        );
        // An error beside a value is an error.
        let both = reply(5, &[(3, b"/sys/model\0"), (4, b"x\0"), (5, b"no\0")]);
        assert_eq!(
            Answer::parse(&both, Variable::Model),
            Ok(Answer::Error("no".to_owned()))
        );
    }

    #[test]
    fn answers_to_something_else_are_refused() {
        let refused = |bytes: &[u8]| {
            Answer::parse(bytes, Variable::Debug(0))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(&bytes(DEBUG_1)),
            "expected the answer for /tuner0/debug, found one for `/tuner1/debug`"
        );
        assert!(refused(&bytes(UNKNOWN_9)).contains("found one for `/tuner9/debug`"));
        let nothing = "neither an error nor a name and a value are in it";
        assert_eq!(refused(&reply(5, &[])), nothing);
        assert_eq!(refused(&reply(5, &[(4, b"x")])), nothing);
        assert_eq!(refused(&reply(5, &[(3, b"/tuner0/debug")])), nothing);
        assert!(refused(&reply(7, &[])).contains("found a frame of type 0x0007"));
        let cut = seal(5, &[3, 14, b'/']);
        assert_eq!(
            refused(&cut),
            "tag 0x03 says that its value has 14 bytes, the payload has 1 more"
        );
    }

    #[test]
    fn strings_need_no_nul_and_unknown_tags_are_passed_over() {
        let reply = reply(
            5,
            &[(0x77, b"?"), (4, b"v"), (3, b"/sys/model"), (0x78, b"")],
        );
        assert_eq!(Answer::parse(&reply, Variable::Model), value("v"));
        let long = "x".repeat(5000);
        let reply = value_reply("/sys/model", &long);
        assert_eq!(Answer::parse(&reply, Variable::Model), value(&long));
    }

    #[test]
    fn devices_are_found() {
        let url = b"http://192.168.1.90:80";
        let auth = [b'a'; 24];
        let lineup = b"http://192.168.1.90:80/lineup.json";
        let packet = reply(
            3,
            &[
                (1, &[0, 0, 0, 1]),
                (2, &[0x13, 0x25, 0x2c, 5]),
                (0x10, &[3]),
                (0x2b, &auth),
                (0x2a, url),
                (0x27, lineup),
            ],
        );
        let found = Found::parse(&packet, "192.168.1.90:65001").unwrap();
        let base_url = "http://192.168.1.90:80".to_owned();
        assert_eq!(
            found,
            Found {
                id: 0x1325_2c05,
                tuners: Some(3),
                base_url
            }
        );
    }

    #[test]
    fn old_firmware_says_less() {
        let found = |id: u32, address| {
            let packet = reply(3, &[(1, &[0, 0, 0, 1]), (2, &id.to_be_bytes())]);
            Found::parse(&packet, address).map(|found| (found.tuners, found.base_url))
        };
        let url = |host: &str| format!("http://{host}:80");
        assert_eq!(
            found(0x1020_0000, "10.0.0.1:65001"),
            Ok((Some(1), url("10.0.0.1")))
        );
        assert_eq!(
            found(0x1010_0000, "10.0.0.1:65001"),
            Ok((Some(2), url("10.0.0.1")))
        );
        assert_eq!(
            found(0x1210_0000, "[fd00::1]:65001"),
            Ok((Some(2), url("[fd00::1]")))
        );
        assert_eq!(
            found(0x1325_2c05, "10.0.0.1:65001"),
            Ok((None, url("10.0.0.1")))
        );
    }

    #[test]
    fn what_is_no_device_is_no_device() {
        let refused = |tags: &[(u8, &[u8])]| Found::parse(&reply(3, tags), "h:1").is_err();
        let (tuner, id): ([u8; 4], [u8; 4]) = ([0, 0, 0, 1], [0x13, 0x25, 0x2c, 5]);
        assert!(!refused(&[(1, &tuner), (2, &id)]));
        assert!(!refused(&[(0x2d, &[0, 0, 0, 5, 0, 0, 0, 1]), (2, &id)]));
        assert!(refused(&[(1, &[0; 4]), (2, &id)]));
        assert!(refused(&[(1, &[0xff; 4]), (2, &id)]));
        assert!(refused(&[(2, &id)]) && refused(&[(1, &tuner)]));
        assert!(refused(&[(1, &tuner), (2, &[0xff; 4])]) && refused(&[(1, &tuner), (2, &id[..3])]));
        // Our own question, as a broadcast brings it back.
        let own = crate::request::Request::discover(None);
        assert!(Found::parse(own.as_bytes(), "h:1").is_err());
        // A base URL that is none is as good as missing.
        let odd = reply(3, &[(1, &tuner), (2, &id), (0x2a, b"http://a b")]);
        assert_eq!(Found::parse(&odd, "h:1").unwrap().base_url, "http://h:80");
    }

    #[test]
    fn device_ids_have_a_check_digit() {
        for id in [0x1325_2c05, 0x1251_e8e2, 0x1043_9efd, 0x1016_f7ef] {
            assert!(is_device_id(id), "{id:08X}");
        }
        assert!(!is_device_id(0xdead_beef));
    }

    /// The discover requests of other clients: the same codec makes them.
    #[test]
    fn other_clients_packets_are_made_of_the_same() {
        let any = [0xff; 4];
        type Tags<'a> = &'a [(u8, &'a [u8])];
        let packets: [(Tags<'_>, &str); 3] = [
            (
                &[(1, &any), (2, &any)],
                "00 02 00 0c 01 04 ff ff ff ff 02 04 ff ff ff ff 73 cc 7d 8f",
            ),
            (
                &[(1, &[0, 0, 0, 1]), (2, &any)],
                "00 02 00 0c 01 04 00 00 00 01 02 04 ff ff ff ff 4e 50 7f 35",
            ),
            (&[(1, &any)], "00 02 00 06 01 04 ff ff ff ff 4c 20 cb 4e"),
        ];
        for (tags, wanted) in packets {
            assert_eq!(reply(2, tags), bytes(wanted));
        }
    }

    /// Whatever a device sends, with a good checksum or without: an answer or an error.
    #[test]
    fn damaged_replies_are_read_without_harm() {
        let good = value_reply("/tuner0/debug", PRIME);
        let mut seed = 88_172_645_463_325_252_u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        for _ in 0..20_000 {
            let mut payload = good[4..good.len() - 4].to_vec();
            for _ in 0..=random(4) {
                let at = random(payload.len());
                payload[at] = random(256) as u8;
            }
            payload.truncate(random(payload.len()) + 1);
            for kind in [3, 5] {
                let reply = seal(kind, &payload);
                if let Ok(Answer::Value(text)) = Answer::parse(&reply, Variable::Debug(0)) {
                    crate::debug::Debug::parse(&text);
                }
                let _found = Found::parse(&reply, "10.0.0.1:65001");
                assert!(Answer::parse(&reply[..reply.len() - 1], Variable::Debug(0)).is_err());
            }
        }
    }
}
