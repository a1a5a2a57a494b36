//! How near to the truth `increase()` of sums over the keys of an LRU map comes.
//!
//! Processes come and go at three rates and make events at the same rate; a BPF program counts them
//! by process in LRU maps, and the label is the process' group only. A real Prometheus scrapes each
//! second. The program knows how many events there were; it also walks the maps right before each
//! scrape of the host, and so knows what a perfect observer of the walks can know. The same events
//! are counted by another host at the same time, of before, if `EXPORTER_HOST_BEFORE` names one.
//!
//! ```text
//! cargo build --release -p exporter-host && cargo bench -p exporter-host-tests --bench increase
//! ```
//!
//! Prints Markdown. After `--`: `--seconds 60`. Needs root and `prometheus`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to a terminal and ends by panicking"
)]

#[path = "../../whole/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests' harness; a benchmark needs some of it"
)]
mod harness;
mod load;
mod observer;

use std::env;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libbpf_rs::MapHandle;
use serde_json::Value;
use tempfile::TempDir;

use harness::event::watch_me;
use harness::maps::number;
use harness::objects::{build, repository};
use harness::prometheus::Prometheus;
use harness::{Host, Setup, eventually};
use load::Processes;
use observer::{Observer, proxy};

/// The maps, and how many processes a second begin there.
const MAPS: [(&str, u64); 3] = [
    ("slow_total", 50),
    ("middle_total", 300),
    ("fast_total", 1000),
];
/// Events a second in each map.
const RATE: u64 = 3000;
const GROUPS: usize = 8;

/// A host that is measured, by its job in Prometheus.
struct Subject {
    job: &'static str,
    host: Host,
    /// Its plugins, compiled: versions do not share them.
    _cache: TempDir,
}

impl Subject {
    fn start(job: &'static str, setup: Setup) -> Self {
        let metrics = MAPS.map(|(name, _)| {
            format!("{{name: {name}, help: Events., labels: [{{name: group, size: 4, padding: 4, decoders: [{{name: uint}}]}}]}}")
        });
        let yaml = format!("metrics: {{counters: [{}]}}", metrics.join(", "));
        let cache = tempfile::tempdir().unwrap();
        let setup = setup
            .file("churn.yaml", yaml)
            .argument("--config.watch=off")
            .argument(format!("--plugin.cache-dir={}", cache.path().display()));
        build(
            setup.path(),
            &[&repository().join("tests/benches/increase")],
        );
        let host = setup.start();
        watch_me(&host);
        Self {
            job,
            host,
            _cache: cache,
        }
    }

    /// Events and insertions so far, as the BPF program counts them.
    fn happened(&self, map: u32) -> (u64, u64) {
        let happened = self.host.map("happened");
        let count = |index: u32| happened.get(&number(index)).unwrap();
        (count(map), count(map + MAPS.len() as u32))
    }
}

fn main() {
    let seconds = seconds();
    let mut subjects = vec![Subject::start("now", Setup::new())];
    if let Some(program) = env::var_os("EXPORTER_HOST_BEFORE") {
        let setup = Setup::new().older(program.into());
        subjects.push(Subject::start("before", setup));
    }
    let observers = MAPS.map(|(name, _)| {
        let id = subjects[0].host.map(name).id();
        Observer::new(MapHandle::from_map_id(id).unwrap())
    });
    let observers = Arc::new(Mutex::new(Vec::from(observers)));
    let targets = subjects.iter().map(|subject| {
        let address = subject.host.address();
        let target = match subject.job {
            "now" => proxy(address, Arc::clone(&observers)),
            _ => address,
        };
        let job = subject.job;
        format!("  - {{job_name: {job}, static_configs: [{{targets: [\"{target}\"]}}]}}\n")
    });
    let targets: String = targets.collect();
    let prometheus = Prometheus::start(&format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{targets}"
    ));

    // Each series is there, and scraped, before it grows.
    let mut maps: Vec<Processes> = (0..)
        .zip(MAPS)
        .map(|(map, (_, births))| Processes::new(map, births))
        .collect();
    maps.iter().for_each(Processes::all);
    let series = (subjects.len() * MAPS.len() * GROUPS) as f64;
    let all = "{__name__=~\"ebpf_exporter_(slow|middle|fast)_total\"}";
    eventually("Prometheus has had each series for some scrapes", || {
        let query = format!("count({all} offset 3s)");
        (scalar(&prometheus, &query, now())? == series).then_some(())
    });
    let counts = |subjects: &[Subject]| -> Vec<Vec<(u64, u64)>> {
        let of = |subject: &Subject| (0..3).map(|map| subject.happened(map)).collect();
        subjects.iter().map(of).collect()
    };
    let seen = || -> Vec<u64> {
        let observers = observers.lock().unwrap();
        observers.iter().map(Observer::sum).collect()
    };
    let (counts_before, seen_before) = (counts(&subjects), seen());
    let begin = now();
    load::run(&mut maps, RATE, Duration::from_secs(seconds));
    let end = now();
    eventually("Prometheus has scraped what there is", || {
        let query = "min(timestamp(ebpf_exporter_fast_total))";
        (scalar(&prometheus, query, now())? > end + 2.0).then_some(())
    });
    let (counts_after, seen_after) = (counts(&subjects), seen());

    println!(
        "| new processes a second | insertions a second | events | version | `increase()` | error | falls of the sums | scrapes |"
    );
    println!("|--:|--:|--:|---|--:|--:|--:|--:|");
    for (map, (name, births)) in MAPS.into_iter().enumerate() {
        let count = |subject: usize| {
            let (after, before) = (counts_after[subject][map], counts_before[subject][map]);
            (after.0 - before.0, (after.1 - before.1) / seconds)
        };
        let (events, insertions) = count(0);
        let observed = seen_after[map] - seen_before[map];
        println!(
            "| {births} | {insertions} | {events} | a perfect observer of the walks | {observed} | {} | | |",
            error(observed as f64, events)
        );
        for (index, subject) in subjects.iter().enumerate() {
            let (events, insertions) = count(index);
            let selector = format!("ebpf_exporter_{name}{{job=\"{}\"}}", subject.job);
            let window = Window::around(&prometheus, &selector, begin, end);
            let increase = window.sum(&prometheus, "increase", &selector);
            let falls = window.sum(&prometheus, "resets", &selector);
            println!(
                "| {births} | {insertions} | {events} | {} | {increase:.0} | {} | {falls:.0} | {} |",
                subject.job,
                error(increase, events),
                window.samples
            );
        }
    }
}

fn seconds() -> u64 {
    // cargo bench adds --bench.
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    match &words[..] {
        [] => 60,
        [flag, value] if flag == "--seconds" => value.parse().expect("a number of seconds"),
        _ => panic!("expected nothing or --seconds N, not {words:?}"),
    }
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

fn error(found: f64, events: u64) -> String {
    format!("{:+.2} %", (found / events as f64 - 1.0) * 100.0)
}

/// From one sample to another: `increase()` has nothing to guess at its ends.
struct Window {
    first: f64,
    last: f64,
    samples: usize,
}

impl Window {
    /// From the last sample that was taken surely before `begin` to one surely after `end`.
    fn around(prometheus: &Prometheus, selector: &str, begin: f64, end: f64) -> Self {
        let length = (end - begin) as u64 + 20;
        let data = query(prometheus, &format!("{selector}[{length}s]"), now()).unwrap();
        let samples = data["result"][0]["values"].as_array().unwrap();
        let times: Vec<f64> = samples.iter().map(|s| s[0].as_f64().unwrap()).collect();
        let first = times.iter().rposition(|time| *time < begin - 0.5).unwrap();
        let last = times.iter().position(|time| *time > end).unwrap();
        Self {
            first: times[first],
            last: times[last],
            samples: last - first + 1,
        }
    }

    fn sum(&self, prometheus: &Prometheus, function: &str, selector: &str) -> f64 {
        let milliseconds = ((self.last - self.first) * 1000.0).round() as u64 + 2;
        let words = format!("sum({function}({selector}[{milliseconds}ms]))");
        scalar(prometheus, &words, self.last + 0.001).unwrap()
    }
}

fn query(prometheus: &Prometheus, words: &str, time: f64) -> Option<Value> {
    let encoded: String = words.bytes().map(|byte| format!("%{byte:02x}")).collect();
    prometheus.ask(&format!("/api/v1/query?time={time:.3}&query={encoded}"))
}

fn scalar(prometheus: &Prometheus, words: &str, time: f64) -> Option<f64> {
    let data = query(prometheus, words, time)?;
    data["result"][0]["value"][1].as_str()?.parse().ok()
}
