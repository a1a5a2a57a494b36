//! What the YAML may say beyond ebpf_exporter's, and which units are loaded.

use crate::harness::maps::number;
use crate::harness::{Host, Setup, labels, names, series};

const COUNTER: &str = "metrics: {counters: [{name: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

#[test]
fn gauges() {
    let host = Host::start(
        "maps",
        "metrics: {gauges: [{name: level, help: A level., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}",
    );
    host.map("level").set(&number(1), 5);
    assert_eq!(
        host.series("ebpf_exporter_level"),
        series("n", &[("1", 5.0)])
    );
    assert_eq!(
        host.text().family("ebpf_exporter_level").unwrap().kind,
        "gauge"
    );
    host.map("level").set(&number(1), 3);
    assert_eq!(
        host.series("ebpf_exporter_level"),
        series("n", &[("1", 3.0)])
    );
}

#[test]
fn a_namespace_of_ones_own() {
    let host = Host::start("maps", &format!("namespace: node\n{COUNTER}"));
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(host.series("node_hash_total"), series("n", &[("1", 5.0)]));
    assert!(host.series("ebpf_exporter_hash_total").is_empty());
}

#[test]
fn no_namespace() {
    let host = Host::start("maps", &format!("namespace: \"\"\n{COUNTER}"));
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(host.series("hash_total"), series("n", &[("1", 5.0)]));
}

#[test]
fn another_object_and_another_map() {
    let yaml = "object: elsewhere.o\n\
        metrics: {counters: [{name: nice_name_total, map: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let object = std::fs::read(crate::harness::objects::object("maps")).unwrap();
    let host = Setup::new()
        .file("elsewhere.o", object)
        .file("unit.yaml", yaml)
        .start();
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(
        host.series("ebpf_exporter_nice_name_total"),
        series("n", &[("1", 5.0)])
    );
}

#[test]
fn several_metrics_of_one_map() {
    let yaml = "metrics: {counters: [\
        {name: by_number_total, map: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]},\
        {name: by_bytes_total, map: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: hex}]}]}]}";
    let host = Host::start("maps", yaml);
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(
        host.series("ebpf_exporter_by_number_total"),
        series("n", &[("1", 5.0)])
    );
    let bytes = if cfg!(target_endian = "little") {
        "01000000"
    } else {
        "00000001"
    };
    assert_eq!(
        host.series("ebpf_exporter_by_bytes_total"),
        series("n", &[(bytes, 5.0)])
    );
}

#[test]
fn all_units_of_the_directory_unless_some_are_named() {
    let setup = || {
        Setup::new()
            .unit("first", "maps", COUNTER)
            .unit("deep/second", "maps", COUNTER)
            .unit("third", "maps", COUNTER)
    };
    let units = |host: &Host| -> Vec<String> {
        host.text()
            .series(names::ENABLED_CONFIGS)
            .into_keys()
            .map(|labels| labels["name"].clone())
            .collect()
    };
    assert_eq!(units(&setup().start()), ["deep/second", "first", "third"]);
    assert_eq!(
        units(&setup().argument("--config.names=third,deep/second").start()),
        ["deep/second", "third"]
    );
}

#[test]
fn yml_is_yaml() {
    let object = std::fs::read(crate::harness::objects::object("maps")).unwrap();
    let host = Setup::new()
        .file("short.bpf.o", object)
        .file("short.yml", COUNTER)
        .start();
    assert_eq!(
        host.series(names::ENABLED_CONFIGS)[&labels(&[("name", "short")])],
        1.0
    );
}

#[test]
fn yaml_of_1_1_and_unknown_keys_are_taken() {
    let yaml = "unknown_key: 1\nmetrics: {counters: [{name: hash_total, help: Test., perf_event_array: no, labels: [\
        {name: n, size: 4, decoders: [{name: uint}, {name: static_map, allow_unknown: yes, static_map: {1: one}}]}]}]}\n";
    let host = Host::start("maps", yaml);
    host.map("hash_total").set(&number(2), 5);
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("n", &[("2", 5.0)])
    );
    crate::harness::host::assert_says(&host.log(), &["unit.yaml", "unknown_key"]);
}

#[test]
fn labels_of_the_whole_unit() {
    let yaml = "config_labels: {team: \"a \\\"b\\\"\", n2: 1}\nmetrics:\n  \
        counters:\n  - {name: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}\n  \
        - {name: single_total, help: Test.}\n  \
        histograms: [{name: h4, help: Test., bucket_type: linear, bucket_max: 1, labels: [{name: bucket, size: 4, decoders: [{name: uint}]}]}]\n";
    let host = Host::start("maps", yaml);
    host.map("hash_total").set(&number(1), 5);
    host.map("single_total").set(&number(0), 6);
    host.map("h4").set(&number(1), 7);
    let own = [("n2", "1"), ("team", "a \"b\"")];
    let of = |more: &[(&str, &str)]| labels(&[&own[..], more].concat());
    assert_eq!(
        host.series("ebpf_exporter_hash_total")[&of(&[("n", "1")])],
        5.0
    );
    assert_eq!(host.series("ebpf_exporter_single_total")[&of(&[])], 6.0);
    let body = host.text();
    let bucket = [&own[..], &[("le", "1")]].concat();
    assert_eq!(body.value("ebpf_exporter_h4_bucket", &bucket), Some(7.0));
    // The host's own series have nothing to do with it.
    assert_eq!(
        host.series(names::ENABLED_CONFIGS)[&labels(&[("name", "unit")])],
        1.0
    );
}
