//! The label `cpu`: one series per CPU instead of their sum.

use crate::harness::maps::{number, possible_cpus};
use crate::harness::{Host, Series, labels};

const NUMBER: &str = "{name: n, size: 4, decoders: [{name: uint}]}";
const CPU: &str = "{name: cpu, size: 2, decoders: [{name: uint}]}";

/// 100, 101, ... for CPU 0, 1, ...
fn per_cpu(extra: &[(&str, &str)]) -> Series {
    (0..u32::try_from(possible_cpus()).unwrap())
        .map(|cpu| {
            let cpu_text = cpu.to_string();
            let mut all = labels(extra);
            all.insert("cpu".to_owned(), cpu_text);
            (all, f64::from(100 + cpu))
        })
        .collect()
}

#[test]
fn cpu_is_the_last_label_of_a_hash() {
    let yaml = format!(
        "metrics: {{counters: [{{name: pc_hash_total, help: Test., labels: [{NUMBER}, {CPU}]}}]}}"
    );
    let host = Host::start("maps", &yaml);
    host.map("pc_hash_total")
        .set_per_cpu(&number(7), |cpu| 100 + cpu);
    assert_eq!(
        host.series("ebpf_exporter_pc_hash_total"),
        per_cpu(&[("n", "7")])
    );
}

#[test]
fn cpu_is_the_last_label_of_an_array() {
    let yaml = format!(
        "metrics: {{counters: [{{name: pc_array_total, help: Test., labels: [{NUMBER}, {CPU}]}}]}}"
    );
    let host = Host::start("maps", &yaml);
    host.map("pc_array_total")
        .set_per_cpu(&number(3), |cpu| 100 + cpu);
    let mut found = host.series("ebpf_exporter_pc_array_total");
    found.retain(|labels, _| labels["n"] == "3");
    assert_eq!(found, per_cpu(&[("n", "3")]));
}

#[test]
fn cpu_is_the_only_label() {
    let yaml =
        format!("metrics: {{counters: [{{name: pc_single_total, help: Test., labels: [{CPU}]}}]}}");
    let host = Host::start("maps", &yaml);
    host.map("pc_single_total")
        .set_per_cpu(&number(0), |cpu| 100 + cpu);
    assert_eq!(host.series("ebpf_exporter_pc_single_total"), per_cpu(&[]));
}

#[test]
fn cpu_of_a_lru_hash() {
    let yaml = format!(
        "metrics: {{counters: [{{name: pc_lru_total, help: Test., labels: [{NUMBER}, {CPU}]}}]}}"
    );
    let host = Host::start("maps", &yaml);
    host.map("pc_lru_total")
        .set_per_cpu(&number(9), |cpu| 100 + cpu);
    assert_eq!(
        host.series("ebpf_exporter_pc_lru_total"),
        per_cpu(&[("n", "9")])
    );
}

#[test]
fn cpu_before_the_bucket_of_a_histogram() {
    let yaml = format!(
        "metrics: {{histograms: [{{name: h_percpu, help: Test., bucket_type: linear, bucket_min: 0, bucket_max: 1, labels: [{CPU}, {{name: bucket, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    );
    let host = Host::start("maps", &yaml);
    host.map("h_percpu")
        .set_per_cpu(&number(0), |cpu| 100 + cpu);
    assert_eq!(host.series("ebpf_exporter_h_percpu_count"), per_cpu(&[]));
}

#[test]
fn cpu_of_a_map_that_is_not_per_cpu_is_a_label_like_others() {
    let yaml = "metrics: {counters: [{name: k6_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}, {name: cpu, size: 2, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    host.map("k6_total").set(&[1, 0, 0, 0, 2, 0], 9);
    let wanted = [(labels(&[("n", "1"), ("cpu", "2")]), 9.0)];
    assert_eq!(host.series("ebpf_exporter_k6_total"), wanted.into());
}
