//! Whole files: what a good one means, and every sentence about a bad one with its place.

mod diagnostics;
mod documented;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::config::{MetricConfig, MetricSource, ReadUnit, Strictness, UnitConfig, read_unit};
use crate::object_input::{CgroupIdMapKind, SampleMap};

fn read(yaml: &str) -> Result<ReadUnit, Vec<crate::config::yaml::Diagnostic>> {
    read_unit(
        "sub/u",
        &Arc::new(PathBuf::from("conf.d/sub/u.yaml")),
        yaml.as_bytes(),
        Strictness::default(),
    )
    .map_err(|unreadable| unreadable.diagnostics)
}

fn good(yaml: &str) -> UnitConfig {
    let read = read(yaml).unwrap();
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
    read.config
}

/// One line a problem, less the file's name.
fn diagnostics(yaml: &str) -> String {
    let list = match read(yaml) {
        Ok(read) => {
            let mut list = read.warnings;
            list.extend(read.config.left_out);
            list.sort_by_key(|diagnostic| (diagnostic.at.line, diagnostic.at.column));
            list
        }
        Err(diagnostics) => diagnostics,
    };
    let lines: Vec<String> = list
        .iter()
        .map(|diagnostic| diagnostic.to_string().replacen("conf.d/sub/u.yaml", "", 1))
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
        .map(|l| (l.name.as_str(), l.size.unwrap(), l.padding))
        .collect();
    assert_eq!(
        labels,
        [("device", 4, 0), ("operation", 1, 3), ("command", 16, 0)]
    );
    let decoders = requests.labels[1].decoders.as_ref().unwrap();
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
        requests.labels[2].decoders.as_ref().unwrap()[1].options,
        json!({"regexps": ["^systemd-.*$", "^(kworker)/"]})
    );

    let flush_interval = Duration::from_secs(10);
    assert_eq!(
        config.metrics[1].source,
        MetricSource::Samples {
            through: SampleMap::PerfEventArray,
            flush_interval,
        }
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
    let metric = metric(&yaml);
    let options = &metric.labels[0].decoders.as_ref().unwrap()[0].options;
    assert_eq!(
        *options,
        json!({"a": 1, "b": "1", "c": [true, 16, {"d": 1.5}], "e": "5", "f": "no"})
    );
}

#[test]
fn samples_come_through_one_kind_of_map() {
    let source = |fields: &str| metric(&with_counter(fields)).source;
    let hourly = |through| MetricSource::Samples {
        through,
        flush_interval: Duration::from_secs(3600),
    };
    assert_eq!(source("ringbuf: true"), hourly(SampleMap::Ringbuf));
    let other = "perf_event_array: true, ringbuf: false";
    assert_eq!(source(other), hourly(SampleMap::PerfEventArray));
    assert_eq!(source("ringbuf: false"), MetricSource::Map);
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
            MetricSource::Samples {
                through: SampleMap::PerfEventArray,
                flush_interval,
            },
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
fn spans_alone_are_not_fine() {
    let unit = read("tracing: {spans: []}\n").unwrap_err();
    let reported = unit.iter().map(ToString::to_string).collect::<String>();
    assert!(
        reported.contains(":1:10: error: the unit has `tracing` alone"),
        "{reported}"
    );
    // With something else it runs.
    let unit = read(&format!("tracing: {{spans: []}}\n{COUNTER}\n")).unwrap();
    assert!(
        unit.warnings[0]
            .message
            .contains("`tracing` of a unit is not supported")
    );
}

#[test]
fn a_wrong_metric_is_left_out_alone() {
    let yaml = "metrics: {counters: [{name: a}, {name: b, help: h}]}\n";
    let unit = read(yaml).unwrap().config;
    assert_eq!(
        (unit.metrics.len(), unit.metrics[0].name.as_str()),
        (1, "b")
    );
    assert!(
        unit.left_out[0]
            .to_string()
            .ends_with("needs a `help`: one sentence for its readers")
    );
    let strict = Strictness {
        keys: false,
        metrics: true,
    };
    let file = Arc::new(PathBuf::from("u.yaml"));
    let strict = read_unit("u", &file, yaml.as_bytes(), strict).unwrap_err();
    assert_eq!(
        strict.diagnostics,
        unit.left_out
            .iter()
            .map(|one| {
                let mut one = one.clone();
                one.at.file = Arc::clone(&file);
                one
            })
            .collect::<Vec<_>>()
    );
    // A unit of which nothing is left is none.
    assert!(read("metrics: {counters: [{name: a}]}\n").is_err());
}

const COUNTER: &str = "metrics: {counters: [{name: c, help: h}]}";

#[test]
fn lives() {
    use crate::config::Lifecycle;
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
        diagnostics(&format!("lifecycle: ondemand\nkeepalive: 5\n{COUNTER}")),
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
        diagnostics(&format!(
            "maps: {{a: {{pin: maybe}}, b: {{max_entries: 4294967296, pine: true}}, c: 1}}\n{COUNTER}"
        )),
        ":1:17: error: expected `true` or `false` for `pin`, found `maybe`\n\
         :1:42: error: expected 1 to 4294967295 for `max_entries` of the map `b`, found 4294967296\n\
         :1:54: warning: unknown key `pine` in a map, did you mean `pin`?\n\
         :1:70: error: expected a map as a mapping of keys, found `1`"
    );
    assert!(
        diagnostics(&format!("maps: [a]\n{COUNTER}"))
            .contains("`maps: {NAME: {max_entries: 1024}}`")
    );
}

#[test]
fn what_is_missing_at_the_end_is_in_the_last_line() {
    let message = "error: not YAML: simple key expected";
    for (text, at) in [
        ("metrics:\n  a: b\n  c", ":3:4"),
        ("metrics:\r  a: b\r\n  c", ":3:4"),
    ] {
        assert_eq!(diagnostics(text), format!("{at}: {message}"));
    }
    let key = "metrics:\n  a:\n?  b:\n   c - d: e";
    assert!(
        diagnostics(key).starts_with(":4:12: error: "),
        "{}",
        diagnostics(key)
    );
}

#[test]
fn nothing_in_a_file_reaches_the_terminal_as_it_is() {
    let labels = "labels: [{name: \"a\\e[2J\\nb\", size: 4}]";
    let reported = diagnostics(&format!(
        "metrics: {{counters: [{{name: c, help: h, {labels}}}]}}"
    ));
    assert!(
        reported.contains("the label name `a [2J b` has more than"),
        "{reported}"
    );
    assert_eq!(
        reported.matches(char::is_control).count(),
        reported.lines().count() - 1
    );
}
