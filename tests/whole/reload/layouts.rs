//! Another object whose maps look like those of the version before, and are not.

use std::fs;

use super::{asked, install_object, on_request, reload, reload_fails, simple};
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::{Host, Setup};

/// Of layout.bpf.c.
fn io() -> String {
    let counter = |name: &str, map: &str, value: &str| {
        format!(
            "{{name: {name}, map: {map}, {value} help: Test., labels: [\
             {{name: n, size: 4, decoders: [{{name: uint}}]}}]}}"
        )
    };
    format!(
        "metrics: {{counters: [{}, {}, {}]}}",
        counter("reads_total", "io", "value: reads,"),
        counter("writes_total", "io", "value: writes,"),
        counter("kept_total", "kept_total", "")
    )
}

fn counts(host: &Host) -> [Option<f64>; 3] {
    ["reads_total", "writes_total", "kept_total"].map(|name| {
        let name = format!("ebpf_exporter_{name}");
        host.text().value(&name, &[("n", "3")])
    })
}

const BEGINS: &str = "the member `reads` of its value was at byte 0, is now at byte 8";

#[test]
fn a_map_of_another_layout_begins_anew() {
    let host = on_request(Setup::new().unit("unit", "layout", &io())).start();
    watch_me(&host);
    fire(3, 2);
    assert_eq!(counts(&host), [Some(2.0), Some(0.0), Some(2.0)]);
    install_object(host.path(), "unit", "layout-again");
    // Whoever asks before hears the same.
    let plan = Setup::verb(&["plan", host.path().to_str().unwrap()])
        .argument(format!("--host=http://{}", host.address()))
        .run();
    let words = ["map `io` begins anew", "counts start at 0", BEGINS];
    assert_says(&plan.stdout, &[&["unit: replace"][..], &words].concat());
    assert!(!plan.stdout.contains("kept_total"), "{}", plan.stdout);
    let mut lines = host.log_from_now();
    reload(&host);
    lines.next(&["map=io", "begins anew", BEGINS]);
    fire(3, 1);
    assert_eq!(counts(&host), [Some(1.0), Some(0.0), Some(3.0)]);
}

/// What was refused must not run, whatever it shares with what runs.
#[test]
fn programs_are_never_shared() {
    let yaml = simple("calls_total", "Test.");
    let host = asked().unit("tail", "tail", &yaml).start();
    watch_me(&host);
    fire(3, 2);
    let calls = |version: &str| {
        host.text()
            .value("ebpf_exporter_calls_total", &[("n", version)])
    };
    assert_eq!((calls("1"), calls("2")), (Some(2.0), None));
    install_object(host.path(), "tail", "tail-unattachable");
    reload_fails(
        &host,
        &["tail: failed", "program broken cannot be attached"],
    );
    fire(3, 3);
    assert_eq!((calls("1"), calls("2")), (Some(5.0), None));
    // The same objects, which can be followed: the map with the counts goes on.
    install_object(host.path(), "tail", "tail-again");
    let mut lines = host.log_from_now();
    reload(&host);
    lines.next(&["map=jumps", "its entries are programs"]);
    fire(3, 1);
    assert_eq!((calls("1"), calls("3")), (Some(5.0), Some(1.0)));
    fs::remove_file(host.path().join("tail.yaml")).unwrap();
    reload(&host);
}
