//! Nothing is lost: a stream of events under a hundred reloads and a scrape every 50 ms.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{
    EVENTS, events, install, install_object, on_request, programs, reload, reload_fails, setup,
    simple,
};
use crate::harness::event::{fire, watch_me};
use crate::harness::plugin::spoken;
use crate::harness::scraper::{Scraper, has, total};
use crate::harness::{Host, eventually, http};

const EACH: usize = 50;
/// Reloads after which memory and descriptors are what they will be: every kind of change has been
/// made.
const WARM_UP: usize = 20;
/// What freed memory that the allocator keeps, and the log's and telemetry's series, may add.
const SLACK_KIB: u64 = 8 << 10;

/// Another version of the counting unit: help, a label's name, decoders and their options, and a
/// plugin take turns.
fn shape(host: &Host, number: usize) {
    let help = format!("Version-{number}.");
    let label = if number % 4 < 2 { "argument" } else { "which" };
    let more = match number % 5 {
        0 => String::new(),
        1 | 2 => {
            format!(", {{name: static_map, allow_unknown: true, static_map: {{1: one-{number}}}}}")
        }
        3 => format!(
            ", {{name: static_map, static_map: {{0: zero, 1: one, 2: two, 3: '{number}'}}}}"
        ),
        _ => ", {name: spoken}".to_owned(),
    };
    let version = if number % 10 < 5 { "first" } else { "second" };
    let plugin = fs::read(spoken(version)).unwrap();
    install(&host.path().join("spoken.wasm"), plugin);
    install(
        &host.path().join("counted.yaml"),
        events(&help, label, &more),
    );
    // It may fail for the neighbour's sake.
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    let message = response.text();
    assert!(message.contains("\ncounted: reshape\n"), "{message}");
    assert!(!message.contains("\ncounted: failed"), "{message}");
    crate::capabilities::only_bpf_and_perfmon(host);
}

/// One thing happens to a neighbour: it comes, changes in each way, breaks in each way, is mended,
/// goes.
fn disturb(host: &Host, number: usize) {
    let yaml = host.path().join("neighbour.yaml");
    let object = host.path().join("neighbour.bpf.o");
    let expect = |wanted: &str| {
        let message = reload(host);
        assert!(message.contains(wanted), "{wanted}: {message}");
        assert!(!message.contains("\ncounted:"), "{message}");
    };
    match number % 10 {
        0 => {
            install(&yaml, simple("k4_total", "Neighbour."));
            install_object(host.path(), "neighbour", "maps");
            expect("neighbour: start");
        }
        1 => {
            install(&yaml, simple("k4_total", "Neighbour-again."));
            expect("neighbour: reshape");
        }
        2 => {
            install(&yaml, simple("seen_total", "Neighbour."));
            install_object(host.path(), "neighbour", "attach");
            expect("neighbour: replace");
        }
        3 => {
            install(&object, b"\x7fELF, more or less");
            reload_fails(host, &["neighbour: failed"]);
        }
        4 => {
            install_object(host.path(), "neighbour", "attach");
            expect("0 changed");
        }
        5 => {
            install(&yaml, "metrics: {counters: [");
            reload_fails(host, &["neighbour: failed"]);
        }
        6 => {
            install_object(host.path(), "neighbour", "refused");
            install(&yaml, simple("refused_total", "Neighbour."));
            reload_fails(host, &["neighbour: failed"]);
        }
        7 => {
            install_object(host.path(), "neighbour", "perf-array");
            let samples = "metrics: {counters: [{name: samples_total, help: Test., perf_event_array: true, \
                labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
            install(&yaml, samples);
            expect("neighbour: replace");
        }
        8 => {
            fs::remove_file(&object).unwrap();
            reload_fails(host, &["neighbour: failed"]);
        }
        _ => {
            fs::remove_file(&yaml).unwrap();
            expect("neighbour: stop");
        }
    }
}

/// KiB of memory and descriptors, of all processes together.
fn figures(host: &Host) -> (u64, usize) {
    let tree = host.tree();
    (tree.memory() >> 10, tree.descriptors())
}

/// In every scrape: the unit's series, which never go back, and what the host says of it.
fn watch_closely(host: &Host, program: u32) -> Scraper {
    let about = [
        EVENTS.to_owned(),
        "ebpf_exporter_enabled_configs{name=\"counted\"} 1".to_owned(),
        "exporter_host_unit_state{config=\"counted\"} 1".to_owned(),
        format!("ebpf_exporter_ebpf_program_attached{{id=\"{program}\"}} 1"),
    ];
    let mut before = 0.0;
    Scraper::start(host.address(), move |body| {
        has(body, &about)?;
        let now = total(body, "ebpf_exporter_events_total");
        if now < before {
            return Err(format!("{now} events after {before}"));
        }
        before = now;
        Ok(())
    })
}

#[test]
fn no_count_is_lost_and_no_series_missing_over_a_hundred_reloads() {
    let setup = setup();
    fs::remove_file(setup.path().join("unit.yaml")).unwrap();
    let host = on_request(
        setup
            .unit("counted", "events", &events("Test.", "argument", ""))
            .unit("another", "attach", &simple("seen_total", "Another.")),
    )
    .start();
    let program = *programs(&host, "counted").first().unwrap();
    let map = host.map("events_total").id();
    let stop = AtomicBool::new(false);
    let fired = thread::scope(|threads| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (host, stop) = (&host, &stop);
        let stream = threads.spawn(move || {
            watch_me(host);
            let mut fired = 0;
            while !stop.load(Ordering::Relaxed) {
                for argument in 0..4 {
                    fire(argument, 50);
                    fired += 50;
                }
                // A stream, not a flood: the other tests want to run too.
                thread::sleep(Duration::from_millis(1));
                if fired == 200 {
                    ready.send(()).unwrap();
                }
            }
            fired
        });
        is_ready.recv().unwrap();
        // Also when an assertion fails: the scope waits for the stream.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let scraper = watch_closely(host, program);
            for number in 0..WARM_UP {
                shape(host, number);
                disturb(host, number);
            }
            let before = figures(host);
            for number in 0..EACH {
                shape(host, number);
                disturb(host, number);
                assert_eq!(host.map("events_total").id(), map);
            }
            let scrapes = scraper.finish();
            eprintln!(
                "{scrapes} scrapes, before {before:?}, after {:?}",
                figures(host)
            );
            let (memory, descriptors) = before;
            eventually("as many descriptors as before", || {
                (figures(host).1 <= descriptors).then_some(())
            });
            let after = figures(host).0;
            assert!(
                after <= memory + SLACK_KIB,
                "{after} KiB after {memory} KiB"
            );
        }));
        stop.store(true, Ordering::Relaxed);
        let fired = stream.join().unwrap();
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        fired
    });
    assert_eq!(programs(&host, "counted"), [program].into());
    let counted: f64 = host.series("ebpf_exporter_events_total").values().sum();
    eprintln!("{fired} events, {counted} counted");
    assert_eq!(counted, f64::from(fired));
}
