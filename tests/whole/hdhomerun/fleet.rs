//! Many devices: those listed, dead ones among them, and those that are found.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{GRANTS, IDLE, prime};
use crate::harness::Setup;
use crate::harness::components::of_example;
use crate::harness::tuner::{Act, Device, frame};

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

/// Above what a debug build takes for its instances, on a machine with two processors that runs all
/// the other tests too.
const MANY: usize = 100;
const DEAD: usize = 10;

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
    let before = host.tree().peak();

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
    let grown = host.tree().peak() - before;
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
