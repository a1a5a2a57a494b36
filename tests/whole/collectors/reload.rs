//! Collectors that change while the host runs.

use std::fs;

use super::{lab, with_lab};
use crate::harness::{Setup, eventually};

#[test]
fn options_paths_and_whole_collectors_follow_the_yaml() {
    let host = with_lab(
        "  - {name: lab, options: {text: one}, probe_path: /a, mode: both}\n",
        "",
    )
    .start();
    let text = |wanted: &str| {
        eventually(wanted, || {
            host.text().value("lab_answer", &[("text", wanted)])
        })
    };
    text("one");
    assert_eq!(host.get("/a", &[]).status, 200);
    let write = |yaml: &str| fs::write(host.path().join("unit.yaml"), yaml).unwrap();
    write(
        "collectors:\n  - {name: lab, options: {text: two}, probe_path: /b, mode: both}\n  - name: kinds\n",
    );
    text("two");
    assert_eq!(
        (host.get("/a", &[]).status, host.get("/b", &[]).status),
        (404, 200)
    );
    assert_eq!(host.text().value("kinds_unknown", &[]), Some(4.0));
    // A version that cannot be opened changes nothing.
    let mut log = host.log_from_now();
    write("collectors:\n  - {name: lab, options: {does: refuse}}\n");
    log.next(&["config=unit", "`does` is refused"]);
    text("two");
    assert_eq!(host.get("/b", &[]).status, 200);
    write("collectors:\n  - name: kinds\n");
    eventually("the lab is gone", || {
        host.text().series("lab_answer").is_empty().then_some(())
    });
    let own = [("collector", "lab")];
    assert_eq!(
        host.text().value("exporter_host_collector_success", &own),
        None
    );
    assert_eq!(host.get("/b", &[]).status, 404);
    // And without its unit everything is.
    fs::remove_file(host.path().join("unit.yaml")).unwrap();
    eventually("the unit is gone", || {
        host.text().series("kinds_unknown").is_empty().then_some(())
    });
    assert_eq!(host.get("/probe?module=kinds", &[]).status, 400);
}

#[test]
fn a_plugin_dropped_in_makes_its_series_appear() {
    let host = Setup::new().file("other.yaml", "collectors: []\n").start();
    fs::write(
        host.path().join("unit.yaml"),
        "collectors: [{name: kinds}]\n",
    )
    .unwrap();
    let plugin = host.path().join("lab.wasm");
    fs::copy(lab(), host.path().join(".lab.wasm.part")).unwrap();
    fs::rename(host.path().join(".lab.wasm.part"), &plugin).unwrap();
    eventually("the series are there", || {
        host.text().value("kinds_unknown", &[])
    });
}
