use exporter_guest_sdk::net::NetProblem;
use exporter_guest_sdk::testing::{FakeHost, Reply, collect, take_log};

use super::*;
use crate::frame::{Frame, seal};
use crate::testing::{PRIME, value_reply};
use crate::tlv::{Tags, push, tag};

const ENDPOINT: &str = "10.0.0.9:65001";

/// What a device knows, variable by variable; a value that begins with ERROR is one.
type Variables = Vec<(&'static str, String)>;

fn prime() -> Variables {
    let idle = "tun: ch=none lock=none ss=0 snq=0 seq=0 dbg=0\nnet: pps=0 err=0 stop=9\n";
    [
        ("/sys/model", "hdhomerun3_cablecard"),
        ("/sys/hwmodel", "HDHR3-CC"),
        ("/sys/version", "20160630atest2"),
        ("/tuner0/debug", idle),
        ("/tuner1/debug", PRIME),
        ("/tuner2/debug", PRIME),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .into()
}

/// The variable that a frame asks for; panics if it does anything else.
fn asked(frame: &[u8]) -> String {
    let frame = Frame::parse(frame).unwrap();
    let tags: Vec<_> = Tags::of(frame.payload).map(Result::unwrap).collect();
    let [(tag::NAME, name)] = tags[..] else {
        panic!("a get request has a name alone: {tags:?}");
    };
    assert_eq!(frame.kind, 4);
    String::from_utf8(name.strip_suffix(b"\0").unwrap().to_vec()).unwrap()
}

fn answer(variables: &Variables, name: &str) -> Vec<u8> {
    let known = variables.iter().find(|(known, _)| *known == name);
    let text = known.map_or("ERROR: unknown getset variable", |(_, text)| text);
    if text.starts_with("ERROR") {
        let mut payload = Vec::new();
        push(&mut payload, tag::ERROR, format!("{text}\0").as_bytes());
        return seal(5, &payload);
    }
    value_reply(name, text)
}

/// A device that gives its answers through `send`.
fn host(variables: Variables, send: impl Fn(&str, Vec<u8>) -> Vec<Reply> + 'static) -> FakeHost {
    let mut host = FakeHost::default();
    host.net.serve(ENDPOINT, move |frame| {
        if frame.is_empty() {
            return Vec::new();
        }
        let name = asked(frame);
        send(&name, answer(&variables, &name))
    });
    host
}

fn whole(_: &str, reply: Vec<u8>) -> Vec<Reply> {
    vec![Reply::Bytes(reply)]
}

fn probe(host: &FakeHost) -> Result<String, Failure> {
    collect(&HdHomeRun, host, &Request::of("10.0.0.9"))
}

fn has(text: &str, series: &[&str]) {
    for series in series {
        assert!(
            text.lines().any(|line| line == *series),
            "{series} in\n{text}"
        );
    }
}

#[test]
fn a_device_becomes_the_series_of_2018_and_more() {
    let text = probe(&host(prime(), whole)).unwrap();
    has(
        &text,
        &[
            "# HELP hdhomerun_device_info Metadata about the device.",
            "# TYPE hdhomerun_device_info gauge",
            "hdhomerun_device_info{model=\"hdhomerun3_cablecard\"} 1",
            "# HELP hdhomerun_tuner_info Metadata about each of the tuners available to a device.",
            "# TYPE hdhomerun_tuner_info gauge",
            "hdhomerun_tuner_info{tuner=\"0\",channel=\"none\",lock=\"none\"} 1",
            "hdhomerun_tuner_info{tuner=\"1\",channel=\"qam:183000000\",lock=\"qam256:183000000\"} 1",
            "# HELP hdhomerun_tuner_signal_strength_ratio Television signal strength ratio for this tuner.",
            "# TYPE hdhomerun_tuner_signal_strength_ratio gauge",
            "hdhomerun_tuner_signal_strength_ratio{tuner=\"1\"} 1",
            "# HELP hdhomerun_tuner_signal_to_noise_ratio Television signal-to-noise ratio for this tuner.",
            "hdhomerun_tuner_signal_to_noise_ratio{tuner=\"1\"} 1",
            "# HELP hdhomerun_tuner_symbol_error_ratio Television symbol error ratio for this tuner.",
            "hdhomerun_tuner_symbol_error_ratio{tuner=\"0\"} 0",
            "# HELP hdhomerun_cablecard_bytes_per_second Number of bytes per second being received by the CableCARD.",
            "# TYPE hdhomerun_cablecard_bytes_per_second gauge",
            "hdhomerun_cablecard_bytes_per_second 4851340",
            "# HELP hdhomerun_cablecard_overflow Number of buffer overflows for the CableCARD.",
            "hdhomerun_cablecard_overflow 0",
            "# HELP hdhomerun_cablecard_resync Number of re-sync operations due to missing sync byte in transport stream for the CableCARD.",
            "hdhomerun_cablecard_resync 0",
            "# HELP hdhomerun_network_packets_per_second Number of packets per second being sent by the device for this tuner.",
            "hdhomerun_network_packets_per_second{tuner=\"1\"} 1192",
            "# HELP hdhomerun_network_errors Number of device network errors for this tuner.",
            "# TYPE hdhomerun_network_errors gauge",
            "hdhomerun_network_errors{tuner=\"2\"} 0",
            // Our own.
            "hdhomerun_device_hardware_info{hardware_model=\"HDHR3-CC\",firmware_version=\"20160630atest2\"} 1",
            "hdhomerun_device_tuners 3",
            "hdhomerun_tuner_query_success{tuner=\"2\"} 1",
            "hdhomerun_tuner_stage_bytes_per_second{tuner=\"1\",stage=\"dev\"} 4851340",
            "hdhomerun_tuner_stage_bytes_per_second{tuner=\"1\",stage=\"ts\"} 1564348",
            "# TYPE hdhomerun_tuner_resyncs_total counter",
            "hdhomerun_tuner_resyncs_total{tuner=\"1\",stage=\"cc\"} 0",
            "hdhomerun_tuner_transport_errors_total{tuner=\"1\"} 0",
            "hdhomerun_tuner_crc_errors_total{tuner=\"1\"} 0",
            "hdhomerun_tuner_network_errors_total{tuner=\"1\"} 0",
            "hdhomerun_tuner_stop_reason{tuner=\"0\"} 9",
            "hdhomerun_tuner_locked{tuner=\"0\"} 0",
            "hdhomerun_tuner_locked{tuner=\"1\"} 1",
            "hdhomerun_tuner_in_use{tuner=\"1\"} 1",
            "hdhomerun_tuner_skipped_tokens{tuner=\"1\"} 0",
        ],
    );
    // What a text does not say is no series, above all no 0.
    assert!(
        !text.contains("hdhomerun_tuner_transport_errors_total{tuner=\"0\"}"),
        "{text}"
    );
    assert!(
        !text.contains("hdhomerun_tuner_sequence_errors_total"),
        "{text}"
    );
}

#[test]
fn each_variable_is_asked_for_once_and_in_order() {
    let host = host(prime(), whole);
    probe(&host).unwrap();
    // The first one is the greeting's.
    let names: Vec<String> = host
        .net
        .written(ENDPOINT)
        .iter()
        .map(|frame| asked(frame))
        .collect();
    assert_eq!(
        names,
        [
            "/sys/model",
            "/sys/hwmodel",
            "/sys/version",
            "/tuner0/debug",
            "/tuner1/debug",
            "/tuner2/debug",
            "/tuner3/debug"
        ]
    );
}

#[test]
fn replies_may_come_byte_by_byte_and_be_long() {
    let plain = probe(&host(prime(), whole)).unwrap();
    let bytes = host(prime(), |_, reply| {
        reply
            .into_iter()
            .map(|byte| Reply::Bytes(vec![byte]))
            .collect()
    });
    assert_eq!(probe(&bytes), Ok(plain.clone()));
    let halves = host(prime(), |_, mut reply| {
        let rest = reply.split_off(5);
        vec![Reply::Bytes(reply), Reply::Bytes(rest)]
    });
    assert_eq!(probe(&halves), Ok(plain));

    let mut long = prime();
    // 5 kB, and as long as a frame can get.
    long[4].1.push_str(&"new: a\n".repeat(700));
    long[5].1.push_str(&" \n".repeat(16_200));
    let text = probe(&host(long, whole)).unwrap();
    has(
        &text,
        &[
            "hdhomerun_tuner_skipped_tokens{tuner=\"1\"} 700",
            "hdhomerun_tuner_skipped_tokens{tuner=\"2\"} 0",
            "hdhomerun_network_packets_per_second{tuner=\"2\"} 1192",
        ],
    );
}

#[test]
fn the_oldest_firmware_knows_less() {
    let old = vec![("/tuner0/debug", "ts: bps=8 te=1 miss=2 crc=3\n".to_owned())];
    let text = probe(&host(old, whole)).unwrap();
    has(
        &text,
        &[
            "hdhomerun_device_info{model=\"hdhomerun_atsc\"} 1",
            "hdhomerun_device_tuners 1",
            "hdhomerun_tuner_sequence_errors_total{tuner=\"0\"} 2",
            "hdhomerun_tuner_stage_bytes_per_second{tuner=\"0\",stage=\"ts\"} 1",
        ],
    );
    assert!(
        !text.contains("hardware_info") && !text.contains("tuner_info"),
        "{text}"
    );
}

#[test]
fn an_error_about_one_tuner_leaves_the_others() {
    let mut variables = prime();
    variables[4].1 = "ERROR: resource locked".to_owned();
    let text = probe(&host(variables, whole)).unwrap();
    has(
        &text,
        &[
            "hdhomerun_device_tuners 3",
            "hdhomerun_tuner_query_success{tuner=\"1\"} 0",
            "hdhomerun_tuner_query_success{tuner=\"2\"} 1",
            "hdhomerun_cablecard_bytes_per_second 4851340",
        ],
    );
    let log = take_log();
    assert!(
        log.iter()
            .any(|(_, line)| line == "the device says about /tuner1/debug: resource locked"),
        "{log:?}"
    );
}

#[test]
fn a_device_that_knows_every_tuner_is_not_asked_for_ever() {
    let mut host = FakeHost::default();
    host.net.serve(ENDPOINT, |frame| match frame {
        [] => Vec::new(),
        frame => vec![Reply::Bytes(value_reply(&asked(frame), "tun: ch=none"))],
    });
    has(&probe(&host).unwrap(), &["hdhomerun_device_tuners 32"]);
}

/// What comes in place of the answer for tuner 1.
fn failure(instead: impl Fn(Vec<u8>) -> Vec<Reply> + 'static) -> Failure {
    let host = host(prime(), move |name, reply| match name {
        "/tuner1/debug" => instead(reply),
        _ => whole(name, reply),
    });
    probe(&host).unwrap_err()
}

#[test]
fn what_cannot_be_trusted_fails_the_probe_with_a_reason() {
    let damaged = failure(|mut reply| {
        reply[9] ^= 1;
        whole("", reply)
    });
    assert!(
        matches!(&damaged, Failure::Invalid(why) if why.starts_with("10.0.0.9:65001: the answer for /tuner1/debug: the frame's CRC-32 is")),
        "{damaged}"
    );
    let too_much = failure(|mut reply| {
        reply.push(0);
        whole("", reply)
    });
    assert_eq!(
        too_much.message(),
        "10.0.0.9:65001: the answer for /tuner1/debug: the header says that the frame has 242 bytes, found 243"
    );
    // Not waited for, whatever length it gives.
    let other = failure(|_| whole("", vec![0, 7, 0xff, 0xff]));
    assert_eq!(
        other.message(),
        "10.0.0.9:65001: the answer for /tuner1/debug: expected a get/set reply (type 0x0005), found a frame of type 0x0007"
    );
    let wrong = failure(|_| whole("", value_reply("/tuner2/debug", PRIME)));
    assert!(
        wrong
            .message()
            .ends_with("expected the answer for /tuner1/debug, found one for `/tuner2/debug`"),
        "{wrong}"
    );
    let lying = failure(|_| whole("", seal(5, &[3, 0xff, 0xff, 1])));
    assert!(
        matches!(lying, Failure::Invalid(_))
            && lying
                .message()
                .contains("says that its value has 32767 bytes"),
        "{lying}"
    );
}

#[test]
fn what_does_not_come_fails_the_probe_with_a_reason() {
    let silent = failure(|_| vec![Reply::Silence]);
    assert_eq!(
        silent,
        Failure::Timeout(
            "10.0.0.9:65001: no answer for /tuner1/debug in time: nothing came".to_owned()
        )
    );
    let stalled = failure(|reply| vec![Reply::Bytes(reply[..100].to_vec()), Reply::Silence]);
    assert_eq!(
        stalled,
        Failure::Timeout(
            "10.0.0.9:65001: no answer for /tuner1/debug in time: 100 of 242 bytes came".to_owned()
        )
    );
    // Longer than the device says: waits for the rest of what the header promised.
    let promised = failure(|mut reply| {
        reply[2] = 0xff;
        vec![Reply::Bytes(reply), Reply::Silence]
    });
    assert!(
        promised.message().ends_with("242 of 65522 bytes came"),
        "{promised}"
    );
    let closed = failure(|reply| vec![Reply::Bytes(reply[..3].to_vec()), Reply::End]);
    assert_eq!(
        closed,
        Failure::Unreachable(
            "10.0.0.9:65001: the device closed the connection instead of answering for /tuner1/debug: 3 bytes came".to_owned()
        )
    );
    assert!(matches!(
        failure(|_| vec![Reply::Reset]),
        Failure::Unreachable(_)
    ));
}

#[test]
fn no_connection_no_series() {
    let mut host = FakeHost::default();
    assert!(matches!(probe(&host).unwrap_err(), Failure::Unreachable(_)));
    host.net.fail(ENDPOINT, NetProblem::Timeout);
    assert_eq!(
        probe(&host).unwrap_err(),
        Failure::Timeout("10.0.0.9:65001: could not connect in time".to_owned())
    );
    host.net.fail(
        ENDPOINT,
        NetProblem::Denied("tcp 10.0.0.9:65001 is not granted".to_owned()),
    );
    let denied = probe(&host).unwrap_err();
    assert!(
        matches!(&denied, Failure::Denied(why) if why.starts_with("10.0.0.9:65001 is not granted")),
        "{denied}"
    );
}

#[test]
fn the_target_has_to_be_there_and_to_be_one() {
    let host = FakeHost::default();
    let missing = collect(&HdHomeRun, &host, &Request::default()).unwrap_err();
    assert!(missing.message().contains("target is missing"), "{missing}");
    let odd = collect(&HdHomeRun, &host, &Request::of("http://x/")).unwrap_err();
    assert!(
        matches!(&odd, Failure::Invalid(why) if why.starts_with("target `http://x/` ")),
        "{odd}"
    );
}
