//! A plugin in several versions, built once: a decoder `spoken`, or of another name, that puts its
//! version before what it is given.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::guest::component;

const SOURCE: &str = r#"
use exporter_guest_sdk::{Answer, Decoder, Error, NoOptions};

struct Spoken;

impl Decoder for Spoken {
    const NAME: &'static str = env!("SPOKEN_NAME");
    const SUMMARY: &'static str = "anything: the same with this plugin's version before it";
    type Options = NoOptions;

    fn open(_: NoOptions) -> Result<Self, Error> {
        Ok(Self)
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        out.extend_from_slice(concat!(env!("SPOKEN_VERSION"), " ").as_bytes());
        out.extend_from_slice(input);
        Ok(Answer::Known)
    }
}

exporter_guest_sdk::export_plugin! { decoders: [Spoken] }
"#;

/// The component of this version: `first` or `second`.
pub(crate) fn spoken(version: &str) -> PathBuf {
    static ALL: OnceLock<[PathBuf; 2]> = OnceLock::new();
    let [first, second] =
        ALL.get_or_init(|| ["first", "second"].map(|version| built(version, version, "spoken")));
    if version == "first" { first } else { second }.clone()
}

/// A plugin with the same decoder under this name.
pub(crate) fn spoken_as(name: &str) -> PathBuf {
    built(&format!("as-{name}"), "other", name)
}

fn built(file: &str, version: &str, name: &str) -> PathBuf {
    let variables = [("SPOKEN_VERSION", version), ("SPOKEN_NAME", name)];
    component("spoken", SOURCE, file, &variables)
}
