//! Every type of histogram: bounds, cumulation, count and sum.

use crate::harness::maps::{number, pair};
use crate::harness::parser::Labels;
use crate::harness::{Host, labels};

const BUCKET: &str = "{name: bucket, size: 4, decoders: [{name: uint}]}";

/// A host with one histogram on a map: its shape as YAML, and the labels before the bucket.
fn histogram(map: &str, shape: &str, before: &str) -> Host {
    let yaml = format!(
        "metrics: {{histograms: [{{name: {map}, help: Test., {shape}, labels: [{before}{BUCKET}]}}]}}"
    );
    Host::start("maps", &yaml)
}

fn with(mut labels: Labels, name: &str, value: &str) -> Labels {
    labels.insert(name.to_owned(), value.to_owned());
    labels
}

/// What the histogram with these labels is, in both formats: cumulated buckets, in order, and the
/// sum. The last bucket is +Inf.
fn expect(host: &Host, map: &str, base: &[(&str, &str)], buckets: &[(&str, f64)], sum: f64) {
    let count = buckets.last().unwrap().1;
    let name = format!("ebpf_exporter_{map}");
    let bucket_series: Vec<_> = host
        .series(&format!("{name}_bucket"))
        .into_iter()
        .filter(|(have, _)| base.iter().all(|(n, v)| have[*n] == *v))
        .collect();
    let mut wanted: Vec<_> = buckets
        .iter()
        .map(|(le, value)| (with(labels(base), "le", le), *value))
        .collect();
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(bucket_series, wanted);
    assert_eq!(host.series(&format!("{name}_count"))[&labels(base)], count);
    assert_eq!(host.series(&format!("{name}_sum"))[&labels(base)], sum);
    assert_eq!(host.text().family(&name).unwrap().kind, "histogram");
}

#[test]
fn exp2() {
    let host = histogram("h4", "bucket_type: exp2, bucket_min: 0, bucket_max: 3", "");
    let map = host.map("h4");
    for (bucket, count) in [(0, 1), (1, 2), (3, 4), (4, 30)] {
        map.set(&number(bucket), count);
    }
    expect(
        &host,
        "h4",
        &[],
        &[("1", 1.0), ("2", 3.0), ("4", 3.0), ("8", 7.0), ("inf", 7.0)],
        30.0,
    );
}

#[test]
fn exp2_with_multiplier() {
    let host = histogram(
        "h4",
        "bucket_type: exp2, bucket_min: 1, bucket_max: 3, bucket_multiplier: 0.001",
        "",
    );
    let map = host.map("h4");
    for (bucket, count) in [(1, 2), (2, 1), (4, 9)] {
        map.set(&number(bucket), count);
    }
    let buckets = [("0.002", 2.0), ("0.004", 3.0), ("0.008", 3.0), ("inf", 3.0)];
    expect(&host, "h4", &[], &buckets, 9.0 * 0.001);
}

#[test]
fn exp2zero() {
    let host = histogram(
        "h4",
        "bucket_type: exp2zero, bucket_min: 0, bucket_max: 3",
        "",
    );
    let map = host.map("h4");
    for (bucket, count) in [(0, 5), (1, 1), (3, 2), (4, 11)] {
        map.set(&number(bucket), count);
    }
    expect(
        &host,
        "h4",
        &[],
        &[("0", 5.0), ("1", 6.0), ("2", 6.0), ("4", 8.0), ("inf", 8.0)],
        11.0,
    );
}

#[test]
fn linear() {
    let host = histogram(
        "h4",
        "bucket_type: linear, bucket_min: 1, bucket_max: 3, bucket_multiplier: 0.1",
        "",
    );
    let map = host.map("h4");
    for (bucket, count) in [(1, 1), (2, 2), (3, 3), (4, 50)] {
        map.set(&number(bucket), count);
    }
    // 3 * 0.1 as doubles.
    let buckets = [
        ("0.1", 1.0),
        ("0.2", 3.0),
        ("0.30000000000000004", 6.0),
        ("inf", 6.0),
    ];
    expect(&host, "h4", &[], &buckets, 5.0);
}

#[test]
fn fixed() {
    let host = histogram("h4", "bucket_type: fixed, bucket_keys: [5, 10, 100]", "");
    let map = host.map("h4");
    for (bucket, count) in [(5, 1), (10, 2), (100, 3), (101, 77)] {
        map.set(&number(bucket), count);
    }
    expect(
        &host,
        "h4",
        &[],
        &[("5", 1.0), ("10", 3.0), ("100", 6.0), ("inf", 6.0)],
        77.0,
    );
}

#[test]
fn labels_before_the_bucket_make_one_histogram_each() {
    let host = histogram(
        "h8",
        "bucket_type: exp2, bucket_min: 0, bucket_max: 1",
        "{name: device, size: 4, decoders: [{name: uint}]}, ",
    );
    let map = host.map("h8");
    for (device, bucket, count) in [(1, 0, 1), (1, 1, 2), (1, 2, 5), (2, 1, 7)] {
        map.set(&pair(device, bucket), count);
    }
    expect(
        &host,
        "h8",
        &[("device", "1")],
        &[("1", 1.0), ("2", 3.0), ("inf", 3.0)],
        5.0,
    );
    expect(
        &host,
        "h8",
        &[("device", "2")],
        &[("1", 0.0), ("2", 7.0), ("inf", 7.0)],
        0.0,
    );
}

#[test]
fn a_bucket_that_is_no_number_spoils_nothing_else() {
    let yaml = "metrics: {histograms: [{name: h8, help: Test., bucket_type: exp2, bucket_min: 0, bucket_max: 1, labels: [\
        {name: device, size: 4, decoders: [{name: uint}]},\
        {name: bucket, size: 4, decoders: [{name: string}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("h8");
    map.set(b"\x01\0\0\x000\0\0\0", 4);
    map.set(b"\x01\0\0\0one\0", 100);
    expect(
        &host,
        "h8",
        &[("device", "1")],
        &[("1", 4.0), ("2", 4.0), ("inf", 4.0)],
        0.0,
    );
}

#[test]
fn an_array_is_a_histogram_of_all_its_buckets() {
    let host = histogram(
        "h_array",
        "bucket_type: exp2, bucket_min: 0, bucket_max: 6",
        "",
    );
    let map = host.map("h_array");
    map.set(&number(6), 3);
    map.set(&number(7), 190);
    let mut buckets = vec![];
    for le in ["1", "2", "4", "8", "16", "32"] {
        buckets.push((le, 0.0));
    }
    buckets.extend([("64", 3.0), ("inf", 3.0)]);
    expect(&host, "h_array", &[], &buckets, 190.0);
}

#[test]
fn per_cpu_buckets_are_summed() {
    let host = histogram(
        "h_percpu",
        "bucket_type: linear, bucket_min: 0, bucket_max: 1",
        "",
    );
    let map = host.map("h_percpu");
    map.set_per_cpu(&number(1), |cpu| cpu + 1);
    map.set_per_cpu(&number(2), |_| 10);
    let cpus = crate::harness::maps::possible_cpus();
    let total = f64::from(u32::try_from((1..=cpus).sum::<u64>()).unwrap());
    let sum = f64::from(u32::try_from(cpus * 10).unwrap());
    expect(
        &host,
        "h_percpu",
        &[],
        &[("0", 0.0), ("1", total), ("inf", total)],
        sum,
    );
}

#[test]
fn an_empty_map_is_no_histogram() {
    let host = histogram("h4", "bucket_type: exp2, bucket_min: 0, bucket_max: 3", "");
    assert!(host.text().family("ebpf_exporter_h4").is_none());
}
