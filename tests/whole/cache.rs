//! What the host remembers of a key, and reading maps that change meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::harness::maps::number;
use crate::harness::parser::Format;
use crate::harness::{Body, Host, names, series};

const YAML: &str = "metrics: {counters: [{name: large_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

fn plugin_calls(body: &Body) -> f64 {
    let calls = body.series(names::PLUGIN_CALLS);
    assert!(!calls.is_empty(), "{} is exported", names::PLUGIN_CALLS);
    calls.values().sum()
}

#[test]
fn known_keys_cost_no_plugin_call() {
    let host = Host::start("large", YAML);
    let map = host.map("large_total");
    map.set_many((0..5000).map(|key| (key, u64::from(key) + 1)));
    host.text();
    // A body may say what was before its own scrape, or after it: so one more.
    let first = plugin_calls(&host.text());
    for _ in 0..5 {
        assert_eq!(plugin_calls(&host.text()), first);
        assert_eq!(plugin_calls(&host.open_metrics()), first);
    }
    // Values may change ...
    map.set_many((0..5000).map(|key| (key, u64::from(key) + 2)));
    let body = host.text();
    assert_eq!(
        body.value("ebpf_exporter_large_total", &[("n", "4999")]),
        Some(5001.0)
    );
    assert_eq!(plugin_calls(&host.text()), first);
    // ... and keys come and go: only new ones are asked for.
    map.delete(&number(0));
    host.text();
    assert_eq!(plugin_calls(&host.text()), first);
    map.set(&number(5000), 1);
    host.text();
    assert!(plugin_calls(&host.text()) > first);
}

#[test]
fn answers_that_may_change_are_asked_for_again() {
    let yaml = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: ifname}]}]}]}";
    crate::harness::network::in_own_namespace(move || {
        use crate::harness::network::ip;
        let host = Host::start("maps", yaml);
        host.map("k4_total").set(&number(4711), 1);
        assert_eq!(
            host.series("ebpf_exporter_k4_total"),
            series("it", &[("unknown:4711", 1.0)])
        );
        ip("link add late index 4711 type veth peer name late1");
        host.map("k4_total").set(&number(4711), 3);
        assert_eq!(
            host.series("ebpf_exporter_k4_total"),
            series("it", &[("late", 2.0), ("unknown:4711", 1.0)]),
            "what was counted by then stays where it was"
        );
    });
}

/// The rows of large_total: value by key. Python would take minutes for all of them.
fn rows(body: &str) -> HashMap<u32, f64> {
    let mut rows = HashMap::new();
    for line in body.lines() {
        let Some(rest) = line.strip_prefix("ebpf_exporter_large_total{n=\"") else {
            continue;
        };
        let (key, value) = rest.split_once("\"} ").unwrap();
        let replaced = rows.insert(key.parse().unwrap(), value.parse().unwrap());
        assert_eq!(replaced, None, "key {key} comes twice");
    }
    rows
}

#[test]
fn deleting_during_a_thousand_scrapes_loses_no_other_row() {
    const ENTRIES: u32 = 10_000;
    /// Keys from here on are deleted and put back all the time.
    const RESTLESS: u32 = 9_000;
    let host = Host::start("large", YAML);
    host.map("large_total")
        .set_many((0..ENTRIES).map(|key| (key, u64::from(key) + 1)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let map = host.map("large_total");
        scope.spawn(|| {
            let map = map;
            while !done.load(Ordering::Relaxed) {
                for key in RESTLESS..ENTRIES {
                    map.delete(&number(key));
                }
                for key in RESTLESS..ENTRIES {
                    map.set(&number(key), u64::from(key) + 1);
                }
            }
        });
        let scrapes = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for scrape in 0..1000 {
                let format = if scrape % 2 == 0 {
                    Format::Text
                } else {
                    Format::OpenMetrics
                };
                let body = host.fetch(format);
                let rows = rows(&body);
                for key in 0..RESTLESS {
                    assert_eq!(
                        rows.get(&key),
                        Some(&(f64::from(key) + 1.0)),
                        "key {key} in scrape {scrape}"
                    );
                }
                for (key, value) in rows {
                    assert!(
                        key < ENTRIES && value == f64::from(key) + 1.0,
                        "{key} {value}"
                    );
                }
                if scrape % 250 < 2 {
                    Body::parse(format, &body);
                }
            }
        }));
        done.store(true, Ordering::Relaxed);
        scrapes.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_eq!(
        host.text()
            .value(names::DECODER_ERRORS, &[("config", "unit")]),
        Some(0.0)
    );
}
