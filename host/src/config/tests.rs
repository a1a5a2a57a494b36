//! Whole files: what a good one means, and every sentence about a bad one with its place.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::model::CgroupIdMapKind;
use super::model::MetricConfig;
use super::model::MetricSource;
use super::model::UnitConfig;
use super::unit::ReadUnit;
use super::unit::read_unit;

fn read(yaml: &str) -> Result<ReadUnit, Vec<super::problem::Problem>> {
    read_unit(
        "sub/u",
        &Arc::new(PathBuf::from("conf.d/sub/u.yaml")),
        yaml.as_bytes(),
        false,
    )
    .map_err(|unreadable| unreadable.problems)
}

fn good(yaml: &str) -> UnitConfig {
    let read = read(yaml).unwrap();
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    read.config
}

/// One line a problem, less the file's name.
fn problems(yaml: &str) -> String {
    let list = match read(yaml) {
        Ok(read) => read.warnings,
        Err(problems) => problems,
    };
    let lines: Vec<String> = list
        .iter()
        .map(|problem| problem.to_string().replacen("conf.d/sub/u.yaml", "", 1))
        .collect();
    lines.join("\n")
}

fn metric(yaml: &str) -> MetricConfig {
    good(yaml).metrics.remove(0)
}

/// A counter with one label, into which a line can be put.
fn with_decoder(decoder: &str) -> String {
    format!(
        "metrics:\n  counters:\n    - name: c\n      help: h\n      labels:\n        - name: l\n          size: 4\n          decoders:\n            - {decoder}\n"
    )
}

fn with_histogram(fields: &str) -> String {
    format!(
        "metrics:\n  histograms:\n    - {{name: h, help: h, labels: [{{name: b, size: 4, decoders: [{{name: uint}}]}}], {fields}}}\n"
    )
}

fn with_counter(fields: &str) -> String {
    format!("metrics:\n  counters:\n    - {{name: c, help: h, {fields}}}\n")
}

#[test]
fn a_config_of_ebpf_exporters_kind_is_read_completely() {
    let config = good(
        r#"
name: overwritten
metrics:
  counters:
    - name: block_requests_total
      help: Block requests by device
      labels:
        - name: device
          size: 4
          decoders:
            - name: majorminor
        - name: operation
          size: 1
          padding: 3
          decoders:
            - name: uint
            - name: static_map
              allow_unknown: yes
              static_map:
                0: read
                01: write
                0x2: flush
                true: discard
                "4": 5
                5: ~
        - name: command
          size: 0x10
          decoders:
            - name: string
            - name: regexp
              regexps:
                - ^systemd-.*$
                - ^(kworker)/
    - name: llc_misses_total
      help: Misses of the last level cache
      perf_event_array: true
      flush_interval: 10s
  histograms:
    - name: block_latency_seconds
      help: Latency of block requests
      bucket_type: exp2
      bucket_min: 0
      bucket_max: 26
      bucket_multiplier: 0.000001
      labels:
        - name: bucket
          size: 8
          decoders: [{name: uint}]
    - name: sizes
      help: Sizes
      bucket_type: fixed
      bucket_min: 0
      bucket_keys: [1, 2.5, 1e3]
      labels: [{name: le, size: 4, decoders: [{name: uint}]}]
kaddrs:
  - bpf_stats_enabled_key
cgroup_id_map:
  name: cgroups
  type: cgrp_storage
  regexps:
    - ^.*(system\.slice/.*)$
"#,
    );
    assert_eq!(config.name, "sub/u");
    assert_eq!(
        config.object.as_deref(),
        Some(Path::new("conf.d/sub/u.bpf.o"))
    );
    assert_eq!(config.namespace, "ebpf_exporter");
    let names: Vec<&str> = config
        .metrics
        .iter()
        .map(|metric| metric.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "block_requests_total",
            "llc_misses_total",
            "block_latency_seconds",
            "sizes"
        ]
    );

    let requests = &config.metrics[0];
    assert_eq!(
        (requests.map.as_str(), requests.source),
        ("block_requests_total", MetricSource::Map)
    );
    assert_eq!((requests.at.line, requests.at.column), (5, 7));
    assert_eq!(
        (requests.shape.name.as_str(), &requests.shape.options),
        ("counter", &json!({}))
    );
    let labels: Vec<(&str, usize, usize)> = requests
        .labels
        .iter()
        .map(|l| (l.name.as_str(), l.size, l.padding))
        .collect();
    assert_eq!(
        labels,
        [("device", 4, 0), ("operation", 1, 3), ("command", 16, 0)]
    );
    let decoders = &requests.labels[1].decoders;
    assert_eq!(
        (decoders[0].name.as_str(), &decoders[0].options),
        ("uint", &json!({}))
    );
    let map =
        json!({"0": "read", "01": "write", "0x2": "flush", "true": "discard", "4": "5", "5": ""});
    assert_eq!(
        decoders[1].options,
        json!({"allow_unknown": true, "static_map": map})
    );
    assert_eq!((decoders[1].at.line, decoders[1].at.column), (17, 15));
    assert_eq!(
        requests.labels[2].decoders[1].options,
        json!({"regexps": ["^systemd-.*$", "^(kworker)/"]})
    );

    let flush_interval = Duration::from_secs(10);
    assert_eq!(
        config.metrics[1].source,
        MetricSource::PerfEventArray { flush_interval }
    );
    let latency = &config.metrics[2].shape;
    assert_eq!(latency.name, "exp2");
    assert_eq!(
        latency.options,
        json!({"bucket_min": 0, "bucket_max": 26, "bucket_multiplier": 0.000001})
    );
    assert_eq!(
        config.metrics[3].shape.options,
        json!({"bucket_keys": [1.0, 2.5, 1000.0], "bucket_multiplier": 1.0})
    );

    let (symbol, at) = &config.kaddrs[0];
    assert_eq!(
        (symbol.as_str(), at.line, at.column),
        ("bpf_stats_enabled_key", 56, 5)
    );
    let cgroups = config.cgroup_id_map.unwrap();
    assert_eq!(
        (cgroups.map.as_str(), cgroups.kind),
        ("cgroups", CgroupIdMapKind::CgrpStorage)
    );
    assert!(cgroups.regexps[0].is_match("/sys/fs/cgroup/system.slice/ssh.service"));
}

#[test]
fn our_additions_are_read() {
    let config = good(
        "namespace: ''\nobject: ../shared.bpf.o\nmetrics:\n  gauges:\n    - {name: g, help: h, map: m}\n  counters: []\n",
    );
    assert_eq!(config.namespace, "");
    assert_eq!(
        config.object.as_deref(),
        Some(Path::new("conf.d/sub/../shared.bpf.o"))
    );
    let gauge = &config.metrics[0];
    assert_eq!(
        (
            gauge.name.as_str(),
            gauge.map.as_str(),
            gauge.shape.name.as_str()
        ),
        ("g", "m", "gauge")
    );
}

#[test]
fn files_of_other_systems_are_read() {
    let metric = metric("\u{feff}metrics:\r\n  counters:\r\n    - name: c\r\n      help: h\r\n");
    assert_eq!((metric.name.as_str(), metric.help.as_str()), ("c", "h"));
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let config = good(
        "metrics:\n  counters:\n    - &one {name: a, help: h, labels: &l [{name: x, size: 4, decoders: [{name: uint}]}]}\n    \
         - {<<: *one, name: b}\n    - {name: c, help: h, labels: *l}\n",
    );
    let metrics: Vec<(&str, &str, usize)> = config
        .metrics
        .iter()
        .map(|m| (m.name.as_str(), m.help.as_str(), m.labels.len()))
        .collect();
    assert_eq!(metrics, [("a", "h", 1), ("b", "h", 1), ("c", "h", 1)]);
}

#[test]
fn options_of_other_plugins_keep_their_types() {
    let yaml =
        with_decoder("{name: x, a: 1, b: '1', c: [true, 0x10, {d: 1.5}], e: !!str 5, f: no, g: }");
    let options = &metric(&yaml).labels[0].decoders[0].options;
    assert_eq!(
        *options,
        json!({"a": 1, "b": "1", "c": [true, 16, {"d": 1.5}], "e": "5", "f": "no"})
    );
}

#[test]
fn flush_interval_is_a_duration_or_nanoseconds() {
    for (text, seconds) in [
        ("90s", 90.0),
        ("'1h30m'", 5400.0),
        ("1500000000", 1.5),
        ("2e9", 2.0),
        ("0", 3600.0),
        ("~", 3600.0),
    ] {
        let metric = metric(&with_counter(&format!(
            "perf_event_array: on, flush_interval: {text}"
        )));
        let flush_interval = Duration::from_secs_f64(seconds);
        assert_eq!(
            metric.source,
            MetricSource::PerfEventArray { flush_interval },
            "{text}"
        );
    }
}

#[test]
fn a_unit_of_collectors_needs_no_object() {
    let config = good("collectors: []\n");
    assert_eq!((config.object, config.collectors.len()), (None, 0));
}

#[test]
fn an_object_of_spans_alone_is_loaded() {
    assert!(
        read("tracing: {spans: []}\n")
            .unwrap()
            .config
            .object
            .is_some()
    );
}

#[test]
fn what_is_wrong_with_the_text_is_said() {
    for (yaml, expected) in [
        (
            "",
            ": error: the file is empty: expected a mapping with `metrics`",
        ),
        (
            "# nothing\n",
            ": error: the file is empty: expected a mapping with `metrics`",
        ),
        (
            "- 1\n",
            ":1:1: error: expected a unit as a mapping of keys, found a list",
        ),
        (
            "metrics: [\n",
            ":2:1: error: not YAML: while parsing a node, did not find expected node content",
        ),
        (
            "metrics:\n\tcounters: []\n",
            ":2:2: error: not YAML: tabs disallowed within this context (block indentation): indent with spaces",
        ),
        (
            "a: b: c\n",
            ":1:5: error: not YAML: mapping values are not allowed in this context: a text that contains `: ` needs quotes",
        ),
        (
            "metrics: {counters: []}\nx: \0\n",
            ":2:4: error: a NUL byte: expected text in UTF-8 (a binary file, or UTF-16?)",
        ),
        (
            "metrics: {counters: []}\n---\nother: 1\n",
            ":2:1: warning: another document starts here: only the first one of a file is read",
        ),
        (
            "metrics: {counters: []}\nmetrics: {}\n",
            ":2:1: error: duplicate key `metrics`: it is already at 1:1",
        ),
        (
            "metrics: &a [*a]\n",
            ":1:14: error: an alias inside the very node it refers to",
        ),
        (
            "metrics: *no\n",
            ":1:10: error: not YAML: while parsing node, found unknown anchor",
        ),
        (
            "[a]: 1\n",
            ":1:3: error: expected a text as key, found a list",
        ),
        (
            "<<: 5\nmetrics: {counters: []}\n",
            ":1:5: error: expected a mapping to merge with `<<`, found `5`",
        ),
    ] {
        assert_eq!(problems(yaml), expected, "{yaml}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_have_a_place() {
    let file = Arc::new(PathBuf::from("u.yaml"));
    let found = read_unit("u", &file, b"a: 1\nb: \xc3\xa4\xff\n", false).unwrap_err();
    assert_eq!(
        found.problems[0].to_string(),
        "u.yaml:2:5: error: a byte that is not UTF-8: save the file as UTF-8"
    );
}

#[test]
fn a_bomb_of_aliases_is_an_error() {
    let mut yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        yaml.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(problems(&yaml).ends_with("the file has more than 200000 values, with aliases written out: split it into several units"));
}

#[test]
fn depth_is_bounded_with_aliases_and_without() {
    let direct = format!("a: {}{}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        problems(&direct),
        ":1:67: error: more than 64 levels of lists and mappings"
    );
    let mut chained = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        chained.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(problems(&chained).contains("more than 64 levels of lists and mappings"));
}

#[test]
fn every_problem_of_a_file_is_found_at_once() {
    let yaml = "\
metrics:
  counters:
    - nmae: a
      help: h
      labels:
        - name: pid
          decoders: []
        - name: __x
          size: -4
          decoders:
            - uint
        - {name: y, size: 4, decoders: [{name: regexp, regexps: ['a(']}]}
    - name: b-c
      labels: {}
      perf_event_array: maybe
      flush_interval: 90
  histograms:
    - name: h
      help: h
      bucket_type: exp
colour: red
kaddrs: x
cgroup_id_map: {name: m, type: tree, regexps: ['[']}
";
    assert_eq!(
        problems(yaml),
        ":3:7: warning: unknown key `nmae` in a counter, did you mean `name`?\n\
:3:7: error: a counter needs a `name`\n\
:7:21: error: the label `pid` needs `decoders`: at least one, e.g. `- name: uint`\n\
:8:17: error: the label name `__x` starts with `__`, which Prometheus keeps for itself\n\
:9:17: error: expected a number of bytes from 1 to 65535 for `size`, found -4\n\
:11:15: error: expected a decoder as a mapping of keys, found `uint`: write `name: uint`\n\
:12:66: error: the regular expression `a(` does not compile: unclosed group\n\
:13:7: error: the counter `b-c` needs a `help`: one sentence for its readers\n\
:13:13: error: the metric name `b-c` has a '-', but a metric's name is made of letters, digits, `_` and `:`: write `b_c`?\n\
:14:15: error: expected a list of labels for `labels`, found a mapping: write `- …` or `[…]`\n\
:15:25: error: expected `true` or `false` for `perf_event_array`, found `maybe`\n\
:16:23: error: expected at least 1ms for `flush_interval`, found `90`: a bare number is nanoseconds, write e.g. `90s`\n\
:18:7: error: a histogram needs at least one label: the last one is the bucket\n\
:20:20: error: unknown bucket type `exp`, did you mean `exp2`?\n\
:21:1: warning: unknown key `colour` in a unit (it is ignored)\n\
:22:9: error: expected a list of kernel symbols for `kaddrs`, found `x`: write `- …` or `[…]`\n\
:23:32: error: unknown type `tree` of `cgroup_id_map`: expected `hash` or `cgrp_storage`\n\
:23:48: error: the regular expression `[` does not compile: unclosed character class"
    );
}

#[test]
fn problems_of_fields_are_said() {
    for (yaml, expected) in [
        (
            "kaddrs: [x]\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`",
        ),
        (
            "metrics:\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`",
        ),
        (
            "metrics: {counter: []}\n",
            ":1:1: error: the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`\n\
             :1:11: warning: unknown key `counter` in `metrics`, did you mean `counters`?",
        ),
        (
            "metrics: 5\n",
            ":1:10: error: expected `metrics` as a mapping of keys, found `5`",
        ),
        (
            "metrics: {counters: {name: c}}\n",
            ":1:21: error: expected a list of counters for `counters`, found a mapping: write `- …` or `[…]`",
        ),
        (
            "namespace: a-b\nmetrics: {counters: []}\n",
            ":1:12: error: the namespace `a-b` has a '-', but a metric's name is made of letters, digits, `_` and `:`: write `a_b`?",
        ),
        (
            "object: ''\nmetrics: {counters: []}\n",
            ":1:9: error: expected the path of a BPF object for `object`, found an empty text",
        ),
        (
            "cgroup_id_map: {name: m}\nmetrics: {counters: []}\n",
            ":1:16: warning: `cgroup_id_map` has no `regexps`: no cgroup will be in it",
        ),
        (
            &with_counter("labels: 5"),
            ":3:34: error: expected a list of labels for `labels`, found `5`: write `- …` or `[…]`",
        ),
        (
            &with_counter("perf_event_array: 'yes'"),
            ":3:44: error: expected `true` or `false` for `perf_event_array`, found the text `yes` in quotes: remove the quotes",
        ),
        (
            &with_counter("flush_interval: 10s"),
            ":3:42: warning: `flush_interval` has no effect without `perf_event_array: true`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: soon"),
            ":3:66: error: `flush_interval`: expected a duration such as `90s` or `1h30m`, found `soon`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: -1"),
            ":3:66: error: expected a positive duration such as `90s` for `flush_interval`, found `-1`",
        ),
        (
            &with_counter("perf_event_array: true, flush_interval: [1]"),
            ":3:66: error: expected a duration such as `90s` for `flush_interval`, found a list",
        ),
        (
            &with_counter("max_series: 5"),
            ":3:26: warning: `max_series` of a counter is not supported by this version and is ignored",
        ),
        (
            &with_counter("labels: [{name: l, size: 4.5, decoders: [{name: uint}]}]"),
            ":3:51: warning: expected an integer for `size`, found `4.5`: read as 4",
        ),
        (
            &with_counter("labels: [{name: l, size: '4', decoders: [{name: uint}]}]"),
            ":3:51: error: expected an integer for `size`, found the text `4` in quotes: remove the quotes",
        ),
        (
            &with_counter("labels: [{name: l, size: 0, decoders: [{name: uint}]}]"),
            ":3:51: error: expected a number of bytes from 1 to 65535 for `size`, found 0",
        ),
        (
            &with_counter("labels: [{name: l, size: 99999, decoders: [{name: uint}]}]"),
            ":3:51: error: expected a number of bytes from 1 to 65535 for `size`, found 99999",
        ),
        (
            &with_counter(
                "labels: [{name: l, size: 1, decoders: [{name: uint}]}, {name: l, size: 1, decoders: [{name: uint}]}]",
            ),
            ":3:81: error: duplicate label `l`: it is already at 3:35",
        ),
        (
            &with_decoder("{static_map: {}}"),
            ":9:15: error: a decoder needs a `name`, e.g. `uint`",
        ),
        (
            &with_decoder("{name: static_map, static_map: [a]}"),
            ":9:46: error: expected a mapping of texts for `static_map`, found a list",
        ),
        (
            &with_decoder("{name: static_map, static_map: {a: [b]}}"),
            ":9:50: error: expected a text for a value of `static_map`, found a list",
        ),
        (
            &with_decoder("{name: regexp, regexps: a}"),
            ":9:39: error: expected a list of regular expressions for `regexps`, found `a`: write `- …` or `[…]`",
        ),
        (
            &with_histogram("bucket_type: exp2"),
            ":3:7: error: a histogram of the bucket type `exp2` needs a `bucket_max`: the last finite bucket",
        ),
        (
            &with_histogram("bucket_type: exp2, bucket_max: 0"),
            ":3:113: error: expected a `bucket_max` greater than `bucket_min`, found 0 and 0",
        ),
        (
            &with_histogram("bucket_type: exp2, bucket_max: 2000"),
            ":3:113: error: expected a `bucket_max` of at most 1023 (a power of two), found 2000",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 10000"),
            ":3:115: error: expected at most 10000 buckets, found `bucket_min` 0 and `bucket_max` 10000",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_multiplier: -1"),
            ":3:137: error: expected a positive number for `bucket_multiplier`, found `-1`",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_multiplier: .inf"),
            ":3:137: error: expected a number for `bucket_multiplier`, found `.inf`",
        ),
        (
            &with_histogram("bucket_type: linear, bucket_max: 9, bucket_keys: [1]"),
            ":3:131: warning: `bucket_keys` has no effect on the bucket type `linear`, only on `fixed`",
        ),
        (
            &with_histogram("bucket_type: fixed"),
            ":3:7: error: a histogram of the bucket type `fixed` needs `bucket_keys`: the list of its buckets' upper bounds",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: []"),
            ":3:115: error: expected at least one number in `bucket_keys`, found none",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: [1, 3, 2]"),
            ":3:115: error: expected `bucket_keys` in ascending order, found 2 after 3",
        ),
        (
            &with_histogram("bucket_type: fixed, bucket_keys: [1, x]"),
            ":3:119: error: expected a number for an item of `bucket_keys`, found `x`",
        ),
        (
            "metrics: {histograms: [{name: h, help: h, bucket_type: exp2, bucket_max: 5}]}\n",
            ":1:24: error: a histogram needs at least one label: the last one is the bucket",
        ),
        (
            "metrics:\n  counters: [{name: a, help: h}, {name: h_sum, help: h}]\n  gauges: [{name: a, help: h}]\n  histograms:\n  - {name: h, help: h, \
             bucket_type: exp2, bucket_max: 5, labels: [{name: le, size: 4, decoders: [{name: uint}]}, {name: b, size: 4, decoders: [{name: uint}]}]}\n",
            ":2:34: error: the metric `h_sum` clashes with the series of that name of the histogram `h` at 5:5\n\
             :3:12: error: duplicate metric `a`: it is already at 2:14\n\
             :5:67: error: the label name `le` of a histogram is taken by its buckets: choose another",
        ),
    ] {
        assert_eq!(problems(yaml), expected, "{yaml}");
    }
}

#[test]
fn a_file_of_something_else_is_not_listed_line_by_line() {
    let text: String = (0..50_000).map(|line| format!("k{line}: 1\n")).collect();
    let found = read(&text).unwrap_err();
    assert_eq!(found.len(), 101);
    assert_eq!(
        found[100].to_string(),
        "conf.d/sub/u.yaml: error: and 49901 more problems"
    );
}

/// Half-written files are read too: whatever they contain, the answer is a unit or problems with places.
#[test]
fn no_text_is_too_broken_to_be_answered() {
    let good = with_decoder("{name: static_map, static_map: {1: 'a', \"b\": &x c, d: *x}}")
        + "  histograms:\n    - {name: h, help: >-\n        folded\n      }\nkaddrs: [a, b] # end\n--- |\n  x\n";
    let mut texts: Vec<String> = good
        .char_indices()
        .map(|(end, _)| good[..end].to_owned())
        .collect();
    // A fixed sequence of edits, so that a failure can be repeated (xorshift).
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces = [
        "\n", " ", "\t", ":", "- ", "[", "]", "{", "}", ",", "'", "\"", "|", ">", "&x", "*x", "?",
        "!", "%", "#", "<<: ", "\u{feff}", "ä", "\r",
    ];
    for _ in 0..3000 {
        let mut text = good.clone();
        for _ in 0..=random(3) {
            let at = (0..=random(text.len()))
                .rev()
                .find(|at| text.is_char_boundary(*at))
                .unwrap_or(0);
            text.insert_str(at, pieces[random(pieces.len())]);
        }
        texts.push(text);
    }
    for text in texts {
        if let Err(problems) = read(&text) {
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.severity == super::problem::Severity::Error),
                "{text}"
            );
        }
    }
}

const COUNTER: &str = "metrics: {counters: [{name: c, help: h}]}";

#[test]
fn lives() {
    use super::model::Lifecycle;
    let unit = good(&format!(
        "lifecycle: on-demand\nkeepalive: 1m30s\n{COUNTER}"
    ));
    assert_eq!(unit.lifecycle, Lifecycle::OnDemand);
    assert_eq!(unit.keepalive, Some(Duration::from_secs(90)));
    let unit = good(&format!("lifecycle: on-demand\nkeepalive: 0\n{COUNTER}"));
    assert_eq!(unit.keepalive, Some(Duration::ZERO));
    let unit = good(COUNTER);
    assert_eq!(
        (unit.lifecycle, unit.keepalive),
        (Lifecycle::Autostart, None)
    );
    assert_eq!(
        problems(&format!("lifecycle: ondemand\nkeepalive: 5\n{COUNTER}")),
        ":1:12: error: unknown `lifecycle`: `ondemand`, did you mean `on-demand`?\n\
         :2:12: error: `keepalive`: the duration `5` has a number without a unit: add one of ns, us, ms, s, m, h\n\
         :2:12: warning: `keepalive` is of no effect without `lifecycle: on-demand`: the unit runs all the time"
    );
}

#[test]
fn maps() {
    let unit = good(&format!(
        "maps: {{a: {{pin: true}}, b: {{max_entries: 0x10}}}}\n{COUNTER}"
    ));
    let maps: Vec<_> = unit
        .maps
        .iter()
        .map(|map| (map.name.as_str(), map.pin, map.max_entries))
        .collect();
    assert_eq!(maps, [("a", true, None), ("b", false, Some(16))]);
    assert_eq!(
        problems(&format!(
            "maps: {{a: {{pin: maybe}}, b: {{max_entries: 4294967296, pine: true}}, c: 1}}\n{COUNTER}"
        )),
        ":1:17: error: expected `true` or `false` for `pin`, found `maybe`\n\
         :1:42: error: expected 1 to 4294967295 for `max_entries` of the map `b`, found 4294967296\n\
         :1:54: warning: unknown key `pine` in a map, did you mean `pin`?\n\
         :1:70: error: expected a map as a mapping of keys, found `1`"
    );
    assert!(
        problems(&format!("maps: [a]\n{COUNTER}")).contains("`maps: {NAME: {max_entries: 1024}}`")
    );
}

#[test]
fn what_is_missing_at_the_end_is_in_the_last_line() {
    let message = "error: not YAML: simple key expected";
    for (text, at) in [
        ("metrics:\n  a: b\n  c", ":3:4"),
        ("metrics:\r  a: b\r\n  c", ":3:4"),
    ] {
        assert_eq!(problems(text), format!("{at}: {message}"));
    }
    let key = "metrics:\n  a:\n?  b:\n   c - d: e";
    assert!(
        problems(key).starts_with(":4:13: error: "),
        "{}",
        problems(key)
    );
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_as_it_is() {
    let labels = "labels: [{name: \"a\\e[2J\\nb\", size: 4}]";
    let said = problems(&format!(
        "metrics: {{counters: [{{name: c, help: h, {labels}}}]}}"
    ));
    assert!(
        said.contains("the label `a [2J b` needs `decoders`"),
        "{said}"
    );
    assert_eq!(
        said.matches(char::is_control).count(),
        said.lines().count() - 1
    );
}
