//! The decoder `container`: the path of a cgroup, as the decoder `cgroup` gives it, becomes the
//! pod's uid, the container's id or the runtime's name. A part is asked for by option, so that one
//! field of a key can be several labels.

mod path;

use exporter_guest_sdk::{Answer, Decoder, Error};
use serde::Deserialize;

use path::Container;

/// How many characters of an id people read.
const SHORT_ID: usize = 12;

/// What the YAML may say beside the decoder's name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Which part of the path is the text.
    part: Part,
    /// Ids cut to 12 characters.
    short: bool,
    /// The text where the path has no such part.
    unknown: String,
}

/// A part of a path.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    #[default]
    Container,
    Pod,
    Runtime,
}

/// The decoder.
#[derive(Debug)]
pub struct ContainerOf {
    options: Options,
}

impl Decoder for ContainerOf {
    const NAME: &'static str = "container";
    const SUMMARY: &'static str =
        "a cgroup's path (after cgroup): the container's id, the pod's uid or the runtime";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"part":{"enum":["container","pod","runtime"],"default":"container"},"short":{"type":"boolean","default":false},"unknown":{"type":"string","default":""}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self { options })
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        // Ids are ASCII: what is not UTF-8 has none.
        let path = std::str::from_utf8(input).unwrap_or_default();
        let part = match self.options.part {
            Part::Container => {
                Container::of(path).map(|container| self.cut(container.id).to_owned())
            }
            Part::Runtime => Container::of(path)
                .and_then(|container| container.runtime)
                .map(ToOwned::to_owned),
            Part::Pod => path::pod_of(path),
        };
        let text = part.as_deref().unwrap_or(&self.options.unknown);
        out.extend_from_slice(text.as_bytes());
        Ok(Answer::Known)
    }
}

impl ContainerOf {
    fn cut<'a>(&self, id: &'a str) -> &'a str {
        match self.options.short {
            true => id.get(..SHORT_ID).unwrap_or(id),
            false => id,
        }
    }
}

exporter_guest_sdk::export_plugin! { decoders: [ContainerOf] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;

    const ID: &str = "5c7b8b4b3e6d8c1d2a0f4e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8";

    fn text(options: &str, path: &[u8]) -> String {
        let decoder: ContainerOf = open(options).unwrap();
        let (answer, text) = decode_one(&decoder, &FakeKernel::default(), path).unwrap();
        assert_eq!(answer, Answer::Known);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn parts_are_asked_for_by_option() {
        let path = format!(
            "/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a6f3c1e_7d1b_4b8e_9c55_4f1d2f3a4b5c.slice/cri-containerd-{ID}.scope"
        );
        let path = path.as_bytes();
        assert_eq!(text("{}", path), ID);
        assert_eq!(text(r#"{"short": true}"#, path), "5c7b8b4b3e6d");
        assert_eq!(
            text(r#"{"part": "pod"}"#, path),
            "0a6f3c1e-7d1b-4b8e-9c55-4f1d2f3a4b5c"
        );
        assert_eq!(text(r#"{"part": "runtime"}"#, path), "containerd");
    }

    #[test]
    fn what_is_no_container_has_the_text_of_the_option() {
        let path = b"/sys/fs/cgroup/system.slice/ssh.service";
        assert_eq!(text("{}", path), "");
        assert_eq!(text(r#"{"unknown": "host"}"#, path), "host");
        assert_eq!(
            text(r#"{"part": "pod", "unknown": "none"}"#, b"\xff"),
            "none"
        );
        assert_eq!(text(r#"{"unknown": "-"}"#, b"unknown_cgroup_id:7"), "-");
    }

    #[test]
    fn options_are_checked() {
        assert!(open::<ContainerOf>(r#"{"part": "image"}"#).is_err());
        assert!(open::<ContainerOf>(r#"{"parts": "pod"}"#).is_err());
    }
}
