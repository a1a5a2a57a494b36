//! Devices that answer oddly, late or not at all.

use std::fs;
use std::time::Duration;

use super::{PRIME, UNIT, all, fails, get, host, prime, probe, succeeded};
use crate::harness::parser::Format;
use crate::harness::tuner::{Act, Device, error, frame, value};
use crate::harness::{Body, Setup, eventually};

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
    let closed_target = closing.target();
    drop(closing);
    let response = get(&host, &closed_target);
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
