//! Plugins that come and change while the host runs.

use std::fs;

use super::{EVENTS, asked, changed, count, events, install, programs, reload, setup, successful};
use crate::harness::event::{fire, watch_me};
use crate::harness::plugin::spoken;
use crate::harness::scraper::Scraper;
use crate::harness::{http, names};

fn with_plugin() -> String {
    events("Spoken.", "argument", ", {name: spoken}")
}

#[test]
fn a_plugin_comes_changes_breaks_and_goes() {
    let host = setup().start();
    watch_me(&host);
    fire(3, 2);
    let program = programs(&host, "unit");
    let scraper = Scraper::wants(host.address(), &[EVENTS]);
    let mut lines = host.log_from_now();
    let plugin = host.path().join("spoken.wasm");

    // Nobody offers it yet.
    install(&host.path().join("unit.yaml"), with_plugin());
    assert_eq!(changed(&host, &mut lines), (0, 1));
    assert!(host.get("/", &[]).text().contains("spoken"));
    assert_eq!(count(&host, "argument", "3"), Some(2.0));

    install(&plugin, fs::read(spoken("first")).unwrap());
    assert_eq!(changed(&host, &mut lines), (1, 0));
    // What was counted under other names stays there.
    assert_eq!(count(&host, "argument", "first 3"), Some(0.0));
    assert_eq!(count(&host, "argument", "3"), Some(2.0));
    assert_eq!(successful(&host, "unit"), (true, true));

    // A unit that comes later can use it too.
    let other = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}, {name: spoken/spoken}]}]}]}";
    super::install_object(host.path(), "other", "maps");
    install(&host.path().join("other.yaml"), other);
    assert_eq!(changed(&host, &mut lines), (1, 0));
    host.map("k4_total").set(&[9, 0, 0, 0], 1);
    assert_eq!(
        host.text()
            .value("ebpf_exporter_k4_total", &[("n", "first 9")]),
        Some(1.0)
    );

    // Another version: other labels for both units.
    install(&plugin, fs::read(spoken("second")).unwrap());
    assert_eq!(changed(&host, &mut lines), (2, 0));
    assert_eq!(count(&host, "argument", "second 3"), Some(0.0));
    assert_eq!(
        host.text()
            .value("ebpf_exporter_k4_total", &[("n", "second 9")]),
        Some(0.0)
    );

    // Broken ones: what runs is what ran.
    let good = fs::read(spoken("second")).unwrap();
    for broken in [
        &b""[..],
        b"#!/bin/sh\n",
        &good[..good.len() / 2],
        b"\0asm\x01\0\0\0",
    ] {
        install(&plugin, broken);
        assert_eq!(changed(&host, &mut lines), (0, 1));
        fire(3, 1);
        fire(7, 1);
        assert!(
            count(&host, "argument", "second 7").is_some(),
            "the last good version is asked still"
        );
        assert_eq!(successful(&host, "unit"), (true, false));
    }
    assert_eq!(count(&host, "argument", "second 3"), Some(4.0));
    install(&plugin, &good);
    host.signal(crate::harness::sys::SIGHUP);
    lines.next(&["msg=reloaded"]);
    assert_eq!(successful(&host, "unit"), (true, true));

    // Gone: so is what it was used for, but the units stay.
    fs::remove_file(&plugin).unwrap();
    assert_eq!(changed(&host, &mut lines), (0, 2));
    assert_eq!(count(&host, "argument", "second 3"), Some(4.0));
    install(
        &host.path().join("unit.yaml"),
        events("Plain.", "argument", ""),
    );
    fs::remove_file(host.path().join("other.yaml")).unwrap();
    assert_eq!(changed(&host, &mut lines), (2, 0));
    assert_eq!(count(&host, "argument", "3"), Some(2.0));
    fire(3, 1);
    assert_eq!(count(&host, "argument", "3"), Some(3.0));
    scraper.finish();
    assert_eq!(programs(&host, "unit"), program);
}

#[test]
fn a_directory_of_plugins() {
    let plugins = tempfile::tempdir().unwrap();
    let host = asked()
        .argument(format!("--plugin.dir={}", plugins.path().display()))
        .start();
    watch_me(&host);
    fire(3, 2);
    install(
        &plugins.path().join("spoken.wasm"),
        fs::read(spoken("first")).unwrap(),
    );
    install(&host.path().join("unit.yaml"), with_plugin());
    reload(&host);
    assert_eq!(count(&host, "argument", "first 3"), Some(2.0));
    // The same name in both directories: one of them is refused, and the answer says so.
    install(
        &host.path().join("spoken.wasm"),
        fs::read(spoken("second")).unwrap(),
    );
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 500);
    assert!(
        response.text().contains("spoken.wasm"),
        "{}",
        response.text()
    );
    assert!(
        host.text()
            .value(names::PLUGIN_CALLS, &[("plugin", "spoken")])
            .is_some()
    );
    fs::remove_file(host.path().join("spoken.wasm")).unwrap();
    reload(&host);
    assert_eq!(count(&host, "argument", "first 3"), Some(2.0));
}
