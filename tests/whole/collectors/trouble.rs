//! Collectors that misbehave beside a unit of maps and a good collector: theirs is missing,
//! everything else is there.

use std::fs;
use std::time::{Duration, Instant};

use super::lab;
use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::parser::{Body, Format};
use crate::harness::{Setup, eventually};

const BAD: [(&str, &str); 9] = [
    ("loop", "cpu"),
    ("trap", "trap"),
    ("memory", "memory"),
    ("series", "series"),
    ("lie", "malformed"),
    ("twice", "malformed"),
    ("names", "malformed"),
    ("fail", "unreachable"),
    ("ask", "invalid"),
];

#[test]
fn each_costs_its_own_families_alone() {
    let mut setup = Setup::new()
        .unit(
            "maps",
            "maps",
            "metrics: {counters: [{name: hash_total, help: h, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}\n",
        )
        .file("lab.wasm", fs::read(lab()).unwrap())
        .file("good.yaml", "collectors: [{name: kinds}]\n");
    for (does, _) in BAD {
        let yaml =
            format!("collectors: [{{name: {does}, plugin: lab, options: {{does: {does}}}}}]\n");
        setup = setup.file(&format!("{does}.yaml"), yaml);
    }
    let host = setup.start();
    host.map("hash_total").set(&number(1), 42);
    let started = Instant::now();
    let body = host.text();
    assert!(
        started.elapsed() < Duration::from_secs(11),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(body.value("kinds_unknown", &[]), Some(4.0));
    assert_eq!(
        body.value("ebpf_exporter_hash_total", &[("n", "1")]),
        Some(42.0)
    );
    assert!(body.series("lab_answer").is_empty());
    assert!(body.series("lab_many").is_empty());
    let log = eventually("each has its line in the log", || {
        let log = host.log();
        let lines = log.matches("its families are left out").count();
        (lines >= BAD.len()).then_some(log)
    });
    for (does, reason) in BAD {
        let own = [("config", does), ("collector", does)];
        assert_eq!(
            body.value("exporter_host_collector_success", &own),
            Some(0.0),
            "{does}"
        );
        let failed = |reason| {
            let failures = [own[0], own[1], ("reason", reason)];
            body.value("exporter_host_collector_failures_total", &failures)
        };
        // A machine that does other things leaves a call no CPU time.
        let is_starved = reason == "cpu" && failed("starved") == Some(1.0);
        assert!(failed(reason) == Some(1.0) || is_starved, "{does}");
        assert_says(
            &log,
            &[&format!("config={does} "), "its families are left out"],
        );
    }
    assert_says(
        &log,
        &[
            "config=series",
            "its answer has 25001 series, the limit is 20000",
        ],
    );
    assert_says(
        &log,
        &[
            "config=lie",
            "family `lab_lie_total`: series `{}`: a counter is -1",
        ],
    );
    assert_says(
        &log,
        &[
            "config=twice",
            "family `lab_twice`: series `{a=\\\"1\\\"}` is there twice",
        ],
    );
    // The next two are as good, and after three the breaker is open: nobody waits for the loop any
    // more.
    for _ in 0..2 {
        let text = host.fetch(Format::Text);
        assert!(text.contains("\nkinds_unknown 4\n"), "{text}");
    }
    let started = Instant::now();
    let text = host.fetch(Format::Text);
    let took = started.elapsed();
    assert!(took < Duration::from_millis(1900), "{took:?}");
    let body = Body::parse(Format::Text, &text);
    let failures = [("collector", "loop"), ("reason", "back-off")];
    assert_eq!(
        body.value("exporter_host_collector_failures_total", &failures),
        Some(1.0)
    );
    // What is a device's doing is asked again each time.
    let failures = [("collector", "fail"), ("reason", "unreachable")];
    assert_eq!(
        body.value("exporter_host_collector_failures_total", &failures),
        Some(4.0)
    );
}
