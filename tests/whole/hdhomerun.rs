//! The hdhomerun collector against devices that behave and devices that do not.

mod fleet;
mod trouble;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::http::Response;
use crate::harness::parser::Format;
use crate::harness::tuner::Device;
use crate::harness::{Body, Host, Setup, eventually};

const UNIT: &str =
    "collectors:\n  - name: hdhomerun\n    mode: probe\n    probe_path: /hdhomerun\n";
const GRANTS: &str = "grants:\n  tcp: [\"127.0.0.1:*\"]\n";

/// Of a probe, and what is added for a machine that is busy with all the other tests.
const TIMEOUT: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(3);

const IDLE: &str = "tun: ch=none lock=none ss=0 snq=0 seq=0 dbg=0\ndev: bps=0 resync=0 overflow=0\n\
                    ts:  bps=0 te=0 crc=0\nnet: bps=0 pps=0 err=0 stop=4\n";
const PRIME: &str = "tun: ch=qam:183000000 lock=qam256:183000000 ss=100 snq=100 seq=100 dbg=-381/-5551\n\
                     dev: bps=38810720 resync=0 overflow=0\ncc:  bps=38810720 resync=1 overflow=2\n\
                     ts:  bps=12514784 te=0 crc=0\nnet: pps=1192 err=3 stop=0\n";

fn host() -> Host {
    Setup::new()
        .component("hdhomerun")
        .file("hdhomerun.yaml", UNIT)
        .file("hdhomerun.plugin.yaml", GRANTS)
        .start()
}

fn prime() -> [(&'static str, &'static str); 5] {
    [
        ("/sys/model", "hdhomerun3_cablecard"),
        ("/sys/hwmodel", "HDHR3-CC"),
        ("/sys/version", "20160630atest2"),
        ("/tuner0/debug", IDLE),
        ("/tuner1/debug", PRIME),
    ]
}

fn get(host: &Host, target: &str) -> Response {
    let timeout = TIMEOUT.as_secs().to_string();
    let headers = [("X-Prometheus-Scrape-Timeout-Seconds", timeout.as_str())];
    host.get(&format!("/hdhomerun?target={target}"), &headers)
}

/// A probe that is answered: the parsed body.
fn probe(host: &Host, device: &Device) -> Body {
    let began = Instant::now();
    let response = get(host, &device.target());
    let took = began.elapsed();
    assert!(
        took < TIMEOUT + SLACK,
        "a probe of {TIMEOUT:?} took {took:?}"
    );
    assert_eq!(response.status, 200, "{}", response.text());
    Body::parse(Format::Text, response.text())
}

/// Of a body, by name and labels, without what differs from probe to probe.
fn all(body: &Body) -> BTreeMap<String, f64> {
    body.samples()
        .filter(|sample| sample.name != "probe_duration_seconds")
        .map(|sample| (format!("{}{:?}", sample.name, sample.labels), sample.value))
        .collect()
}

fn succeeded(body: &Body) -> bool {
    body.value("probe_success", &[]) == Some(1.0)
}

/// The device fails the probe, and this is what is said about it.
fn fails(host: &Host, device: &Device, sentence: &str) {
    let body = probe(host, device);
    assert!(!succeeded(&body), "{:?}", all(&body));
    assert!(
        body.samples()
            .all(|sample| !sample.name.starts_with("hdhomerun_")),
        "half a device is served"
    );
    let debug = host.get(
        &format!(
            "/probe?module=hdhomerun&target={}&debug=true",
            device.target()
        ),
        &[("X-Prometheus-Scrape-Timeout-Seconds", "3")],
    );
    assert!(
        debug.text().contains(sentence),
        "expected `{sentence}` in {}",
        debug.text()
    );
}

#[test]
fn a_device_is_served_as_in_2018_and_better() {
    let (host, device) = (host(), Device::start(&prime()));
    let body = probe(&host, &device);
    assert!(succeeded(&body));
    for (name, help) in [
        ("hdhomerun_device_info", "Metadata about the device."),
        (
            "hdhomerun_tuner_info",
            "Metadata about each of the tuners available to a device.",
        ),
        (
            "hdhomerun_tuner_signal_strength_ratio",
            "Television signal strength ratio for this tuner.",
        ),
        (
            "hdhomerun_tuner_signal_to_noise_ratio",
            "Television signal-to-noise ratio for this tuner.",
        ),
        (
            "hdhomerun_tuner_symbol_error_ratio",
            "Television symbol error ratio for this tuner.",
        ),
        (
            "hdhomerun_cablecard_bytes_per_second",
            "Number of bytes per second being received by the CableCARD.",
        ),
        (
            "hdhomerun_cablecard_overflow",
            "Number of buffer overflows for the CableCARD.",
        ),
        (
            "hdhomerun_cablecard_resync",
            "Number of re-sync operations due to missing sync byte in transport stream for the CableCARD.",
        ),
        (
            "hdhomerun_network_packets_per_second",
            "Number of packets per second being sent by the device for this tuner.",
        ),
        (
            "hdhomerun_network_errors",
            "Number of device network errors for this tuner.",
        ),
    ] {
        let family = body
            .family(name)
            .unwrap_or_else(|| panic!("{name} is served"));
        assert_eq!(
            (family.kind.as_str(), family.help.as_str()),
            ("gauge", help),
            "{name}"
        );
    }
    let tuner = [("tuner", "1")];
    for (name, labels, wanted) in [
        (
            "hdhomerun_device_info",
            &[("model", "hdhomerun3_cablecard")][..],
            1.0,
        ),
        (
            "hdhomerun_tuner_info",
            &[
                ("tuner", "1"),
                ("channel", "qam:183000000"),
                ("lock", "qam256:183000000"),
            ],
            1.0,
        ),
        (
            "hdhomerun_tuner_info",
            &[("tuner", "0"), ("channel", "none"), ("lock", "none")],
            1.0,
        ),
        ("hdhomerun_tuner_signal_strength_ratio", &tuner, 1.0),
        ("hdhomerun_cablecard_bytes_per_second", &[], 4_851_340.0),
        ("hdhomerun_cablecard_overflow", &[], 2.0),
        ("hdhomerun_cablecard_resync", &[], 1.0),
        ("hdhomerun_network_packets_per_second", &tuner, 1192.0),
        ("hdhomerun_network_errors", &tuner, 3.0),
        ("hdhomerun_device_tuners", &[], 2.0),
        (
            "hdhomerun_device_hardware_info",
            &[
                ("hardware_model", "HDHR3-CC"),
                ("firmware_version", "20160630atest2"),
            ],
            1.0,
        ),
        (
            "hdhomerun_tuner_stage_bytes_per_second",
            &[("tuner", "1"), ("stage", "ts")],
            1_564_348.0,
        ),
        (
            "hdhomerun_tuner_overflows_total",
            &[("tuner", "1"), ("stage", "cc")],
            2.0,
        ),
        ("hdhomerun_tuner_locked", &tuner, 1.0),
        ("hdhomerun_tuner_in_use", &[("tuner", "0")], 0.0),
        ("hdhomerun_tuner_stop_reason", &[("tuner", "0")], 4.0),
    ] {
        assert_eq!(body.value(name, labels), Some(wanted), "{name}{labels:?}");
    }
    assert_eq!(
        device.take_asked(),
        [
            "/sys/model",
            "/sys/hwmodel",
            "/sys/version",
            "/tuner0/debug",
            "/tuner1/debug",
            "/tuner2/debug"
        ]
    );
    eventually("the connection is closed", || {
        (device.connections() == 0).then_some(())
    });
    // Under the module's name too.
    let response = host.get(
        &format!("/probe?module=hdhomerun&target={}", device.target()),
        &[],
    );
    assert_eq!(all(&Body::parse(Format::Text, response.text())), all(&body));
    assert!(
        !host.fetch(Format::Text).contains("hdhomerun_tuner"),
        "a probe's series are a probe's alone"
    );
}

/// Text, and some of the series that it has to become; a name that begins with `!` must not be
/// there.
const GENERATIONS: [(&str, &[(&str, f64)]); 7] = [
    (
        "tun: ch=qam:33 lock=qam256 ss=84 snq=88 seq=100 dbg=22081-6930\ndev: resync=0 overflow=0\n\
         ts:  bps=38809216 ut=94 te=0 miss=5 crc=0\nflt: bps=38809216\nnet: pps=0 err=0 stop=0\n",
        &[
            ("hdhomerun_tuner_signal_strength_ratio", 0.84),
            ("hdhomerun_tuner_sequence_errors_total", 5.0),
            ("hdhomerun_tuner_transport_utilization_ratio", 0.94),
            ("hdhomerun_tuner_skipped_tokens", 0.0),
        ],
    ),
    (
        "tun: ch=auto:21 lock=8vsb:515000000 ss=80 snq=76 seq=100 dbg=-514/13110\ndev: bps=19394080 resync=0 overflow=0\n\
         ts:  bps=19394080 te=7 crc=8\nnet: pps=0 err=0 stop=0\n",
        &[
            ("hdhomerun_tuner_signal_to_noise_ratio", 0.76),
            ("hdhomerun_tuner_transport_errors_total", 7.0),
            ("hdhomerun_tuner_crc_errors_total", 8.0),
            ("!hdhomerun_tuner_transport_utilization_ratio", 0.0),
            ("!hdhomerun_cablecard_resync", 0.0),
            ("hdhomerun_tuner_skipped_tokens", 0.0),
        ],
    ),
    (
        "tun: ch=8vsb:575000000 lock=8vsb:575000000 ss=100 snq=98 seq=100 dbg=-2875/9836\r\ndev: bps=19466272 resync=0 overflow=0\r\n\
         ts:  bps=9366912 te=0 crc=0\r\nnet: bps=9367360 pps=802 err=0 stop=0\r\n",
        &[
            ("hdhomerun_network_packets_per_second", 802.0),
            ("hdhomerun_tuner_locked", 1.0),
            ("hdhomerun_tuner_skipped_tokens", 0.0),
        ],
    ),
    (
        "tun: ch=qam:33 lock=qam256 ss=83(-10dBmV) snq=90(29dB) seq=100 dbg=65-19/-1817\nnet: pps=a=b err=1\nnew: free text\n",
        &[
            ("hdhomerun_tuner_signal_strength_ratio", 0.83),
            ("hdhomerun_tuner_signal_to_noise_ratio", 0.9),
            ("hdhomerun_network_errors", 1.0),
            ("!hdhomerun_network_packets_per_second", 0.0),
            ("hdhomerun_tuner_skipped_tokens", 3.0),
        ],
    ),
    (
        "tun: ch=auto:575000000 lock=none ss=40 snq=0 seq=0 dbg=0\n",
        &[
            ("hdhomerun_tuner_in_use", 1.0),
            ("hdhomerun_tuner_locked", 0.0),
            ("!hdhomerun_network_errors", 0.0),
        ],
    ),
    (
        "tun: ch=atsc3:33:0+16 lock=atsc3 ss=62 snq=47 seq=0 dbg=0\n",
        &[
            ("hdhomerun_tuner_signal_strength_ratio", 0.62),
            ("hdhomerun_tuner_locked", 1.0),
        ],
    ),
    (
        "ch=auto:31 lock=atsc3 ss=62 snq=47 seq=0 bps=0 pps=0",
        &[
            ("hdhomerun_tuner_signal_to_noise_ratio", 0.47),
            ("hdhomerun_network_packets_per_second", 0.0),
        ],
    ),
];

#[test]
fn every_generation_of_text_is_understood() {
    let host = host();
    for (text, wanted) in GENERATIONS {
        let device = Device::start(&[("/tuner0/debug", text)]);
        let body = probe(&host, &device);
        assert!(succeeded(&body), "{text}");
        for (name, value) in wanted {
            match name.strip_prefix('!') {
                Some(name) => assert!(body.family(name).is_none(), "{name} of {text}"),
                None => assert_eq!(body.value(name, &[]), Some(*value), "{name} of {text}"),
            }
        }
    }
}
