//! Another object: the old version serves until the new one does, and its counts go on where its
//! maps do.

use std::fs;

use super::{
    EVENTS, asked, count, events, install, install_object, programs, reload, reload_fails, simple,
    successful,
};
use crate::harness::event::{fire, watch_me};
use crate::harness::scraper::Scraper;
use crate::harness::{Host, eventually, names};

/// The reload fails and says why, everywhere; the version before goes on counting.
fn stays(host: &Host, so_far: &mut f64, words: &[&str]) {
    let program = programs(host, "unit");
    reload_fails(host, &[&["unit: failed"], words].concat());
    assert_eq!(successful(host, "unit"), (false, false));
    assert_eq!(programs(host, "unit"), program);
    let page = host.get("/", &[]);
    assert!(
        page.text()
            .contains("keeping the previous version, the new one failed"),
        "{}",
        page.text()
    );
    for word in words {
        assert!(page.text().contains(word), "{word}: {}", page.text());
    }
    fire(3, 2);
    *so_far += 2.0;
    assert_eq!(count(host, "argument", "3"), Some(*so_far));
}

#[test]
fn a_version_that_cannot_run_leaves_the_one_before_in_service() {
    let host = asked().start();
    watch_me(&host);
    fire(3, 1);
    let mut so_far = 1.0;
    let scraper = Scraper::wants(
        host.address(),
        &[
            EVENTS,
            names::PROGRAM_INFO,
            "ebpf_exporter_enabled_configs{name=\"unit\"} 1",
        ],
    );
    install(&host.path().join("unit.bpf.o"), "garbage");
    stays(&host, &mut so_far, &["unit.bpf.o"]);
    install(&host.path().join("unit.bpf.o"), b"");
    stays(&host, &mut so_far, &["unit.bpf.o"]);
    // No such target in the kernel's BTF.
    install_object(host.path(), "unit", "events-no-target");
    stays(
        &host,
        &mut so_far,
        &["exporter_host_has_no_such_tracepoint"],
    );
    install_object(host.path(), "unit", "events-unattachable");
    stays(&host, &mut so_far, &["count_event"]);
    install_object(host.path(), "unit", "events-other-key");
    stays(&host, &mut so_far, &["events_total", "20", "4"]);
    // No such map.
    install_object(host.path(), "unit", "refused");
    stays(&host, &mut so_far, &["events_total"]);
    fs::remove_file(host.path().join("unit.bpf.o")).unwrap();
    stays(&host, &mut so_far, &["unit.bpf.o"]);
    // A file that is what it was is what runs already.
    install_object(host.path(), "unit", "events");
    let message = reload(&host);
    assert!(
        message.starts_with("0 changed, 1 kept, 0 failed"),
        "{message}"
    );
    assert_eq!(successful(&host, "unit"), (true, true));
    assert!(!host.get("/", &[]).text().contains("goes on"));
    assert_eq!(count(&host, "argument", "3"), Some(so_far));
    scraper.finish();
}

#[test]
fn a_good_version_goes_on_counting_in_the_same_map() {
    let host = asked().start();
    watch_me(&host);
    fire(3, 2);
    fire(300, 1);
    let before = *programs(&host, "unit").first().unwrap();
    let map = host.map("events_total").id();
    let scraper = Scraper::wants(host.address(), &[EVENTS, names::PROGRAM_INFO]);
    install_object(host.path(), "unit", "events-again");
    let message = reload(&host);
    assert!(message.contains("\nunit: replace\n"), "{message}");
    crate::harness::host::assert_says(&host.log(), &["large_total", "start at 0"]);
    fire(3, 2);
    fire(300, 1);
    assert_eq!(count(&host, "argument", "3"), Some(4.0));
    assert_eq!(
        count(&host, "argument", "300"),
        Some(1.0),
        "the new version counts large ones elsewhere"
    );
    assert_eq!(host.map("events_total").id(), map);
    scraper.finish();
    let programs = programs(&host, "unit");
    assert!(!programs.contains(&before), "{programs:?}");
    eventually("the old version's program is gone", || {
        (!super::in_kernel(before)).then_some(())
    });
    assert_eq!(successful(&host, "unit"), (true, true));

    // And its other map can be had by the YAML alone.
    install(
        &host.path().join("unit.yaml"),
        simple("large_total", "Test."),
    );
    let message = reload(&host);
    assert!(message.contains("\nunit: reshape\n"), "{message}");
    assert_eq!(
        host.text()
            .value("ebpf_exporter_large_total", &[("n", "300")]),
        Some(1.0)
    );
}

#[test]
fn a_map_that_has_changed_begins_anew_and_the_log_says_so() {
    let host = asked().start();
    watch_me(&host);
    fire(3, 2);
    let map = host.map("events_total").id();
    install_object(host.path(), "unit", "events-other-key");
    install(
        &host.path().join("unit.yaml"),
        simple("events_total", "Test."),
    );
    let message = reload(&host);
    assert!(message.contains("\nunit: replace\n"), "{message}");
    crate::harness::host::assert_says(&host.log(), &["events_total", "start at 0"]);
    // The map that says whose events count is the same one.
    fire(3, 1);
    assert_eq!(count(&host, "n", "3"), Some(1.0));
    assert_ne!(host.map("events_total").id(), map);
}

/// While one version takes over from the other both are attached for a moment. What comes then may
/// count twice; it is never lost.
#[test]
fn a_stream_of_events_is_not_interrupted() {
    let host = asked().start();
    watch_me(&host);
    let mut fired = 0_u32;
    for round in 0..10 {
        let object = if round % 2 == 0 {
            "events-again"
        } else {
            "events"
        };
        install_object(host.path(), "unit", object);
        std::thread::scope(|threads| {
            let reloaded = threads.spawn(|| reload(&host));
            while !reloaded.is_finished() {
                fire(3, 100);
                fired += 100;
            }
            let message = reloaded.join().unwrap();
            assert!(message.contains("\nunit: replace\n"), "{message}");
        });
    }
    let counted = count(&host, "argument", "3").unwrap();
    eprintln!("over 10 replacements: {fired} events, {counted} counted");
    assert!(counted >= f64::from(fired), "{counted} of {fired}");
    // Both versions count only while one is put in the other's place, not while the new one is
    // being loaded.
    assert!(counted <= f64::from(fired) * 1.1, "{counted} of {fired}");
    install(
        &host.path().join("unit.yaml"),
        events("Again.", "argument", ""),
    );
    reload(&host);
    fire(3, 1);
    assert_eq!(count(&host, "argument", "3"), Some(counted + 1.0));
}

const SAMPLES: &str = "samples_total";

#[test]
fn samples_of_a_perf_event_array_come_to_the_version_in_service() {
    let versions = ["perf-array", "perf-array-again", "perf-array-anew"];
    samples_come_to_the_version_in_service("perf_event_array", &versions);
}

#[test]
fn samples_of_a_ring_buffer_come_to_the_version_in_service() {
    let versions = ["ring-buffer", "ring-buffer-again", "ring-buffer"];
    samples_come_to_the_version_in_service("ringbuf", &versions);
}

/// `versions` of the object, which define the map in the same way.
fn samples_come_to_the_version_in_service(field: &str, versions: &[&str]) {
    let samples = |name: &str| {
        format!(
            "metrics: {{counters: [{{name: {name}, help: Test., {field}: true, labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
        )
    };
    let setup = crate::harness::Setup::new().unit("unit", versions[0], &samples(SAMPLES));
    let host = super::on_request(setup).start();
    let arrive = |name: &str, wanted: f64| {
        eventually("the samples have been counted", || {
            let value = host
                .text()
                .value(&format!("ebpf_exporter_{name}"), &[("n", "3")]);
            (value == Some(wanted)).then_some(())
        });
    };
    watch_me(&host);
    fire(3, 2);
    arrive(SAMPLES, 2.0);
    // Another name for the label: the same samples.
    install(
        &host.path().join("unit.yaml"),
        samples(SAMPLES).replace("Test.", "Again."),
    );
    reload(&host);
    fire(3, 2);
    arrive(SAMPLES, 4.0);
    // Another size of the key: samples cannot be counted any other way than as they come.
    let wide = samples(SAMPLES).replace("size: 4", "size: 4, padding: 16");
    install(&host.path().join("unit.yaml"), wide);
    reload(&host);
    fire(3, 3);
    arrive(SAMPLES, 3.0);
    for object in &versions[1..] {
        install_object(host.path(), "unit", object);
        reload(&host);
        fire(3, 1);
        arrive(SAMPLES, 1.0);
    }
}
