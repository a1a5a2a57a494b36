//! Every type of histogram: bounds, cumulation, count and sum.

use crate::harness::host::assert_says;
use crate::harness::maps::{number, pair};
use crate::harness::parser::Labels;
use crate::harness::{Host, Setup, labels};

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
    // Not the product of doubles, 0.009000000000000001.
    expect(&host, "h4", &[], &buckets, 0.009);
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

/// A program that counts to 26, with the sum at 27, under a YAML that ends at 10.
#[test]
fn keys_that_are_out_of_range_are_counted_and_warned_of_once() {
    let host = histogram("h4", "bucket_type: exp2, bucket_min: 0, bucket_max: 10", "");
    let map = host.map("h4");
    for bucket in 0..=26 {
        map.set(&number(bucket), 5);
    }
    map.set(&number(27), 1 << 30);
    let out_of_range = |host: &Host| {
        host.text().value(
            "exporter_host_histogram_keys_out_of_range_total",
            &[("config", "unit"), ("metric", "h4")],
        )
    };
    // 12 to 27; counted in one scrape, told in the next. 11 is served as the sum.
    host.text();
    for _ in 0..3 {
        assert_eq!(out_of_range(&host), Some(16.0));
    }
    let log = host.log();
    assert_says(
        &log,
        &["unit", "metric h4", "the bucket 27", "`bucket_max` 10"],
    );
    assert_says(&log, &["unit", "metric h4", "the sum of {}", "the key 11"]);
    for once in ["the bucket 27", "the key 11"] {
        assert_eq!(log.matches(once).count(), 1, "{once}:\n{log}");
    }
}

#[test]
fn histograms_that_fit_are_not_warned_of() {
    let host = histogram("h4", "bucket_type: exp2, bucket_min: 0, bucket_max: 10", "");
    let map = host.map("h4");
    for bucket in 0..=10 {
        map.set(&number(bucket), 5);
    }
    // As small as it may be: each value just above its bucket's lower bound.
    map.set(
        &number(11),
        5 * (1..=10).map(|bucket| 1 << (bucket - 1)).sum::<u64>(),
    );
    for _ in 0..6 {
        let body = host.text();
        assert!(
            body.series("exporter_host_histogram_keys_out_of_range_total")
                .is_empty()
        );
    }
    assert!(!host.log().contains("metric h4"), "{}", host.log());
}

#[test]
fn labels_behind_the_bucket_are_warned_of_by_check() {
    let labels = |labels: &[&str]| {
        let labels = labels
            .iter()
            .map(|name| format!("{{name: {name}, size: 2, decoders: [{{name: uint}}]}}"));
        let labels: Vec<String> = labels.collect();
        format!(
            "metrics: {{histograms: [{{name: h4, help: Test., bucket_type: exp2, bucket_max: 3, labels: [{}]}}]}}",
            labels.join(", ")
        )
    };
    for (names, words) in [
        (
            &["bucket", "kind"][..],
            Some(
                "the label `bucket` is not the last one: the last label of a histogram is its bucket, which is `kind` here",
            ),
        ),
        (
            &["slot", "cpu"],
            Some("the label `cpu` stands last, so it is taken for the histogram's bucket"),
        ),
        (&["cpu", "bucket"], None),
    ] {
        let setup = Setup::new().unit("unit", "maps", &labels(names));
        let checked = Setup::verb(&["check", setup.path().to_str().unwrap()]).run();
        let warnings = checked
            .stdout
            .lines()
            .filter(|line| line.contains("warning:"));
        match words {
            Some(words) => assert_says(&checked.stdout, &["unit.yaml", "warning: ", words]),
            None => assert_eq!(warnings.count(), 0, "{}", checked.stdout),
        }
    }
}
