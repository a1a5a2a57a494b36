//! What we send: a question for one of four variables, or a search for devices.
//!
//! Nothing else can be said with these types. A [`Request`] has no other makers than the two below,
//! neither takes a value, and what talks to a device takes a `Request`: the collector cannot set
//! anything (that would be tag 0x04 in a get/set request) and cannot start a firmware upgrade (type
//! 0x0006).

use std::fmt;

use crate::frame::seal;
use crate::tlv::{push, tag};

const DISCOVER_REQUEST: u16 = 0x0002;
const GET_REQUEST: u16 = 0x0004;
const WILDCARD: u32 = 0xffff_ffff;

/// The variables that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    Model,
    HardwareModel,
    Version,
    /// Of the tuner with this number.
    Debug(u8),
}

/// A whole frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request(Vec<u8>);

// === impl Variable ===

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("/sys/model"),
            Self::HardwareModel => f.write_str("/sys/hwmodel"),
            Self::Version => f.write_str("/sys/version"),
            Self::Debug(tuner) => write!(f, "/tuner{tuner}/debug"),
        }
    }
}

// === impl Request ===

impl Request {
    /// Asks for the value of a variable.
    pub(crate) fn get(variable: Variable) -> Self {
        let mut payload = Vec::new();
        push(&mut payload, tag::NAME, format!("{variable}\0").as_bytes());
        Self(seal(GET_REQUEST, &payload))
    }

    /// Asks the device with this id to answer, or any device. Type and id are both there: old
    /// firmware wants the id.
    pub(crate) fn discover(id: Option<u32>) -> Self {
        let mut payload = Vec::new();
        push(&mut payload, tag::DEVICE_TYPE, &WILDCARD.to_be_bytes());
        push(
            &mut payload,
            tag::DEVICE_ID,
            &id.unwrap_or(WILDCARD).to_be_bytes(),
        );
        Self(seal(DISCOVER_REQUEST, &payload))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::testing::bytes;
    use crate::tlv::Tags;

    #[test]
    fn questions_are_those_of_real_clients_byte_for_byte() {
        for (variable, wanted) in [
            (
                Variable::Debug(0),
                "00 04 00 10 03 0e 2f 74 75 6e 65 72 30 2f 64 65 62 75 67 00 3e d1 1c 14",
            ),
            (
                Variable::Model,
                "00 04 00 0d 03 0b 2f 73 79 73 2f 6d 6f 64 65 6c 00 8f 5b 54 b5",
            ),
            (
                Variable::Version,
                "00 04 00 0f 03 0d 2f 73 79 73 2f 76 65 72 73 69 6f 6e 00 17 0e bc 4e",
            ),
        ] {
            assert_eq!(
                Request::get(variable).as_bytes(),
                bytes(wanted),
                "{variable}"
            );
        }
        for (id, wanted) in [
            (
                None,
                "00 02 00 0c 01 04 ff ff ff ff 02 04 ff ff ff ff 73 cc 7d 8f",
            ),
            (
                Some(0x1325_2c05),
                "00 02 00 0c 01 04 ff ff ff ff 02 04 13 25 2c 05 cb 0f b7 64",
            ),
        ] {
            assert_eq!(Request::discover(id).as_bytes(), bytes(wanted));
        }
    }

    #[test]
    fn every_question_has_a_name_and_nothing_else() {
        let tuners = (0..=u8::MAX).map(Variable::Debug);
        for variable in [Variable::Model, Variable::HardwareModel, Variable::Version]
            .into_iter()
            .chain(tuners)
        {
            let request = Request::get(variable);
            let frame = Frame::parse(request.as_bytes()).unwrap();
            let tags: Vec<_> = Tags::of(frame.payload).map(Result::unwrap).collect();
            let name = format!("{variable}\0");
            assert_eq!((frame.kind, tags), (4, vec![(tag::NAME, name.as_bytes())]));
        }
    }
}
