//! Every type of map, and how keys are cut into labels.

use crate::harness::maps::{number, pair, possible_cpus};
use crate::harness::parser::Format;
use crate::harness::{Host, labels, names, series};

fn counter(map: &str) -> Host {
    let yaml = format!(
        "metrics: {{counters: [{{name: {map}, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    );
    Host::start("maps", &yaml)
}

fn counts(map: &str) {
    let host = counter(map);
    let entries = host.map(map);
    entries.set(&number(1), 10);
    entries.set(&number(3), 30);
    let name = format!("ebpf_exporter_{map}");
    // An array has all its entries, always.
    let wanted = if map.starts_with("array") || map.starts_with("mmaped") {
        series("n", &[("0", 0.0), ("1", 10.0), ("2", 0.0), ("3", 30.0)])
    } else {
        series("n", &[("1", 10.0), ("3", 30.0)])
    };
    assert_eq!(host.series(&name), wanted);
    entries.set(&number(1), 11);
    assert_eq!(
        host.text().value(&name, &[("n", "1")]),
        Some(11.0),
        "the next scrape sees the next value"
    );
    let body = host.text();
    let family = body.family(name.trim_end_matches("_total")).unwrap();
    assert_eq!(
        (family.kind.as_str(), family.help.as_str()),
        ("counter", "Test.")
    );
}

/// Values are added up over the CPUs.
fn counts_per_cpu(map: &str) {
    let host = counter(map);
    host.map(map).set_per_cpu(&number(2), |cpu| 100 + cpu);
    let total: u64 = (0..possible_cpus()).map(|cpu| 100 + cpu).sum();
    let value = host.series(&format!("ebpf_exporter_{map}"))[&labels(&[("n", "2")])];
    assert_eq!(value, f64::from(u32::try_from(total).unwrap()));
}

#[test]
fn hash() {
    counts("hash_total");
}

#[test]
fn lru_hash() {
    counts("lru_total");
}

#[test]
fn array() {
    counts("array_total");
}

#[test]
fn array_that_can_be_mapped() {
    counts("mmaped_total");
}

#[test]
fn per_cpu_hash() {
    counts_per_cpu("pc_hash_total");
}

#[test]
fn per_cpu_lru_hash() {
    counts_per_cpu("pc_lru_total");
}

#[test]
fn per_cpu_array() {
    counts_per_cpu("pc_array_total");
}

#[test]
fn an_empty_map_is_no_family() {
    let host = counter("hash_total");
    assert!(host.text().family("ebpf_exporter_hash").is_none());
    assert!(host.open_metrics().family("ebpf_exporter_hash").is_none());
}

#[test]
fn a_deleted_entry_is_gone() {
    let host = counter("hash_total");
    let map = host.map("hash_total");
    map.set(&number(1), 1);
    map.set(&number(2), 2);
    assert_eq!(host.series("ebpf_exporter_hash_total").len(), 2);
    map.delete(&number(1));
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("n", &[("2", 2.0)])
    );
}

#[test]
fn counters_without_labels() {
    let yaml = "metrics: {counters: [{name: single_total, help: One.}, {name: pc_single_total, help: One per CPU.}, {name: hash_total, help: One of a hash.}]}";
    let host = Host::start("maps", yaml);
    host.map("single_total").set(&number(0), 5);
    host.map("pc_single_total").set_per_cpu(&number(0), |_| 2);
    host.map("hash_total").set(&number(0), 7);
    let cpus = f64::from(u32::try_from(possible_cpus()).unwrap());
    for (name, value) in [
        ("single_total", 5.0),
        ("pc_single_total", 2.0 * cpus),
        ("hash_total", 7.0),
    ] {
        let series = host.series(&format!("ebpf_exporter_{name}"));
        assert_eq!(
            series.into_iter().collect::<Vec<_>>(),
            [(labels(&[]), value)],
            "{name}"
        );
    }
    // Only the zero key is a series without labels.
    host.map("hash_total").set(&number(1), 100);
    assert_eq!(
        host.text().value("ebpf_exporter_hash_total", &[]),
        Some(7.0)
    );
    let errors = host
        .text()
        .value(names::DECODER_ERRORS, &[("config", "unit")]);
    assert!(errors.is_some_and(|errors| errors > 0.0), "{errors:?}");
}

#[test]
fn padding_is_skipped() {
    let yaml = "metrics: {counters: [{name: k8_total, help: Test., labels: [\
        {name: a, size: 1, padding: 3, decoders: [{name: uint}]},\
        {name: b, size: 2, padding: 2, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("k8_total");
    map.set(&[1, 0, 0, 0, 2, 0, 0, 0], 1);
    // What is in the padding makes no other series.
    map.set(&[1, 9, 9, 9, 2, 0, 0, 0], 10);
    map.set(&[1, 0, 0, 0, 3, 0, 8, 8], 100);
    let wanted = [
        (labels(&[("a", "1"), ("b", "2")]), 11.0),
        (labels(&[("a", "1"), ("b", "3")]), 100.0),
    ];
    assert_eq!(host.series("ebpf_exporter_k8_total"), wanted.into());
}

#[test]
fn values_are_exact() {
    let host = counter("hash_total");
    let map = host.map("hash_total");
    map.set(&number(1), u64::MAX);
    map.set(&number(2), (1 << 53) + 1);
    map.set(&number(3), 1_000_000);
    let body = host.fetch(Format::Text);
    for line in [
        "ebpf_exporter_hash_total{n=\"1\"} 18446744073709551615",
        "ebpf_exporter_hash_total{n=\"2\"} 9007199254740993",
        // As Go writes it.
        "ebpf_exporter_hash_total{n=\"3\"} 1e+06",
    ] {
        assert!(body.lines().any(|l| l == line), "{line}\n{body}");
    }
}

#[test]
fn a_counter_without_total_keeps_its_name() {
    let yaml = "metrics: {counters: [{name: plain, help: Test.}]}";
    let host = Host::start("maps", yaml);
    host.map("plain").set(&number(0), 3);
    // Python's parser of this format gives counters without _total one.
    let text = host.fetch(Format::Text);
    for line in [
        "# TYPE ebpf_exporter_plain counter",
        "ebpf_exporter_plain 3",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    // OpenMetrics has no counters of such a name.
    let open = host.open_metrics();
    assert_eq!(open.value("ebpf_exporter_plain", &[]), Some(3.0));
    assert_eq!(open.family("ebpf_exporter_plain").unwrap().kind, "unknown");
}

#[test]
fn two_labels_in_a_key() {
    let yaml = "metrics: {counters: [{name: k8_total, help: Test., labels: [\
        {name: z, size: 4, decoders: [{name: uint}]}, {name: a, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    host.map("k8_total").set(&pair(1, 2), 3);
    assert_eq!(
        host.series("ebpf_exporter_k8_total")[&labels(&[("z", "1"), ("a", "2")])],
        3.0
    );
}
