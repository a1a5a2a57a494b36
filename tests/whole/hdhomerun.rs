//! The hdhomerun collector against devices that behave and devices that do not.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::components::of_example;
use crate::harness::http::Response;
use crate::harness::parser::Format;
use crate::harness::tuner::{Act, Device, error, frame, value};
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

/// Text, and some of the series that it has to become; a name that begins with `!` must not be there.
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

#[test]
fn replies_come_in_pieces_and_may_be_long() {
    let (host, plain) = (host(), Device::start(&prime()));
    let wanted = all(&probe(&host, &plain));
    let bytes = Device::with_manner(&prime(), |_, reply| {
        reply
            .into_iter()
            .map(|byte| Act::Send(vec![byte]))
            .collect()
    });
    assert_eq!(all(&probe(&host, &bytes)), wanted);
    // In the middle of the header.
    let halves = Device::with_manner(&prime(), |_, mut reply| {
        let rest = reply.split_off(3);
        vec![
            Act::Send(reply),
            Act::Wait(Duration::from_millis(20)),
            Act::Send(rest),
        ]
    });
    assert_eq!(all(&probe(&host, &halves)), wanted);

    let long = format!("{PRIME}{}", "new: 1\n".repeat(715));
    assert!(long.len() > 5000, "{}", long.len());
    let device = Device::start(&[("/sys/model", &"m".repeat(5000)), ("/tuner0/debug", &long)]);
    let body = probe(&host, &device);
    assert_eq!(
        body.value("hdhomerun_tuner_skipped_tokens", &[]),
        Some(715.0)
    );
    assert_eq!(body.value("hdhomerun_network_errors", &[]), Some(3.0));
}

#[test]
fn errors_with_a_name_and_without_end_the_list_of_tuners() {
    let host = host();
    for named in [true, false] {
        let device = Device::with_manner(&prime(), move |name, reply| {
            vec![Act::Send(match name {
                "/tuner2/debug" => error(named.then_some(name), "ERROR: unknown getset variable"),
                "/tuner0/debug" => error(named.then_some(name), "ERROR: resource locked"),
                _ => reply,
            })]
        });
        let body = probe(&host, &device);
        assert!(succeeded(&body));
        assert_eq!(body.value("hdhomerun_device_tuners", &[]), Some(2.0));
        assert_eq!(
            body.value("hdhomerun_tuner_query_success", &[("tuner", "0")]),
            Some(0.0)
        );
        assert_eq!(
            body.value("hdhomerun_network_errors", &[("tuner", "1")]),
            Some(3.0)
        );
    }
}

#[test]
fn replies_that_cannot_be_trusted_fail_the_probe() {
    type Instead = fn(Vec<u8>) -> Vec<Act>;
    let cases: [(Instead, &str); 8] = [
        (
            |mut reply| {
                reply[9] ^= 1;
                vec![Act::Send(reply)]
            },
            "the frame's CRC-32 is",
        ),
        (
            |mut reply| {
                reply[3] -= 1;
                vec![Act::Send(reply)]
            },
            "the header says that the frame has",
        ),
        // Longer than what comes: then it is waited for, and no longer than the deadline.
        (
            |mut reply| {
                reply[2] = 0x40;
                vec![Act::Send(reply)]
            },
            "no answer for /tuner1/debug in time",
        ),
        (
            |_| vec![Act::Send(frame(5, &[3, 0xff, 0xff, 1]))],
            "says that its value has 32767 bytes",
        ),
        (
            |_| vec![Act::Send(frame(5, &[]))],
            "neither an error nor a name and a value",
        ),
        (
            |_| vec![Act::Send(frame(7, &[]))],
            "expected a get/set reply (type 0x0005), found a frame of type 0x0007",
        ),
        (
            |_| vec![Act::Send(value("/tuner0/debug", PRIME))],
            "expected the answer for /tuner1/debug, found one for `/tuner0/debug`",
        ),
        (
            |_| {
                vec![Act::Send(error(
                    Some("/tuner9/debug"),
                    "ERROR: unknown getset variable",
                ))]
            },
            "found one for `/tuner9/debug`",
        ),
    ];
    let host = host();
    for (instead, sentence) in cases {
        let device = Device::with_manner(&prime(), move |name, reply| match name {
            "/tuner1/debug" => instead(reply),
            _ => vec![Act::Send(reply)],
        });
        fails(&host, &device, sentence);
    }
}

#[test]
fn silence_and_trickles_end_at_the_deadline() {
    let host = host();
    let silent = Device::with_manner(&prime(), |_, _| vec![Act::Hang]);
    fails(
        &host,
        &silent,
        "no answer for /sys/model in time: nothing came",
    );
    eventually("the connection is closed", || {
        (silent.connections() == 0).then_some(())
    });

    let trickle = Device::with_manner(&prime(), |_, reply| {
        reply
            .into_iter()
            .flat_map(|byte| [Act::Send(vec![byte]), Act::Wait(Duration::from_millis(200))])
            .collect()
    });
    fails(&host, &trickle, "no answer for /sys/model in time: ");

    let closing = Device::with_manner(&prime(), |name, mut reply| {
        if name == "/tuner1/debug" {
            reply.truncate(100);
            return vec![Act::Send(reply), Act::Close];
        }
        vec![Act::Send(reply)]
    });
    fails(
        &host,
        &closing,
        "the device closed the connection instead of answering for /tuner1/debug: 100 of",
    );
    let gone = closing.target();
    drop(closing);
    let response = get(&host, &gone);
    assert!(
        !succeeded(&Body::parse(Format::Text, response.text())),
        "nobody listens any more"
    );
    // None of it holds up a good one.
    assert!(succeeded(&probe(&host, &Device::start(&prime()))));
}

#[test]
fn targets_have_to_be_there_to_make_sense_and_to_be_granted() {
    let host = host();
    let missing = host.get("/hdhomerun", &[]);
    assert_eq!(missing.status, 400);
    assert!(
        missing.text().to_lowercase().contains("target"),
        "{}",
        missing.text()
    );
    for target in ["127.0.0.2:65001", "[::1]:65001", "localhost:65001"] {
        let refused = get(&host, target);
        assert_eq!(refused.status, 403, "{target}: {}", refused.text());
        assert!(
            refused.text().contains("is not granted"),
            "{}",
            refused.text()
        );
    }
    let odd = host.get("/probe?module=hdhomerun&target=http://x/&debug=true", &[]);
    assert!(
        odd.text()
            .contains("a target is a name, an IPv4 or an IPv6 address"),
        "{}",
        odd.text()
    );
}

#[test]
fn without_a_sidecar_no_device_can_be_reached() {
    let device = Device::start(&prime());
    let setup = Setup::new()
        .component("hdhomerun")
        .file("hdhomerun.yaml", UNIT);
    fs::remove_file(setup.path().join("hdhomerun.plugin.yaml")).unwrap();
    let host = setup.start();
    assert_eq!(get(&host, &device.target()).status, 403);
    assert_eq!(device.take_asked(), [""; 0]);
}

#[test]
fn listed_targets_are_in_metrics() {
    let (one, two) = (
        Device::start(&prime()),
        Device::start(&[("/tuner0/debug", IDLE)]),
    );
    let unit = format!(
        "collectors:\n  - name: hdhomerun\n    targets: [\"{}\", \"{}\"]\n",
        one.target(),
        two.target()
    );
    let host = Setup::new()
        .component("hdhomerun")
        .file("hdhomerun.yaml", unit)
        .file("hdhomerun.plugin.yaml", GRANTS)
        .start();
    let body = host.text();
    for (device, tuners) in [(&one, 2.0), (&two, 1.0)] {
        let labels =
            [("instance", &*device.target())].map(|(name, value)| (name, value.to_owned()));
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(body.value("hdhomerun_device_tuners", &labels), Some(tuners));
    }
}

/// Above what a debug build takes for its instances, on a machine with two processors that runs all the other tests too.
const MANY: usize = 100;
const DEAD: usize = 10;

/// The most memory that the host has had, in bytes.
fn peak_memory(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}

#[test]
fn dead_devices_among_a_hundred_hold_up_nobody() {
    let slow = || {
        Device::with_manner(&prime(), |name, reply| {
            let wait = if name == "/sys/model" { 2000 } else { 0 };
            vec![Act::Wait(Duration::from_millis(wait)), Act::Send(reply)]
        })
    };
    let host = Setup::new()
        .example("hdhomerun")
        .file(
            "hdhomerun.plugin.yaml",
            of_example("hdhomerun.plugin.yaml").replace("192.168.0.0/16:65001", "127.0.0.1:*"),
        )
        .start();
    let timed = |target: &str| {
        let began = Instant::now();
        let response = host.get(
            &format!("/hdhomerun?target={target}"),
            &[("X-Prometheus-Scrape-Timeout-Seconds", "10")],
        );
        let answered = response.text().contains("\nprobe_success 1\n");
        (began.elapsed(), answered)
    };
    let (one, answered) = timed(&slow().target());
    assert!(answered);
    let before = peak_memory(&host);

    let devices: Vec<Device> = (0..MANY)
        .map(|index| match index % (MANY / DEAD) {
            0 => Device::with_manner(&prime(), |_, _| vec![Act::Hang]),
            _ => slow(),
        })
        .collect();
    let probes: Vec<(Duration, bool)> = thread::scope(|scope| {
        let threads: Vec<_> = devices
            .iter()
            .map(|device| scope.spawn(|| timed(&device.target())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let grown = peak_memory(&host) - before;
    let good: Vec<Duration> = probes
        .iter()
        .filter(|(_, answered)| *answered)
        .map(|(took, _)| *took)
        .collect();
    let slowest = good.iter().max().unwrap();
    eprintln!(
        "one device: {one:?}; the slowest of {} good ones among {MANY}: {slowest:?}; memory: {} KiB more",
        good.len(),
        grown / 1024
    );
    assert_eq!(good.len(), MANY - DEAD);
    assert!(
        *slowest < 2 * one,
        "one took {one:?}, the slowest of many {slowest:?}"
    );
    assert!(grown < 256 << 20, "{grown} bytes more for {MANY} probes");
}

#[test]
fn devices_are_found_by_udp_where_that_is_granted() {
    let device = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = device.local_addr().unwrap();
    let unit = format!(
        "collectors:\n  - name: hdhomerun_discovery\n    options: {{addresses: [\"{address}\"]}}\n"
    );
    let setup = |grants: &str| {
        Setup::new()
            .component("hdhomerun")
            .file("hdhomerun.yaml", &unit)
            .file("hdhomerun.plugin.yaml", format!("grants: {{{grants}}}\n"))
            .start()
    };
    let refused = setup("tcp: [\"127.0.0.1:*\"]").text();
    let success = [("collector", "hdhomerun_discovery")];
    assert_eq!(
        refused.value("exporter_host_collector_success", &success),
        Some(0.0)
    );

    // Twice, as the question is asked twice.
    let answering = thread::spawn(move || {
        for _ in 0..2 {
            let mut question = [0; 64];
            let (size, from) = device.recv_from(&mut question).unwrap();
            // Any device, any id.
            assert_eq!(
                question[..size - 4],
                *b"\0\x02\0\x0c\x01\x04\xff\xff\xff\xff\x02\x04\xff\xff\xff\xff"
            );
            let answer = frame(3, b"\x01\x04\0\0\0\x01\x02\x04\x13\x25\x2c\x05\x10\x01\x03");
            device.send_to(b"noise", from).unwrap();
            device.send_to(&answer, from).unwrap();
        }
    });
    let body = setup("udp: [\"127.0.0.1:*\"]").text();
    answering.join().unwrap();
    let address = address.to_string();
    let labels = [
        ("device_id", "13252C05"),
        ("address", &*address),
        ("base_url", "http://127.0.0.1:80"),
        ("tuners", "3"),
    ];
    assert_eq!(
        body.value("hdhomerun_discovered_device_info", &labels),
        Some(1.0)
    );
    assert_eq!(body.value("hdhomerun_discovered_devices", &[]), Some(1.0));
    assert_eq!(
        body.value("hdhomerun_discovery_skipped_replies", &[]),
        Some(2.0)
    );
}
