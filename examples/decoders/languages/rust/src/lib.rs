//! The decoder tcp_state: 4 bytes, a TCP state of the kernel, become its name.

use exporter_guest_sdk::text::{push_number, read_u32};
use exporter_guest_sdk::{Answer, Decoder, Error};
use serde::Deserialize;

const NAME: &str = "tcp_state";

/// include/net/tcp_states.h, from 1 on.
const STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// What the YAML may say beside the decoder's name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    lowercase: bool,
}

/// The decoder.
#[derive(Debug)]
pub struct State {
    options: Options,
}

impl Decoder for State {
    const NAME: &'static str = NAME;
    const SUMMARY: &'static str = "4 bytes, a TCP state: its name";
    const OPTIONS_SCHEMA: &'static str =
        r#"{"type": "object", "properties": {"lowercase": {"type": "boolean"}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self { options })
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        let state = read_u32(input)
            .filter(|_| input.len() == 4)
            .ok_or_else(|| format!("{NAME} wants 4 bytes, got {}", input.len()))?;
        let index = state.checked_sub(1).and_then(|index| index.try_into().ok());
        match index.and_then(|index: usize| STATES.get(index)) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => {
                out.extend_from_slice(b"UNKNOWN:");
                push_number(out, state);
            }
        }
        if self.options.lowercase {
            out.make_ascii_lowercase();
        }
        Ok(Answer::Known)
    }
}

exporter_guest_sdk::export_plugin! { decoders: [State] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;

    fn text(options: &str, input: &[u8]) -> Result<String, String> {
        let decoder: State = open(options).unwrap();
        let (_, text) = decode_one(&decoder, &FakeKernel::default(), input)?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn states_have_names() {
        let lowercase = r#"{"lowercase": true}"#;
        assert_eq!(text("{}", &[1, 0, 0, 0]).unwrap(), "ESTABLISHED");
        assert_eq!(text(lowercase, &[10, 0, 0, 0]).unwrap(), "listen");
        assert_eq!(text("{}", &[0, 1, 0, 0]).unwrap(), "UNKNOWN:256");
        assert_eq!(text("{}", &[0; 4]).unwrap(), "UNKNOWN:0");
    }

    #[test]
    fn other_lengths_are_errors() {
        let error = format!("{NAME} wants 4 bytes, got 1");
        assert_eq!(text("{}", &[9]).unwrap_err(), error);
    }

    #[test]
    fn options_are_checked() {
        assert!(open::<State>(r#"{"color": true}"#).is_err());
        assert!(open::<State>(r#"{"lowercase": 1}"#).is_err());
    }
}
