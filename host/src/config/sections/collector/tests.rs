//! What `collectors` means, and every sentence about a bad one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::config::{CollectorConfig, CollectorMode, Strictness, read_unit};

const STRICT: Strictness = Strictness {
    keys: true,
    metrics: true,
};

fn read(yaml: &str) -> Result<Vec<CollectorConfig>, String> {
    let file = Arc::new(PathBuf::from("u.yaml"));
    let text = |diagnostics: Vec<crate::config::Diagnostic>| {
        let lines: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
        lines.join("\n").replace("u.yaml:", "")
    };
    match read_unit("u", &file, yaml.as_bytes(), STRICT) {
        Ok(read) => Ok(read.config.collectors),
        Err(unreadable) => Err(text(unreadable.diagnostics)),
    }
}

/// One collector, in flow style.
fn one(fields: &str) -> Result<CollectorConfig, String> {
    read(&format!("collectors:\n  - {{{fields}}}\n")).map(|mut list| list.remove(0))
}

#[test]
fn a_name_is_enough() {
    let file = Arc::new(PathBuf::from("u.yaml"));
    let unit = read_unit("u", &file, b"collectors: [{name: cpustat}]", STRICT).unwrap();
    assert_eq!(unit.config.object, None, "no object is needed");
    let collector = &unit.config.collectors[0];
    assert_eq!(collector.plugin.name, "cpustat");
    assert_eq!(collector.plugin.options, json!({}));
    assert_eq!(collector.mode, CollectorMode::Both);
    assert!(!collector.needs_target());
    assert_eq!(collector.target_label, "instance");
    assert_eq!((collector.timeout, collector.interval), (None, None));
}

#[test]
fn everything_that_can_be_said() {
    let collectors = read(
        r#"
collectors:
  - name: tuners
    plugin: hdhomerun/device
    options: {timeout: 1s, deep: {list: [1, "2"]}, nothing: ~}
    targets: [10.0.0.1, "hdhr.lan:65001"]
    target_label: target
    labels: {site: home, floor: 2}
    timeout: 2s
    interval: 30s
    probe_path: /hdhomerun
  - name: other
    probe_path: /other
"#,
    )
    .unwrap();
    let tuners = &collectors[0];
    assert_eq!(tuners.plugin.name, "hdhomerun/device");
    assert_eq!(
        tuners.plugin.options,
        json!({"timeout": "1s", "deep": {"list": [1, "2"]}})
    );
    assert_eq!(tuners.targets, ["10.0.0.1", "hdhr.lan:65001"]);
    assert_eq!(tuners.target_label, "target");
    let labels = [("site", "home"), ("floor", "2")];
    assert_eq!(
        tuners.labels,
        labels.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(tuners.timeout, Some(Duration::from_secs(2)));
    assert_eq!(tuners.interval, Some(Duration::from_secs(30)));
    assert_eq!(tuners.probe_path.as_deref(), Some("/hdhomerun"));
    assert_eq!(tuners.mode, CollectorMode::Both);
    assert!(tuners.needs_target());
    assert_eq!(collectors[1].mode, CollectorMode::Probe);
    assert!(collectors[1].needs_target());
}

#[test]
fn the_same_in_another_place_is_the_same() {
    let (a, b) = (one("name: a, timeout: 2s"), one("timeout: 2000ms, name: a"));
    assert!(*a.as_ref().unwrap() == b.unwrap());
    for other in [
        "name: a",
        "name: b, timeout: 2s",
        "name: a, timeout: 2s, options: {x: 1}",
    ] {
        assert!(*a.as_ref().unwrap() != one(other).unwrap(), "{other}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (fields, message) in [
        (
            "plugin: x",
            "2:5: error: a collector needs a `name`, e.g. that of its plugin",
        ),
        (
            "name: a/b",
            "2:12: error: the collector name `a/b` has a '/', but it is made of letters, digits, `_`, `-` and `.`",
        ),
        (
            "name: a, target: [x]",
            "2:15: error: unknown key `target` in a collector, did you mean `targets`?",
        ),
        (
            "name: a, targets: x",
            "2:24: error: expected a list of targets for `targets`, found `x`: write `- …` or `[…]`",
        ),
        (
            "name: a, targets: [x, x]",
            "2:28: error: the target `x` is there twice",
        ),
        (
            "name: a, targets: [~]",
            "2:25: error: expected a target in `targets`, found nothing",
        ),
        (
            "name: a, options: [x]",
            "2:24: error: expected a mapping of keys for `options`, found a list",
        ),
        (
            "name: a, mode: prob",
            "2:21: error: unknown mode `prob` of a collector, did you mean `probe`?",
        ),
        (
            "name: a, mode: probe, targets: [x]",
            "2:37: error: `targets` has no effect with `mode: probe`: targets are those of a scrape, a probe brings its own",
        ),
        (
            "name: a, mode: scrape, probe_path: /a",
            "2:41: error: `probe_path` has no effect with `mode: scrape`: there are no probes of this collector",
        ),
        (
            "name: a, interval: 10ms",
            "2:25: error: `interval` is 10ms, the least is 1s",
        ),
        (
            "name: a, timeout: 5",
            "2:24: error: `timeout`: the duration `5` has a number without a unit: add one of ns, us, ms, s, m, h",
        ),
        (
            "name: a, target_label: a-b",
            "2:29: error: the target label `a-b` has a '-', but a label's name is made of letters, digits and `_`: write `a_b`?",
        ),
        (
            "name: a, labels: {instance: x}",
            "2:23: error: the label `instance` of `labels` is the targets' own: choose another `target_label`",
        ),
        (
            "name: a, labels: {__x: x}",
            "2:24: error: the label name `__x` starts with `__`, which Prometheus keeps for itself",
        ),
        (
            "name: a, probe_path: a",
            "2:27: error: `probe_path` `a`: expected a path that starts with `/`, e.g. `/hdhomerun`",
        ),
        (
            "name: a, probe_path: /metrics/a",
            "2:27: error: `probe_path` `/metrics/a`: this path is a page of the exporter's own: choose another",
        ),
        (
            "name: a, probe_path: /-/ready",
            "2:27: error: `probe_path` `/-/ready`: this path is a page of the exporter's own: choose another",
        ),
        (
            "name: a, probe_path: '/{x}'",
            "2:27: error: `probe_path` `/{x}`: expected letters, digits, `/`, `-`, `_`, `.` and `~` only, found '{'",
        ),
    ] {
        assert_eq!(one(fields).unwrap_err(), message, "{fields}");
    }
}

#[test]
fn names_and_paths_are_there_once() {
    let diagnostics =
        read("collectors:\n- {name: a, probe_path: /p}\n- {name: a, probe_path: /p}\n");
    assert_eq!(
        diagnostics.unwrap_err(),
        "3:3: error: duplicate collector `a`: it is already at 2:3\n\
         3:3: error: duplicate `probe_path` `/p`: the collector at 2:3 has it already"
    );
}
