//! The decoder `network`: an IP address becomes the name of the network it belongs to, of those
//! that the operator lists. The longest prefix wins.

mod prefix;

use std::collections::BTreeMap;
use std::net::IpAddr;

use exporter_guest_sdk::{Answer, Decoder, Error};
use serde::Deserialize;

use prefix::{Prefix, Table};

/// What the YAML says beside the decoder's name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Prefixes by the network's name. An address without a length is one address.
    networks: BTreeMap<String, Vec<String>>,
    /// The text for addresses of no network.
    default: String,
    /// What the input is.
    input: Input,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Input {
    /// 4 or 16 bytes in network order, as BPF programs find them.
    #[default]
    Bytes,
    /// As `inet_ip` writes them.
    Text,
}

/// The decoder.
#[derive(Debug)]
pub struct Network {
    networks: Table<String>,
    default: String,
    input: Input,
}

impl Decoder for Network {
    const NAME: &'static str = "network";
    const SUMMARY: &'static str =
        "an IP address, 4 or 16 bytes or text: the name of its network, by longest prefix";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","required":["networks"],"properties":{"networks":{"type":"object","additionalProperties":{"type":"array","items":{"type":"string"}}},"default":{"type":"string","default":""},"input":{"enum":["bytes","text"],"default":"bytes"}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        if options.networks.is_empty() {
            return Err("network wants `networks`: names with lists of prefixes, e.g. {office: [10.1.0.0/16]}".into());
        }
        let mut networks = Table::default();
        for (name, prefixes) in options.networks {
            for text in prefixes {
                let prefix = Prefix::parse(&text)?;
                if let Some(other) = networks.insert(prefix, name.clone())
                    && other != name
                {
                    return Err(
                        format!("{text} belongs to two networks, `{other}` and `{name}`").into(),
                    );
                }
            }
        }
        Ok(Self {
            networks,
            default: options.default,
            input: options.input,
        })
    }

    fn decode(&self, input: &[u8], out: &mut Vec<u8>) -> Result<Answer, Error> {
        let address = match self.input {
            Input::Bytes => of_bytes(input)
                .ok_or_else(|| format!("network wants 4 or 16 bytes, got {}", input.len()))?,
            Input::Text => of_text(input).ok_or_else(|| {
                format!(
                    "network wants an IP address, got `{}`",
                    String::from_utf8_lossy(input)
                )
            })?,
        };
        let name = self.networks.longest_match(address.to_canonical());
        out.extend_from_slice(name.unwrap_or(&self.default).as_bytes());
        Ok(Answer::Known)
    }
}

fn of_bytes(input: &[u8]) -> Option<IpAddr> {
    let v4 = input.as_array::<4>().map(|bytes| IpAddr::from(*bytes));
    v4.or_else(|| input.as_array::<16>().map(|bytes| IpAddr::from(*bytes)))
}

fn of_text(input: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(input).ok()?.parse().ok()
}

exporter_guest_sdk::export_plugin! { decoders: [Network] }

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::{FakeKernel, decode_one, open};

    use super::*;

    const NETWORKS: &str = r#""networks": {"private": ["10.0.0.0/8", "fd00::/8"], "office": ["10.1.0.0/16", "2001:db8::/32"], "gateway": ["10.1.0.1"]}"#;

    fn say(options: &str, input: &[u8]) -> String {
        let network: Network = open(options).unwrap();
        match decode_one(&network, &FakeKernel::default(), input) {
            Ok((_, text)) => String::from_utf8(text).unwrap(),
            Err(error) => format!("! {error}"),
        }
    }

    fn bytes(address: &str) -> String {
        let options = format!("{{{NETWORKS}, \"default\": \"internet\"}}");
        match address.parse().unwrap() {
            IpAddr::V4(address) => say(&options, &address.octets()),
            IpAddr::V6(address) => say(&options, &address.octets()),
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(bytes("10.2.0.1"), "private");
        assert_eq!(bytes("10.1.0.2"), "office");
        assert_eq!(bytes("10.1.0.1"), "gateway");
        assert_eq!(bytes("192.0.2.1"), "internet");
        assert_eq!(bytes("2001:db8:1::1"), "office");
        assert_eq!(bytes("2001:db9::1"), "internet");
        assert_eq!(bytes("::ffff:10.1.0.1"), "gateway", "v4 in v6's clothes");
    }

    #[test]
    fn text_as_inet_ip_writes_it() {
        let options = format!("{{{NETWORKS}, \"input\": \"text\"}}");
        assert_eq!(say(&options, b"10.1.0.1"), "gateway");
        assert_eq!(say(&options, b"fd12::1"), "private");
        assert_eq!(say(&options, b"8.8.8.8"), "");
        assert_eq!(
            say(&options, b"<nil>"),
            "! network wants an IP address, got `<nil>`"
        );
    }

    #[test]
    fn everything_can_have_a_name() {
        let options = r#"{"networks": {"all": ["0.0.0.0/0", "::/0"], "lan": ["192.168.0.0/16"]}}"#;
        assert_eq!(say(options, &[8, 8, 8, 8]), "all");
        assert_eq!(say(options, &[192, 168, 1, 1]), "lan");
        assert_eq!(say(options, &[1; 16]), "all");
        assert_eq!(
            say(options, &[1; 5]),
            "! network wants 4 or 16 bytes, got 5"
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |networks: &str| {
            let options = format!("{{\"networks\": {networks}}}");
            open::<Network>(&options).unwrap_err().to_string()
        };
        assert!(refused("{}").contains("network wants `networks`"));
        assert!(refused(r#"{"a": ["10.1.0.1/16"]}"#).contains("write 10.1.0.0/16"));
        assert!(refused(r#"{"a": ["10.0.0.0/33"]}"#).contains("0 to 32"));
        assert!(refused(r#"{"a": ["lan"]}"#).contains("`lan`"));
        assert!(
            refused(r#"{"a": ["10.0.0.0/8"], "b": ["10.0.0.0/8"]}"#)
                .contains("two networks, `a` and `b`")
        );
    }
}
