//! Labels that leave places, sizes and decoders to the types of the object's BTF.

use crate::harness::host::assert_says;
use crate::harness::maps::possible_cpus;
use crate::harness::{Host, Setup, labels, series};

/// As the compiler lays it out: command, port, 2 bytes, direction, priority, peer.kind,
/// peer.address, 3 bytes.
fn flow(command: &str, port: u16, direction: i32, priority: i32, kind: u8) -> Vec<u8> {
    let mut key = command.as_bytes().to_vec();
    key.resize(16, 0);
    key.extend(port.to_ne_bytes());
    key.extend([0; 2]);
    key.extend(direction.to_ne_bytes());
    key.extend(priority.to_ne_bytes());
    key.extend([kind, 10, 0, 0, 1]);
    key.resize(36, 0);
    key
}

fn counter(labels: &str) -> String {
    format!("metrics: {{counters: [{{name: flows_total, help: Test., labels: [{labels}]}}]}}")
}

#[test]
fn every_type_has_its_text() {
    // In another order than the members.
    let host = Host::start(
        "values",
        &counter(
            "{name: priority}, {name: command}, {name: direction}, {name: port}, {name: kind, member: peer.kind}, \
             {name: peer, member: peer.address, decoders: [{name: inet_ip}]}",
        ),
    );
    let map = host.map("flows_total");
    map.set(&flow("bash", 65_535, 7, -5, 200), 1);
    map.set(&flow("sh", 1, -2, i32::MAX, 0), 2);
    map.set(&flow("sh", 1, 3, 0, 0), 3);
    let found = host.series("ebpf_exporter_flows_total");
    let of = |command, direction, kind, port, priority| {
        labels(&[
            ("command", command),
            ("direction", direction),
            ("kind", kind),
            ("peer", "10.0.0.1"),
            ("port", port),
            ("priority", priority),
        ])
    };
    assert_eq!(found.len(), 3);
    assert_eq!(found[&of("bash", "OUT", "200", "65535", "-5")], 1.0);
    assert_eq!(found[&of("sh", "ODD", "0", "1", "2147483647")], 2.0);
    // No name is 3.
    assert_eq!(found[&of("sh", "3", "0", "1", "0")], 3.0);
}

#[test]
fn members_without_a_label_are_added_up() {
    let host = Host::start("values", &counter("{name: to, member: direction}"));
    let map = host.map("flows_total");
    map.set(&flow("bash", 1, 7, 0, 0), 1);
    map.set(&flow("sh", 2, 7, 0, 0), 2);
    map.set(&flow("sh", 3, 0, 0, 0), 4);
    assert_eq!(
        host.series("ebpf_exporter_flows_total"),
        series("to", &[("IN", 4.0), ("OUT", 3.0)])
    );
}

#[test]
fn a_plain_key_makes_one_label_beside_the_cpu() {
    let host = Host::start(
        "values",
        "metrics: {counters: [{name: signed_total, help: Test., labels: [{name: number}, {name: cpu}]}]}",
    );
    host.map("signed_total")
        .set_per_cpu(&(-7_i64).to_ne_bytes(), |cpu| cpu + 1);
    let found = host.series("ebpf_exporter_signed_total");
    assert_eq!(found.len() as u64, possible_cpus());
    assert_eq!(found[&labels(&[("cpu", "0"), ("number", "-7")])], 1.0);

    let host = Host::start(
        "values",
        "metrics: {counters: [{name: signed_total, help: Test., labels: [{name: number}]}]}",
    );
    host.map("signed_total")
        .set_per_cpu(&3_i64.to_ne_bytes(), |_| 2);
    assert_eq!(
        host.series("ebpf_exporter_signed_total"),
        series("number", &[("3", 2.0 * possible_cpus() as f64)])
    );
}

#[test]
fn what_does_not_fit_is_found_without_a_kernel() {
    let list: String = [
        "name: a, map: flows_total, help: h, labels: [{name: comand}]",
        "name: b, map: flows_total, help: h, labels: [{name: port, size: 4}]",
        "name: c, map: flows_total, help: h, labels: [{name: peer}]",
        "name: d, map: flows_total, help: h, labels: [{name: x, member: peer.address}]",
        "name: e, map: signed_total, help: h, labels: [{name: x, member: y}]",
        "name: f, map: untyped, value: {offset: 0}, help: h, labels: [{name: x}]",
        "name: g, map: signed_total, help: h, labels: [{name: x}, {name: y}]",
    ]
    .iter()
    .map(|metric| format!("  - {{{metric}}}\n"))
    .collect();
    let setup = Setup::new().unit("unit", "values", &format!("metrics:\n  counters:\n{list}"));
    let checked = Setup::verb(&["check", setup.path().to_str().unwrap()]).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    for (position, words) in [
        (
            "3:51",
            "the label `comand`: the key of map `flows_total` has no member `comand`, did you mean `command`?",
        ),
        (
            "4:51",
            "the label `port` has 2 bytes in the key of map `flows_total`, its `size` is 4: leave it out",
        ),
        (
            "5:51",
            "the label `peer` needs `decoders`: it is a struct with `kind`, `address`, which can mean anything",
        ),
        (
            "6:51",
            "the label `x` needs `decoders`: it is an array of 4, which can mean anything",
        ),
        (
            "7:52",
            "the key of map `signed_total` is a signed integer of 8 bytes, without members: it makes one label, which needs no `member`",
        ),
        (
            "8:67",
            "the label `x` needs a `size` and `decoders`: the object does not say",
        ),
        ("9:52", "it makes one label"),
        ("9:63", "it makes one label"),
    ] {
        assert_says(
            &checked.stdout,
            &[&format!("unit.yaml:{position}: error: metric `"), words],
        );
    }
    // Samples have no type at all.
    let samples = Setup::new().unit(
        "unit",
        "values",
        "metrics: {counters: [{name: c, help: h, perf_event_array: true, labels: [{name: x, size: 4}]}]}",
    );
    let checked = Setup::verb(&["check", samples.path().to_str().unwrap()]).run();
    assert_says(
        &checked.stdout,
        &["unit.yaml:1:74: error: the label `x` needs a `size` and `decoders`"],
    );
}
