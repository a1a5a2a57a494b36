//! Units that come and go.

use std::fs;

use super::{
    changed, events, in_kernel, install, install_object, programs, setup, simple, successful,
};
use crate::harness::event::{fire, watch_me};
use crate::harness::scraper::Scraper;
use crate::harness::{Host, eventually, names};

/// Every label of every sample: nothing says this name.
fn nothing_says(host: &Host, unit: &str) {
    let body = host.text();
    for sample in body.samples() {
        assert!(
            sample.labels.values().all(|value| value != unit),
            "{sample:?}"
        );
    }
    assert!(
        !host
            .get("/", &[])
            .text()
            .contains(&format!(">{unit}</a></td>"))
    );
}

#[test]
fn a_unit_comes_and_goes() {
    let host = setup().start();
    watch_me(&host);
    fire(3, 2);
    let scraper = Scraper::wants(host.address(), &[super::EVENTS]);
    let kept = programs(&host, "unit");
    for round in 0..5 {
        let mut lines = host.log_from_now();
        install_object(host.path(), "new", "attach");
        install(&host.path().join("new.yaml"), simple("seen_total", "New."));
        assert_eq!(changed(&host, &mut lines), (1, 0));
        watch_me(&host);
        fire(3, 1);
        let body = host.text();
        // Each of its programs: of a raw, a typed and a classic tracepoint.
        for kind in ["1", "2", "3"] {
            assert_eq!(
                body.value("ebpf_exporter_seen_total", &[("n", kind)]),
                Some(1.0),
                "{kind}\n{}",
                host.log()
            );
        }
        let ids = programs(&host, "new");
        assert!(
            ids.len() >= 3 && ids.iter().all(|&id| in_kernel(id)),
            "{ids:?}"
        );
        assert_eq!(successful(&host, "new"), (true, true));
        assert_eq!(
            body.value(names::ENABLED_CONFIGS, &[("name", "new")]),
            Some(1.0)
        );

        fs::remove_file(host.path().join("new.yaml")).unwrap();
        assert_eq!(changed(&host, &mut lines), (1, 0), "round {round}");
        eventually("its programs are gone", || {
            (!ids.iter().any(|&id| in_kernel(id))).then_some(())
        });
        assert!(host.series("ebpf_exporter_seen_total").is_empty());
        nothing_says(&host, "new");
        fs::remove_file(host.path().join("new.bpf.o")).unwrap();
    }
    scraper.finish();
    assert_eq!(programs(&host, "unit"), kept);
    assert_eq!(super::count(&host, "argument", "3"), Some(7.0));
}

#[test]
fn a_unit_waits_for_its_object() {
    let host = setup().start();
    let mut lines = host.log_from_now();
    install(&host.path().join("new.yaml"), simple("k4_total", "New."));
    assert_eq!(changed(&host, &mut lines), (0, 1));
    assert_eq!(successful(&host, "new"), (false, false));
    assert!(host.get("/", &[]).text().contains("new.bpf.o"));
    install_object(host.path(), "new", "maps");
    assert_eq!(changed(&host, &mut lines), (1, 0));
    assert_eq!(successful(&host, "new"), (true, true));
}

#[test]
fn a_unit_that_never_ran_goes_without_a_trace() {
    let host = setup().start();
    let mut lines = host.log_from_now();
    install(&host.path().join("new.yaml"), "metrics: [");
    assert_eq!(changed(&host, &mut lines), (0, 1));
    assert_eq!(successful(&host, "new"), (false, false));
    fs::remove_file(host.path().join("new.yaml")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    nothing_says(&host, "new");
    assert_eq!(successful(&host, "unit"), (true, true));
}

/// The last unit may go too: the host stays for those to come.
#[test]
fn a_directory_may_become_empty() {
    let host = setup().start();
    let mut lines = host.log_from_now();
    let ids = programs(&host, "unit");
    fs::remove_file(host.path().join("unit.yaml")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    nothing_says(&host, "unit");
    eventually("its programs are gone", || {
        (!ids.iter().any(|&id| in_kernel(id))).then_some(())
    });
    install(
        &host.path().join("unit.yaml"),
        events("Back.", "argument", ""),
    );
    assert_eq!(changed(&host, &mut lines), (1, 0));
    watch_me(&host);
    fire(3, 2);
    assert_eq!(super::count(&host, "argument", "3"), Some(2.0));
}
