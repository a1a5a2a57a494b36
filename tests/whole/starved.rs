//! Who only asks whether the host lives waits for nobody else's work: neither for walks nor for
//! plugins.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Setup;
use crate::harness::http::{connect, whole};
use crate::harness::parser::Format;
use crate::hostile::hostile;

const HUGE: &str = "metrics: {counters: [{name: huge_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

/// How long each of these took, sorted. One after the other, with a pause between two.
fn asked(address: SocketAddr, paths: &[&str], times: usize) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..times)
        .flat_map(|_| paths)
        .map(|path| {
            thread::sleep(Duration::from_millis(10));
            let begun = Instant::now();
            let answer = whole(address, path).expect("an answer");
            assert_eq!(answer.status, 200, "{path}");
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    took
}

/// Reads a body and keeps none of it. However it ends.
fn scrape(address: SocketAddr) {
    let mut stream = connect(address);
    let request = "GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let _sent = stream.write_all(request.as_bytes());
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

/// The machine of the tests is busy with other tests: the last few of a hundred are theirs.
fn are_prompt(what: &str, took: &[Duration]) {
    let part = |of_100: usize| took[(took.len() - 1) * of_100 / 100];
    let (half, p90, p99) = (part(50), part(90), part(99));
    eprintln!("{what}: {half:?} for half, {p90:?} for 90 %, {p99:?} for 99 %");
    assert!(p90 < Duration::from_millis(50), "{what}: {p90:?}");
    assert!(p99 < Duration::from_millis(500), "{what}: {p99:?}");
}

/// Two collectors that never end, on as many CPUs: all else is served meanwhile.
#[test]
fn endless_collectors_keep_no_thread_from_others() {
    let cpus = thread::available_parallelism().unwrap().get();
    let targets: Vec<String> = (0..cpus.max(2)).map(|n| format!("t{n}")).collect();
    let host = Setup::new()
        .file("hostile.wasm", fs::read(hostile(false)).unwrap())
        .file("hostile.plugin.yaml", "limits: {cpu: 10s}")
        .file(
            "bad.yaml",
            format!(
                "collectors: [{{name: hostile, timeout: 2s, targets: [{}], options: {{do: loop}}}}]",
                targets.join(", ")
            ),
        )
        .start();
    let address = host.address();
    let scraping = thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            (0..3)
                .map(|_| {
                    let headers = [
                        ("Accept", Format::Text.accept()),
                        ("X-Prometheus-Scrape-Timeout-Seconds", "3"),
                    ];
                    host.get("/metrics", &headers).status
                })
                .collect::<Vec<_>>()
        });
        are_prompt(
            "while collectors loop",
            &asked(address, &["/-/healthy", "/-/ready", "/"], 30),
        );
        scrapes.join().unwrap()
    });
    assert_eq!(scraping, [200, 200, 200]);
}

/// Eight scrapers of six maps of 150,000 entries each.
#[test]
fn walks_keep_nobody_waiting_who_asks_for_none() {
    let setup = (0..6).fold(Setup::new(), |setup, n| {
        setup.unit(&format!("huge{n}"), "huge", HUGE)
    });
    let host = setup.start();
    for map in host.maps("huge_total") {
        map.set_many((0..150_000).map(|n| (n, 1)));
    }
    let address = host.address();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    scrape(address);
                }
            });
        }
        let took = asked(address, &["/-/healthy", "/-/ready", "/"], 50);
        stop.store(true, Ordering::Relaxed);
        are_prompt("while maps are walked", &took);
    });
}
