//! Finding devices: a question to everybody by UDP, and the answers of those who are there.

use std::collections::BTreeSet;
use std::time::Duration;

use exporter_guest_sdk::net::{NetError, UdpSocket};
use exporter_guest_sdk::options::Text;
use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, Request, log};
use serde::Deserialize;

use crate::reply::{Found, is_device_id};
use crate::request;
use crate::target::{PORT, endpoint};

/// As libhdhomerun: the question is asked twice, since datagrams get lost, and each time there is
/// this much quiet after the last answer.
const ATTEMPTS: u32 = 2;
const QUIET: Duration = Duration::from_millis(200);
/// More answers to one question are not read: whoever sends them is no network of tuners.
const MAX_REPLIES: u32 = 256;

/// Lists the devices that answer.
#[derive(Debug)]
pub(crate) struct Discovery {
    endpoints: Vec<String>,
    device_id: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    #[serde(default)]
    addresses: Option<Vec<String>>,
    #[serde(default)]
    device_id: Option<Text>,
}

#[derive(Debug, Default)]
struct Answers {
    /// With the address that each one answered from.
    found: BTreeSet<(Found, String)>,
    skipped: u64,
}

impl Collector for Discovery {
    const NAME: &'static str = "hdhomerun_discovery";
    const SUMMARY: &'static str = "the HDHomeRun devices that answer a discover request by UDP";
    const OPTIONS_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false, "properties": {
        "addresses": {"type": "array", "items": {"type": "string"}, "description": "whom to ask: broadcast addresses, or those of devices", "default": ["255.255.255.255"]},
        "device_id": {"type": "string", "description": "only the device with this id of 8 hex digits"}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        let addresses = options
            .addresses
            .unwrap_or_else(|| vec![format!("255.255.255.255:{PORT}")]);
        if addresses.is_empty() {
            return Err(
                "option `addresses` of hdhomerun_discovery is empty: expected whom to ask".into(),
            );
        }
        let endpoints = addresses.iter().map(|address| endpoint(address));
        Ok(Self {
            endpoints: endpoints
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?,
            device_id: options
                .device_id
                .map(|id| device_id(id.as_str()))
                .transpose()?,
        })
    }

    fn collect(
        &self,
        host: &impl Host,
        request: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let endpoints = match &request.target {
            None => self.endpoints.clone(),
            Some(target) => vec![endpoint(target).map_err(|error| error.to_string())?],
        };
        let mut socket = host.open_udp()?;
        let mut answers = Answers::default();
        for _ in 0..ATTEMPTS {
            ask(&mut socket, &endpoints, self.device_id)?;
            answers.read(&mut socket)?;
        }
        answers.write(families);
        Ok(())
    }
}

/// Sends the question to all, if it can be sent to one of them.
fn ask(
    socket: &mut impl UdpSocket,
    endpoints: &[String],
    device_id: Option<u32>,
) -> Result<(), Failure> {
    let request = request::Request::discover(device_id);
    let mut failed = None;
    let mut sent = false;
    for endpoint in endpoints {
        match socket.send_to(endpoint, request.as_bytes()) {
            Ok(()) => sent = true,
            Err(error) => {
                log::warn(&format!("cannot ask for devices: {error}"));
                failed = Some(error);
            }
        }
    }
    failed
        .filter(|_| !sent)
        .map_or(Ok(()), |error| Err(error.into()))
}

fn device_id(text: &str) -> Result<u32, String> {
    let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u32::from_str_radix(text, 16).ok().filter(|_| digits).ok_or_else(|| {
        format!(
            "option `device_id`: expected the 8 hex digits on the device's label, in quotes, found `{text}`"
        )
    })?;
    if !is_device_id(id) {
        return Err(format!(
            "option `device_id`: `{text}` is none, its check digit is wrong: look at the device's label again"
        ));
    }
    Ok(id)
}

// === impl Answers ===

impl Answers {
    /// Reads what comes until it is quiet.
    fn read(&mut self, socket: &mut impl UdpSocket) -> Result<(), NetError> {
        for _ in 0..MAX_REPLIES {
            let datagram = match socket.receive(QUIET) {
                Ok(datagram) => datagram,
                Err(error) if error.is_timeout() => return Ok(()),
                Err(error) => return Err(error),
            };
            match Found::parse(&datagram.bytes, &datagram.source) {
                Ok(found) => drop(self.found.insert((found, datagram.source))),
                Err(error) => {
                    self.skipped += 1;
                    log::debug(&format!(
                        "a datagram from {} is passed over: {error}",
                        datagram.source
                    ));
                }
            }
        }
        Ok(())
    }

    fn write(&self, families: &mut Families) {
        families
            .gauge("hdhomerun_discovered_devices", "Devices that answered.")
            .sample(&[], self.found.len());
        for (found, address) in &self.found {
            families
                .info(
                    "hdhomerun_discovered_device_info",
                    "A device that answered, and from where.",
                )
                .sample(
                    &[
                        ("device_id", &format!("{:08X}", found.id)),
                        ("address", address),
                        ("base_url", &found.base_url),
                        (
                            "tuners",
                            &found
                                .tuners
                                .map_or_else(String::new, |count| count.to_string()),
                        ),
                    ],
                    1_u64,
                );
        }
        families
            .gauge(
                "hdhomerun_discovery_skipped_replies",
                "Datagrams that came and were no answers of a device.",
            )
            .sample(&[], self.skipped);
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::net::{Datagram, NetProblem};
    use exporter_guest_sdk::testing::{FakeHost, collect, open_collector};

    use super::*;
    use crate::frame::seal;
    use crate::tlv::{push, tag};

    const BROADCAST: &str = "255.255.255.255:65001";

    fn device(id: u32, source: &str) -> Datagram {
        let mut payload = Vec::new();
        push(&mut payload, tag::DEVICE_TYPE, &[0, 0, 0, 1]);
        push(&mut payload, tag::DEVICE_ID, &id.to_be_bytes());
        push(&mut payload, tag::TUNER_COUNT, &[3]);
        push(&mut payload, tag::BASE_URL, b"http://10.0.0.9:80");
        Datagram {
            source: source.to_owned(),
            bytes: seal(3, &payload),
        }
    }

    #[test]
    fn devices_are_listed_once_and_noise_is_counted() {
        let mut host = FakeHost::default();
        host.net.serve_udp(BROADCAST, |_| {
            let noise = Datagram {
                source: "10.0.0.7:9".to_owned(),
                bytes: b"hello".to_vec(),
            };
            vec![device(0x1325_2c05, "10.0.0.9:65001"), noise]
        });
        let discovery: Discovery = open_collector("{}").unwrap();
        let text = collect(&discovery, &host, &Request::default()).unwrap();
        let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            series,
            [
                "hdhomerun_discovered_devices 1",
                "hdhomerun_discovered_device_info{device_id=\"13252C05\",address=\"10.0.0.9:65001\",base_url=\"http://10.0.0.9:80\",tuners=\"3\"} 1",
                "hdhomerun_discovery_skipped_replies 2",
            ]
        );
        let asked = host.net.written(BROADCAST);
        assert_eq!(
            asked,
            vec![request::Request::discover(None).as_bytes().to_vec(); 2]
        );
    }

    #[test]
    fn one_address_of_several_may_fail() {
        let mut host = FakeHost::default();
        host.net.serve_udp("10.0.0.9:65001", |_| {
            vec![device(0x1325_2c05, "10.0.0.9:65001")]
        });
        host.net.fail(
            "10.0.1.255:65001",
            NetProblem::Other("network is unreachable".to_owned()),
        );
        let both: Discovery =
            open_collector(r#"{"addresses": ["10.0.1.255", "10.0.0.9"], "device_id": "13252C05"}"#)
                .unwrap();
        let text = collect(&both, &host, &Request::default()).unwrap();
        assert!(text.contains("hdhomerun_discovered_devices 1"), "{text}");
        let failure = collect(&both, &host, &Request::of("10.0.1.255")).unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
        // A probe's target is who is asked.
        let text = collect(&both, &host, &Request::of("10.0.0.1")).unwrap();
        assert!(text.contains("hdhomerun_discovered_devices 0"), "{text}");
    }

    #[test]
    fn what_is_not_granted_fails_as_such() {
        let mut host = FakeHost::default();
        host.net.fail(
            BROADCAST,
            NetProblem::Denied("udp 255.255.255.255:65001 is not granted".to_owned()),
        );
        let discovery: Discovery = open_collector("{}").unwrap();
        let failure = collect(&discovery, &host, &Request::default()).unwrap_err();
        assert!(matches!(failure, Failure::Denied(_)), "{failure}");
    }

    #[test]
    fn options_say_what_is_wrong_with_them() {
        let error = |options| {
            open_collector::<Discovery>(options)
                .unwrap_err()
                .to_string()
        };
        assert!(error(r#"{"device_id": "DEADBEEF"}"#).contains("check digit"));
        assert!(error(r#"{"device_id": "+1325205"}"#).contains("8 hex digits"));
        assert!(error(r#"{"addresses": []}"#).contains("is empty"));
        assert!(error(r#"{"addresses": ["a b"]}"#).contains("has a character"));
    }
}
