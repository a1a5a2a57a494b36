//! Configs of ebpf_exporter as they are, with what is odd about them.

use std::fs;

use crate::harness::host::assert_says;
use crate::harness::maps::{number, pair};
use crate::harness::{Host, Setup, http, labels, names, series, states};

const GOOD: &str =
    "{name: hash_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}";

fn counters(list: &[&str]) -> String {
    format!("metrics: {{counters: [{}]}}\n", list.join(", "))
}

#[test]
fn patterns_of_go_are_taken() {
    for (pattern, input, found) in [
        (r"^([^[]+)$", "abc", Some("abc")),
        (r"^\Qkworker/\E(.*)$", "kworker/0:1", Some("0:1")),
        (r"^([[a-z]+)$", "[a", Some("[a")),
        (r"^(a{,3})$", "a{,3}", Some("a{,3}")),
        (r"^([a&&b]+)$", "&a", Some("&a")),
        (r"\<x", "a<x", Some("<x")),
        (r"^(?P<x>[\w\-\.]+)$", "a-b", Some("a-b")),
        (r"^([^\]]+)$", "a", Some("a")),
        (r"^\pL+$", "abc", Some("abc")),
        (r"^b$", "a", None),
    ] {
        let yaml = format!(
            "metrics: {{counters: [{{name: k64_total, help: Test., labels: [{{name: it, size: 64, decoders: [{{name: string}}, {{name: regexp, regexps: ['{pattern}']}}]}}]}}]}}"
        );
        let host = Host::start("maps", &yaml);
        let mut key = [0; 64];
        key[..input.len()].copy_from_slice(input.as_bytes());
        host.map("k64_total").set(&key, 1);
        let expected: Vec<(&str, f64)> = found.into_iter().map(|text| (text, 1.0)).collect();
        assert_eq!(
            host.series("ebpf_exporter_k64_total"),
            series("it", &expected),
            "{pattern}"
        );
    }
}

#[test]
fn the_last_of_two_keys_counts() {
    let yaml = format!("namespace: one\nnamespace: two\n{}", counters(&[GOOD]));
    let host = Host::start("maps", &yaml);
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(host.series("two_hash_total"), series("n", &[("1", 5.0)]));
    let words = ["unit.yaml:2:1: warning: duplicate key `namespace`: it is already at 1:1"];
    assert_says(&host.log(), &words);
    Setup::new()
        .unit("unit", "maps", &yaml)
        .argument("--config.strict-keys")
        .run()
        .says(&["error: duplicate key `namespace`"]);
}

#[test]
fn label_names_are_escaped() {
    let names = ["a.b-c", "1port", "pört"]
        .map(|name| format!("{{name: \"{name}\", size: 8, decoders: [{{name: uint}}]}}"));
    let metric = format!(
        "{{name: k24_total, help: Test., labels: [{}]}}",
        names.join(", ")
    );
    let host = Host::start("maps", &counters(&[&metric]));
    let key = [1_u64, 2, 3].map(u64::to_ne_bytes).concat();
    host.map("k24_total").set(&key, 7);
    let wanted = labels(&[("a_b_c", "1"), ("_port", "2"), ("p_rt", "3")]);
    assert_eq!(
        host.series("ebpf_exporter_k24_total"),
        [(wanted, 7.0)].into()
    );
    assert_says(
        &host.log(),
        &["warning: the label name `a.b-c`", "the series have `a_b_c`"],
    );
}

/// What is wrong with a metric, and what is said of it.
const WRONG: [(&str, &str); 8] = [
    (
        "{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: unit}]}]}",
        "no plugin offers the decoder `unit`, did you mean `uint`?",
    ),
    (
        "{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: regexp, regexps: ['(']}]}]}",
        "the regular expression `(` does not compile",
    ),
    (
        "{name: k4_total, help: Test., labels: [{name: n, size: 8, decoders: [{name: uint}]}]}",
        "the labels take 8 bytes",
    ),
    (
        "{name: k8_total, help: Test., labels: [{name: a.b, size: 4, decoders: [{name: uint}]}, {name: a-b, size: 4, decoders: [{name: uint}]}]}",
        "duplicate label `a_b`",
    ),
    (
        "{name: narrow_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}",
        "the values of map `narrow_total` have 4 bytes",
    ),
    (
        "{name: nowhere_total, help: Test.}",
        "has no map `nowhere_total`",
    ),
    (
        "{name: k4_total, help: Test., ringbuf: true, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}",
        "`ringbuf` wants a BPF_MAP_TYPE_RINGBUF",
    ),
    ("{name: k4_total}", "needs a `help`"),
];

#[test]
fn a_wrong_metric_costs_itself_alone() {
    for (wrong, message) in WRONG {
        let yaml = counters(&[wrong, GOOD]);
        let host = Host::start("maps", &yaml);
        host.map("hash_total").set(&number(1), 5);
        assert_eq!(
            host.series("ebpf_exporter_hash_total"),
            series("n", &[("1", 5.0)]),
            "{wrong}"
        );
        assert_says(
            &host.log(),
            &["level=warn msg=\"a metric is left out: ", message],
        );
        let page = host.get("/", &[]).text().to_owned();
        assert!(page.contains("a metric is left out: "), "{page}");
        host.stop();
        let strict = Setup::new()
            .unit("unit", "maps", &yaml)
            .argument("--config.strict")
            .run();
        assert_eq!(strict.code, Some(1));
        strict.says(&[message]);
        let checked = Setup::new()
            .unit("unit", "maps", &yaml)
            .argument("--config.check")
            .run();
        assert_eq!(checked.code, Some(1), "{}", checked.log);
    }
}

#[test]
fn a_version_with_less_does_not_replace_one_with_more() {
    let rewrite = |host: &Host, yaml: &str| {
        fs::write(host.path().join("unit.yaml"), yaml).unwrap();
        let answer = http::request(host.address(), "POST", "/-/reload", &[]);
        answer.text().to_owned()
    };
    let other =
        "{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}";
    for (wrong, message) in WRONG {
        let host = Setup::new()
            .unit("unit", "maps", &counters(&[other, GOOD]))
            .argument("--config.watch=off")
            .argument("--web.enable-lifecycle")
            .start();
        host.map("k4_total").set(&number(1), 3);
        let before = host.series("ebpf_exporter_k4_total");
        let answer = rewrite(&host, &counters(&[wrong, GOOD]));
        assert!(
            answer.contains("failed") && answer.contains(message),
            "{answer}"
        );
        assert_eq!(host.series("ebpf_exporter_k4_total"), before, "{wrong}");
    }
    // What it lacked before it may lack still.
    let (wrong, _) = WRONG[0];
    let host = Setup::new()
        .unit("unit", "maps", &counters(&[wrong, GOOD]))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let answer = rewrite(&host, &counters(&[wrong, &GOOD.replace("Test.", "Other.")]));
    assert!(answer.contains("unit: reshape"), "{answer}");
    let answer = rewrite(&host, &counters(&[other, GOOD]));
    assert!(answer.contains("unit: reshape"), "{answer}");
    host.map("k4_total").set(&number(1), 3);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series("n", &[("1", 3.0)])
    );
    let page = host.get("/", &[]).text().to_owned();
    assert!(!page.contains("is left out"), "{page}");
}

#[test]
fn a_plugin_that_comes_brings_the_metric_that_waited_for_it() {
    let wanted = "{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: spoken}]}]}";
    let host = Setup::new()
        .unit("unit", "maps", &counters(&[wanted, GOOD]))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    host.map("k4_total").set(&number(1), 3);
    assert!(host.series("ebpf_exporter_k4_total").is_empty());
    let plugin = fs::read(crate::harness::plugin::spoken("first")).unwrap();
    fs::write(host.path().join("spoken.wasm"), plugin).unwrap();
    let answer = http::request(host.address(), "POST", "/-/reload", &[]);
    assert!(answer.text().contains("unit: reshape"), "{}", answer.text());
    assert_eq!(host.series("ebpf_exporter_k4_total").len(), 1);
}

#[test]
fn bucket_keys_are_sorted() {
    let yaml = "metrics: {histograms: [{name: h4, help: Test., bucket_type: fixed, bucket_keys: [10, 1, 5], labels: [{name: b, size: 4, decoders: [{name: uint}]}]}]}";
    let host = Host::start("maps", yaml);
    let map = host.map("h4");
    for (key, count) in [(1, 1), (5, 2), (10, 4)] {
        map.set(&number(key), count);
    }
    let body = host.text();
    for (le, value) in [("1", 1.0), ("5", 3.0), ("10", 7.0)] {
        let bucket = body.value("ebpf_exporter_h4_bucket", &[("le", le)]);
        assert_eq!(bucket, Some(value), "{le}");
    }
    assert_says(
        &host.log(),
        &["warning: `bucket_keys` are not in ascending order"],
    );
}

#[test]
fn an_empty_btf_path_is_none() {
    let host = Setup::new()
        .unit("unit", "maps", &counters(&[GOOD]))
        .argument("--btf.path=")
        .start();
    assert!(host.log().contains("unit running"));
}

#[test]
fn the_process_shows_what_the_peers_shows() {
    let host = Host::start("maps", &counters(&[GOOD]));
    let body = host.text();
    for name in [
        "process_network_receive_bytes_total",
        "process_network_transmit_bytes_total",
        "process_virtual_memory_max_bytes",
    ] {
        assert!(
            body.value(name, &[]).is_some_and(|value| value > 0.0),
            "{name}"
        );
    }
    let help = |name: &str| body.family(name).unwrap().help.clone();
    assert_eq!(help(names::ENABLED_CONFIGS), "The set of enabled configs");
    let help = help("ebpf_exporter_build_info");
    assert!(
        help.starts_with("A metric with a constant '1' value labeled by version"),
        "{help}"
    );
}

#[test]
fn another_help_costs_no_series() {
    let yaml = |help: &str, label: &str| {
        counters(&[&format!(
            "{{name: k8_total, help: {help}, labels: [{{name: a, size: 4, decoders: [{{name: uint}}, {{name: static_map, static_map: {{1: {label}}}}}]}}, {{name: b, size: 4, decoders: [{{name: uint}}]}}]}}"
        )])
    };
    let host = Setup::new()
        .unit("first", "maps", &yaml("One.", "one"))
        .unit("second", "maps", &yaml("Two.", "two"))
        .start();
    for map in host.maps("k8_total") {
        map.set(&pair(1, 2), 3);
    }
    for _ in 0..3 {
        let found = host.series("ebpf_exporter_k8_total");
        let of = |a| labels(&[("a", a), ("b", "2")]);
        assert_eq!(found, [(of("one"), 3.0), (of("two"), 3.0)].into());
    }
    let body = host.text();
    assert_eq!(body.family("ebpf_exporter_k8").unwrap().help, "One.");
    let log = host.log();
    assert_eq!(
        log.matches("the help of ebpf_exporter_k8_total").count(),
        1,
        "{log}"
    );
}

#[test]
fn a_name_without_a_file_is_a_failed_unit() {
    let setup = || {
        Setup::new()
            .unit("a", "maps", &counters(&[GOOD]))
            .argument("--config.names=a,nope")
    };
    let host = setup().start();
    let page = host.get("/", &[]).text().to_owned();
    assert!(
        page.contains("nope") && page.contains("there is no such file"),
        "{page}"
    );
    assert_eq!(states(&host.text())["nope"], "failed");
    host.stop();
    let strict = setup().argument("--config.strict").run();
    assert_eq!(strict.code, Some(1));
    strict.says(&["--config.strict: 1 of 2 units do not run"]);
}
