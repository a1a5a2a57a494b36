//! `value`: metrics of the members of a struct, by the object's BTF or by their places.

use std::fs;

use crate::harness::host::assert_says;
use crate::harness::maps::{number, possible_cpus};
use crate::harness::{Host, Setup, http, series};

const LABELS: &str = "labels: [{name: n, size: 4, decoders: [{name: uint}]}]";

/// As the compiler lays it out: requests, in.bytes, in.balance, open, seconds, narrow and flags.
fn traffic(requests: u64, bytes: u64, balance: i32, open: u32, seconds: f64) -> Vec<u8> {
    let mut value = requests.to_ne_bytes().to_vec();
    value.extend(bytes.to_ne_bytes());
    value.extend(balance.to_ne_bytes());
    // To the end of `in`.
    value.extend([0; 4]);
    value.extend(open.to_ne_bytes());
    value.extend([0; 4]);
    value.extend(seconds.to_ne_bytes());
    value.extend([0xff; 8]);
    value
}

fn counter(name: &str, map: &str, value: &str) -> String {
    format!("{{name: {name}, map: {map}, help: Test., value: {value}, {LABELS}}}")
}

fn members(map: &str) -> String {
    let of = |name: &str, value: &str| counter(name, map, value);
    format!(
        "metrics:\n  counters: [{}, {}, {}]\n  gauges: [{}, {}, {}]\n",
        of("requests_total", "requests"),
        of("bytes_total", "in.bytes"),
        of("seconds_total", "{member: seconds, scale: 0.5}"),
        of("balance", "in.balance"),
        of("open", "open"),
        of("by_place", "{offset: 16, type: s32, scale: 10}"),
    )
}

#[test]
fn several_metrics_of_one_map() {
    let host = Host::start("values", &members("traffic"));
    let map = host.map("traffic");
    map.put(&number(1), &traffic(u64::MAX, 20, -3, 4, 2.5));
    map.put(&number(2), &traffic(1, 2, 3, u32::MAX, 0.25));
    for (name, one, two) in [
        ("requests_total", u64::MAX as f64, 1.0),
        ("bytes_total", 20.0, 2.0),
        ("seconds_total", 1.25, 0.125),
        ("balance", -3.0, 3.0),
        ("open", 4.0, u32::MAX as f64),
        ("by_place", -30.0, 30.0),
    ] {
        assert_eq!(
            host.series(&format!("ebpf_exporter_{name}")),
            series("n", &[("1", one), ("2", two)]),
            "{name}"
        );
    }
    // Exactly, where nothing is scaled.
    let text = host.fetch(crate::harness::parser::Format::OpenMetrics);
    assert!(
        text.contains("ebpf_exporter_requests_total{n=\"1\"} 18446744073709551615\n"),
        "{text}"
    );
}

#[test]
fn members_are_summed_over_cpus() {
    let host = Host::start("values", &members("traffic_percpu"));
    let values: Vec<Vec<u8>> = (0..possible_cpus())
        .map(|cpu| traffic(cpu + 1, 10, -1, 2, 1.0))
        .collect();
    host.map("traffic_percpu").put_per_cpu(&number(1), &values);
    let cpus = possible_cpus() as f64;
    for (name, value) in [
        ("requests_total", cpus * (cpus + 1.0) / 2.0),
        ("bytes_total", 10.0 * cpus),
        ("balance", -cpus),
        ("seconds_total", 0.5 * cpus),
    ] {
        let found = host.series(&format!("ebpf_exporter_{name}"));
        assert_eq!(found, series("n", &[("1", value)]), "{name}");
    }
}

/// The point is moved, where a power of ten does it; sums are scaled once.
#[test]
fn numbers_are_scaled_exactly() {
    let of = |name: &str, value: &str| counter(name, "traffic", value);
    let yaml = format!(
        "metrics:\n  counters: [{}, {}, {}]\n  gauges: [{}]\n  histograms: [{{name: waits, map: traffic, help: Test., value: requests, \
         bucket_type: linear, bucket_max: 1, bucket_multiplier: 1e-9, labels: [{{name: bucket, size: 4, decoders: [{{name: uint}}]}}]}}]\n",
        of("seconds_total", "{member: requests, scale: 1e-9}"),
        of("written_total", "{member: in.bytes, scale: 512}"),
        of("sum_total", "{member: requests, scale: 1e-9}").replace(
            LABELS,
            "labels: [{name: n, size: 4, decoders: [{name: uint}, {name: static_map, static_map: {1: x, 2: x}}]}]"
        ),
        of("balance", "{member: in.balance, scale: 0.001}"),
    );
    let host = Host::start("values", &yaml);
    let map = host.map("traffic");
    let odd = (1 << 53) + 1;
    map.put(&number(1), &traffic(10_u64.pow(18), odd, -1234, 0, 0.0));
    let long = 1_234_567_890_123_456_789;
    map.put(&number(2), &traffic(long, 3, 7, 0, 0.0));
    let text = host.fetch(crate::harness::parser::Format::Text);
    for line in [
        "seconds_total{n=\"1\"} 1e+09",
        "seconds_total{n=\"2\"} 1.234567890123456789e+09",
        "written_total{n=\"1\"} 4611686018427388416",
        "written_total{n=\"2\"} 1536",
        "sum_total{n=\"x\"} 2.234567890123456789e+09",
        "balance{n=\"1\"} -1.234",
        "balance{n=\"2\"} 0.007",
        "waits_sum 1.234567890123456789e+09",
    ] {
        assert!(
            text.contains(&format!("\nebpf_exporter_{line}\n")),
            "{line}:\n{text}"
        );
    }
}

/// What removed keys have left is scaled with what is there, exactly, over a reload.
#[test]
fn sums_of_scaled_numbers_keep_removed_keys() {
    let yaml = |help: &str| {
        let labels = "labels: [{name: n, size: 4, decoders: [{name: uint}, {name: static_map, static_map: {1: x, 2: x}}]}]";
        let of = |name: &str, value: &str| {
            let counter = counter(name, "traffic", value).replace(LABELS, labels);
            counter.replace("help: Test", &format!("help: {help}"))
        };
        let sum = of("sum_total", "{member: requests, scale: 1e-9}");
        let seconds = of("float_total", "{member: seconds, scale: 1e-3}");
        format!("metrics:\n  counters: [{sum}, {seconds}]\n")
    };
    let host = Setup::new()
        .unit("unit", "values", &yaml("Test"))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let map = host.map("traffic");
    let long = 1_234_567_890_123_456_789;
    map.put(&number(1), &traffic(10_u64.pow(18), 0, 0, 0, 1.5));
    map.put(&number(2), &traffic(long, 0, 0, 0, 2.25));
    let says = |sum: &str, float: &str| {
        let text = host.fetch(crate::harness::parser::Format::Text);
        for line in [
            format!("\nebpf_exporter_sum_total{{n=\"x\"}} {sum}\n"),
            format!("\nebpf_exporter_float_total{{n=\"x\"}} {float}\n"),
        ] {
            assert!(text.contains(&line), "{line}:\n{text}");
        }
    };
    says("2.234567890123456789e+09", "0.00375");
    map.delete(&number(2));
    says("2.234567890123456789e+09", "0.00375");
    std::fs::write(host.path().join("unit.yaml"), yaml("Other")).unwrap();
    let answer = crate::harness::http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    says("2.234567890123456789e+09", "0.00375");
    map.put(&number(2), &traffic(1, 0, 0, 0, 0.25));
    says("2.23456789012345679e+09", "0.004");
}

/// Members of one and two bytes, floats and bools, by name and by place.
#[test]
fn small_members_are_numbers_too() {
    let of = |name: &str, value: &str| counter(name, "small", value);
    let members = [
        ("unsigned_byte", "{offset: 0, size: 1}", 200.0),
        ("signed_byte", "{offset: 1, type: s8}", -5.0),
        ("unsigned_short", "{offset: 2, size: 2}", 65535.0),
        ("signed_short", "{offset: 4, type: s16}", -300.0),
        ("set", "{offset: 6, type: bool}", 1.0),
        ("single", "{offset: 8, type: f32}", 1.5),
    ];
    let gauges: Vec<String> = members
        .iter()
        .flat_map(|(name, placement, _)| [of(name, name), of(&format!("{name}_placed"), placement)])
        .collect();
    let yaml = format!("metrics: {{gauges: [{}]}}", gauges.join(", "));
    let host = Host::start("values", &yaml);
    let mut value = vec![200, 251];
    value.extend(65535_u16.to_ne_bytes());
    value.extend((-300_i16).to_ne_bytes());
    value.extend([1, 0]);
    value.extend(1.5_f32.to_ne_bytes());
    value.resize(24, 0xff);
    host.map("small").put(&number(1), &value);
    let body = host.text();
    for (name, _, expected) in members {
        for name in [
            format!("ebpf_exporter_{name}"),
            format!("ebpf_exporter_{name}_placed"),
        ] {
            assert_eq!(body.value(&name, &[("n", "1")]), Some(expected), "{name}");
        }
    }
}

#[test]
fn a_histogram_may_count_in_a_member() {
    let host = Host::start(
        "values",
        "metrics: {histograms: [{name: sizes, map: traffic, help: Test., value: open, bucket_type: linear, bucket_max: 2, \
         labels: [{name: bucket, size: 4, decoders: [{name: uint}]}]}]}",
    );
    let map = host.map("traffic");
    map.put(&number(1), &traffic(100, 0, 0, 3, 0.0));
    map.put(&number(3), &traffic(100, 0, 0, 7, 0.0));
    let body = host.text();
    let bucket = |le: &str| body.value("ebpf_exporter_sizes_bucket", &[("le", le)]);
    assert_eq!((bucket("0"), bucket("1")), (Some(0.0), Some(3.0)));
    assert_eq!(body.value("ebpf_exporter_sizes_sum", &[]), Some(7.0));
}

#[test]
fn what_does_not_fit_is_found_without_a_kernel() {
    let metrics = [
        counter("a", "traffic", "request"),
        counter("b", "traffic", "in.byte"),
        counter("c", "small", "pointer"),
        counter("d", "traffic", "flags"),
        counter("e", "traffic", "in"),
        counter("f", "traffic", "requests.more"),
        counter("g", "untyped", "requests"),
        counter("h", "traffic", "{offset: 48}"),
        counter("i", "traffic", "{scale: 2}"),
    ];
    let list: String = metrics
        .iter()
        .map(|metric| format!("  - {metric}\n"))
        .collect();
    let yaml = format!("metrics:\n  counters:\n{list}");
    let setup = Setup::new().unit("unit", "values", &yaml);
    let checked = Setup::verb(&["check", setup.path().to_str().unwrap()]).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    for (line, words) in [
        (3, "has no member `request`, did you mean `requests`?"),
        (4, "has no member `byte`, did you mean `bytes`?"),
        (
            5,
            "`pointer` in the values of map `small` is something else, such as a pointer: expected an integer of 1, 2, 4 or 8 bytes, a bool, a float or a double",
        ),
        (6, "`flags` as a bit-field"),
        (7, "is a struct with `bytes`, `balance`: expected"),
        (8, "is no struct, so it has no member `more`"),
        (9, "`__type(value, struct …)`"),
        (
            10,
            "in bytes 48 to 56 of a value, those of map `traffic` have 48 bytes",
        ),
        (
            11,
            "with `value` which member it is of a struct with `requests`, `in`, `open`, `other`",
        ),
    ] {
        assert_says(
            &checked.stdout,
            &[&format!("unit.yaml:{line}:"), "error: metric `", words],
        );
    }
}

#[test]
fn another_member_is_a_matter_of_reshaping() {
    let yaml = |value: &str| {
        format!(
            "metrics: {{gauges: [{}]}}\n",
            counter("level", "traffic", value)
        )
    };
    let host = Setup::new()
        .unit("unit", "values", &yaml("requests"))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    host.map("traffic")
        .put(&number(1), &traffic(10, 20, 30, 40, 50.0));
    let level = |host: &Host| host.text().value("ebpf_exporter_level", &[("n", "1")]);
    assert_eq!(level(&host), Some(10.0));
    for (value, expected) in [("in.balance", 30.0), ("{member: seconds, scale: 2}", 100.0)] {
        fs::write(host.path().join("unit.yaml"), yaml(value)).unwrap();
        let response = http::request(host.address(), "POST", "/-/reload", &[]);
        assert!(
            response.text().contains("unit: reshape"),
            "{}",
            response.text()
        );
        assert_eq!(level(&host), Some(expected));
    }
}
