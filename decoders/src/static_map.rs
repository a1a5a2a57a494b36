//! `static_map`: texts for texts, from the YAML.

use std::collections::HashMap;

use exporter_guest_sdk::options::Text;
use exporter_guest_sdk::{BatchDecoder, Cells, Decoded, Error, Kernel};
use foldhash::fast::FixedState;
use serde::Deserialize;

/// Replaces a text by another one.
#[derive(Debug)]
pub struct StaticMap {
    /// None: the YAML has no table.
    map: Option<HashMap<Vec<u8>, String, FixedState>>,
    allow_unknown: bool,
}

/// Options of [`StaticMap`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    static_map: Option<HashMap<String, Text>>,
    allow_unknown: bool,
}

impl BatchDecoder for StaticMap {
    const NAME: &'static str = "static_map";
    const SUMMARY: &'static str = "any text: the text that the table has for it";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"static_map":{"type":"object","additionalProperties":{"type":["string","number","boolean"]}},"allow_unknown":{"type":"boolean","default":false}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        let map = options.static_map.map(|map| {
            map.into_iter()
                .map(|(input, text)| (input.into_bytes(), text.into()))
                .collect()
        });
        Ok(Self {
            map,
            allow_unknown: options.allow_unknown,
        })
    }

    fn decode_batch(&self, _: &impl Kernel, input: &Cells, out: &mut Decoded) {
        for cell in input.iter() {
            match &self.map {
                None => out.known(b"empty mapping"),
                Some(map) => match map.get(cell) {
                    Some(text) => out.known(text.as_bytes()),
                    None if self.allow_unknown => out.known(cell),
                    None => out.known(&[b"unknown:", cell].concat()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::Answer;
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;
    use crate::testing::say;

    fn text(options: &str, input: &str) -> String {
        say(
            &open::<StaticMap>(options).unwrap(),
            &FakeKernel::default(),
            input.as_bytes(),
        )
    }

    #[test]
    fn texts_for_texts() {
        let options =
            r#"{"static_map": {"1": "read", "0x10": "", "": "nothing", "2": 3, "3": true}}"#;
        assert_eq!(text(options, "1"), "read");
        assert_eq!(text(options, "0x10"), "");
        assert_eq!(text(options, ""), "nothing");
        assert_eq!(text(options, "2"), "3");
        assert_eq!(text(options, "3"), "true");
        assert_eq!(text(options, "01"), "unknown:01");
        assert_eq!(text(r#"{"static_map": {}}"#, "x"), "unknown:x");
    }

    #[test]
    fn unknown_texts_pass_where_allowed() {
        let options = r#"{"static_map": {"1": "read"}, "allow_unknown": true}"#;
        assert_eq!(text(options, "1"), "read");
        assert_eq!(text(options, "other"), "other");
        let decoder: StaticMap = open(options).unwrap();
        let decoded = decode_one(&decoder, &FakeKernel::default(), b"\xff");
        assert_eq!(decoded, Ok((Answer::Known, b"\xff".to_vec())));
    }

    #[test]
    fn without_a_table_the_text_says_so() {
        assert_eq!(text("{}", "1"), "empty mapping");
        assert_eq!(
            text(r#"{"static_map": null, "allow_unknown": true}"#, "1"),
            "empty mapping"
        );
    }
}
