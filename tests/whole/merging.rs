//! Rows that turn out to have the same labels become one series, and others don't.

use crate::harness::maps::{number, pair};
use crate::harness::{Host, Setup, labels, series};

#[test]
fn rows_with_equal_labels_are_summed() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [\
        {name: uint}, {name: static_map, static_map: {1: same, 2: same, 3: other}}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("k4_total");
    for (key, value) in [(1, 10), (2, 20), (3, 5)] {
        map.set(&number(key), value);
    }
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("same", 30.0), ("other", 5.0)])
    );
    map.set(&number(2), 21);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("same", 31.0), ("other", 5.0)])
    );
    map.delete(&number(1));
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("same", 31.0), ("other", 5.0)]),
        "with what the removed key had"
    );
}

#[test]
fn sums_are_exact() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [\
        {name: uint}, {name: static_map, static_map: {1: same, 2: same}}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("k4_total");
    map.set(&number(1), 1 << 53);
    map.set(&number(2), 1);
    let body = host.fetch(crate::harness::parser::Format::Text);
    assert!(
        body.contains("ebpf_exporter_k4_total{it=\"same\"} 9007199254740993\n"),
        "{body}"
    );
}

#[test]
fn histograms_with_equal_labels_are_summed() {
    let yaml = "metrics: {histograms: [{name: h8, help: Test., bucket_type: linear, bucket_min: 0, bucket_max: 1, labels: [\
        {name: it, size: 4, decoders: [{name: uint}, {name: static_map, static_map: {1: same, 2: same}}]},\
        {name: bucket, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("h8");
    for (key, bucket, value) in [(1, 0, 1), (2, 0, 2), (2, 1, 4), (1, 2, 8), (2, 2, 16)] {
        map.set(&pair(key, bucket), value);
    }
    let same = labels(&[("it", "same")]);
    assert_eq!(host.series("ebpf_exporter_h8_count")[&same], 7.0);
    assert_eq!(host.series("ebpf_exporter_h8_sum")[&same], 24.0);
    let buckets = host.series("ebpf_exporter_h8_bucket");
    assert_eq!(buckets[&labels(&[("it", "same"), ("le", "0")])], 3.0);
}

#[test]
fn labels_are_not_glued_together() {
    let yaml = "metrics: {counters: [{name: k8_total, help: Test., labels: [\
        {name: a, size: 4, decoders: [{name: string}]}, {name: b, size: 4, decoders: [{name: string}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("k8_total");
    map.set(b"a|b\0c\0\0\0", 1);
    map.set(b"a\0\0\0b|c\0", 2);
    let wanted = [
        (labels(&[("a", "a|b"), ("b", "c")]), 1.0),
        (labels(&[("a", "a"), ("b", "b|c")]), 2.0),
    ];
    assert_eq!(host.series("ebpf_exporter_k8_total"), wanted.into());
}

#[test]
fn repaired_labels_that_coincide_are_summed() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: string}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("k4_total");
    map.set(b"\xff\0\0\0", 1);
    map.set(b"\xfe\0\0\0", 2);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("\u{fffd}", 3.0)])
    );
}

#[test]
fn two_units_with_the_same_series_leave_the_scrape_whole() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Setup::new()
        .unit("first", "maps", yaml)
        .unit("second", "maps", yaml)
        .start();
    // The process has two maps of this name; whichever this is.
    let map = host.map("k4_total");
    map.set(&number(1), 3);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("it", &[("1", 3.0)])
    );
}

#[test]
fn the_same_metric_of_two_units_is_one_family() {
    let yaml = |label: &str| {
        format!(
            "metrics: {{counters: [{{name: events_total, help: Test., labels: [{{name: command, size: 16, decoders: [{{name: string}}, {{name: static_map, static_map: {{merging: {label}}}}}]}}, {{name: argument, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
        )
    };
    let host = Setup::new()
        .unit("first", "events", &yaml("one"))
        .unit("second", "events", &yaml("two"))
        .start();
    crate::harness::sys::set_command(b"merging");
    crate::harness::event::watch_me(&host);
    crate::harness::event::fire(4, 2);
    let wanted = [
        (labels(&[("command", "one"), ("argument", "4")]), 2.0),
        (labels(&[("command", "two"), ("argument", "4")]), 2.0),
    ];
    assert_eq!(host.series("ebpf_exporter_events_total"), wanted.into());
}
