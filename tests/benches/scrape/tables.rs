//! The tables: each starts hosts of its own and prints what it saw. CPU time and memory are sums
//! over all processes of a host; memory is what each has for itself and its part of what they share
//! (PSS).

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Options;
use crate::client;
use crate::floor::Floor;
use crate::harness::objects::{object, repository};
use crate::harness::{Host, Setup, tree};
use crate::shape::{Shape, Subject};

const CODINGS: [&str; 2] = ["gzip", "zstd"];
/// Where one size says enough.
const ENTRIES: usize = 100_000;

/// CPU time of the host for one scrape, and what came of it.
fn scrape(host: &Host, headers: &str) -> (Duration, client::Answer) {
    let before = host.tree().cpu();
    let answer = client::get(host.address(), headers);
    (host.tree().cpu().saturating_sub(before), answer)
}

pub(crate) fn warm(options: &Options) {
    println!(
        "| warm scrape | entries | floor CPU ms | host CPU ms | **ratio** (lowest to highest) | wall ms | body MB | peak MB | resident bytes per entry |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    for shape in Shape::ALL {
        for &entries in &options.sizes {
            let subject = Subject::empty(shape, entries);
            let host = &subject.host;
            // Of a map without entries, which arrays never are.
            match shape {
                Shape::Array => drop(host.get("/-/healthy", &[])),
                _ => drop(scrape(host, "")),
            }
            let empty = host.tree().memory();
            subject.fill(0..u32::try_from(entries).unwrap());
            scrape(host, "");
            let mut floor = Floor::of(&subject);
            check(&subject);
            // The check took other formats: back to what is measured.
            scrape(host, "");
            floor.scrape();
            host.tree().forget_peak();
            let (mut cpu, mut floor_ms, mut wall) = (Vec::new(), Vec::new(), Vec::new());
            let mut bytes = 0;
            for _ in 0..options.samples {
                floor_ms.push(floor.scrape().0);
                let (spent, answer) = scrape(host, "");
                cpu.push(spent);
                wall.push(answer.wall);
                bytes = answer.bytes;
            }
            let ratios = cpu
                .iter()
                .zip(&floor_ms)
                .map(|(host, floor)| ratio(*host, *floor));
            println!(
                "| {} | {entries} | {:.2} | {:.2} | {} | {:.2} | {:.1} | {:.1} | {:.0} |",
                shape.name(),
                median_ms(&floor_ms),
                median_ms(&cpu),
                spread(ratios.collect()),
                median_ms(&wall),
                megabytes(bytes as u64),
                megabytes(host.tree().peak()),
                (host.tree().memory() as f64 - empty as f64) / entries as f64,
            );
        }
    }
}

/// Whether the host and the floor say the same.
fn check(subject: &Subject) {
    let wanted = Floor::of(subject).scrape().1;
    let response = subject.host.get("/metrics", &[]);
    let lines = response.text().lines();
    let ours = lines.filter(|line| {
        line.starts_with("ebpf_exporter_calls_total") || line.starts_with("ebpf_exporter_spent")
    });
    let found: usize = ours.map(|line| line.len() + 1).sum();
    // Histograms' numbers pass a million, where Go's form is another.
    if subject.shape != Shape::Histogram {
        assert_eq!(found, wanted, "the floor writes the same bytes");
    }
}

pub(crate) fn cold(options: &Options) {
    println!(
        "| cold scrape (every key decoded) | entries | warm CPU ms | cold CPU ms | **ratio** (lowest to highest) | cold wall ms | first of the process, CPU ms |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for shape in Shape::ALL {
        let (mut cold, mut warm, mut wall) = (Vec::new(), Vec::new(), Vec::new());
        let subject = Subject::full(shape, ENTRIES);
        let (first, _) = scrape(&subject.host, "");
        for turn in 0..options.samples {
            subject.forget(turn);
            let (cpu, answer) = scrape(&subject.host, "");
            cold.push(cpu);
            wall.push(answer.wall);
            scrape(&subject.host, "");
            warm.push(scrape(&subject.host, "").0);
        }
        let ratios = cold
            .iter()
            .zip(&warm)
            .map(|(cold, warm)| ratio(*cold, *warm));
        println!(
            "| {} | {ENTRIES} | {:.2} | {:.2} | {} | {:.2} | {:.2} |",
            shape.name(),
            median_ms(&warm),
            median_ms(&cold),
            spread(ratios.collect()),
            median_ms(&wall),
            median_ms(&[first]),
        );
    }
}

pub(crate) fn clients(options: &Options) {
    const CLIENTS: usize = 4;
    let subject = Subject::full(Shape::Hash, ENTRIES);
    let host = &subject.host;
    scrape(host, "");
    let (mut one, mut four, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.samples.max(10) {
        one.push(scrape(host, "").1.wall);
        let before = host.tree().cpu();
        let start = Barrier::new(CLIENTS + 1);
        let all = thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    start.wait();
                    client::get(host.address(), "");
                });
            }
            start.wait();
            Instant::now()
        });
        four.push(all.elapsed());
        cpu.push(host.tree().cpu().saturating_sub(before));
    }
    let ratios = four.iter().zip(&one).map(|(four, one)| ratio(*four, *one));
    println!(
        "| hash, {ENTRIES} entries | wall ms, one client | wall ms, {CLIENTS} at once | **ratio** | CPU ms of the {CLIENTS} |"
    );
    println!("|---|--:|--:|--:|--:|");
    println!(
        "| clients at once | {:.2} | {:.2} | **{:.2}** | {:.2} |",
        median_ms(&one),
        median_ms(&four),
        middle(ratios.collect()),
        median_ms(&cpu),
    );
}

pub(crate) fn compression(options: &Options) {
    let subject = Subject::full(Shape::Hash, ENTRIES);
    let host = &subject.host;
    println!(
        "| hash, {ENTRIES} entries | CPU ms, plain | CPU ms, packed | **ratio** | MB, plain | MB, packed |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for coding in CODINGS {
        let header = format!("Accept-Encoding: {coding}\r\n");
        scrape(host, "");
        scrape(host, &header);
        let (mut plain, mut compressed, mut sizes) = (Vec::new(), Vec::new(), (0, 0));
        for _ in 0..options.samples.max(10) {
            let (cpu, answer) = scrape(host, "");
            plain.push(cpu);
            sizes.0 = answer.bytes;
            let (cpu, answer) = scrape(host, &header);
            compressed.push(cpu);
            sizes.1 = answer.bytes;
        }
        let ratios = compressed
            .iter()
            .zip(&plain)
            .map(|(compressed, plain)| ratio(*compressed, *plain));
        println!(
            "| {coding} | {:.2} | {:.2} | **{:.2}** | {:.1} | {:.1} |",
            median_ms(&plain),
            median_ms(&compressed),
            middle(ratios.collect()),
            megabytes(sizes.0 as u64),
            megabytes(sizes.1 as u64),
        );
    }
}

pub(crate) fn churn(_options: &Options) {
    /// An hour of scrapes every 15 seconds.
    const SCRAPES: u32 = 240;
    let entries = u32::try_from(ENTRIES).unwrap();
    let fresh = entries / 10;
    let subject = Subject::full(Shape::Hash, ENTRIES);
    let host = &subject.host;
    scrape(host, "");
    let mut shown = Vec::new();
    let mut cpu = Vec::new();
    for turn in 0..SCRAPES {
        let oldest = turn * fresh;
        subject.delete(oldest..oldest + fresh);
        subject.fill(oldest + entries..oldest + entries + fresh);
        cpu.push(scrape(host, "").0);
        if (turn + 1) % (SCRAPES / 8) == 0 {
            shown.push((turn + 1, megabytes(host.tree().memory())));
        }
    }
    let header: Vec<String> = shown.iter().map(|(turn, _)| turn.to_string()).collect();
    let resident: Vec<String> = shown.iter().map(|(_, mb)| format!("{mb:.1}")).collect();
    println!(
        "| churn: {ENTRIES} entries, 10 % new each scrape; after scrape | {} | CPU ms a scrape | peak MB |",
        header.join(" | ")
    );
    println!("|---|{}--:|--:|", "--:|".repeat(header.len()));
    println!(
        "| resident MB | {} | {:.2} | {:.1} |",
        resident.join(" | "),
        median_ms(&cpu),
        megabytes(host.tree().peak())
    );
}

pub(crate) fn idle(options: &Options) {
    const WATCHED: Duration = Duration::from_secs(10);
    let setup = || {
        let mut setup = Setup::new();
        let mut units = 0;
        for file in fs::read_dir(repository().join("examples/conf.d")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if let Some(unit) = name.strip_suffix(".yaml") {
                setup = setup.unit(unit, unit, &fs::read_to_string(&path).unwrap());
                units += 1;
            }
        }
        (setup, units)
    };
    object("timers");
    // Leaves the compiled plugins in the cache.
    drop(setup().0.start());
    let mut starts = Vec::new();
    for _ in 0..options.samples.min(5) {
        let (setup, _) = setup();
        let started = Instant::now();
        let host = setup.start();
        client::get(host.address(), "");
        starts.push(started.elapsed());
    }
    let (setup, units) = setup();
    let host = setup.start();
    let mut cpu: Vec<Duration> = (0..options.samples).map(|_| scrape(&host, "").0).collect();
    cpu.sort();
    let before = host.tree().cpu();
    thread::sleep(WATCHED);
    let idle = host.tree().cpu().saturating_sub(before);
    println!(
        "| idle | units of examples/ | resident MB | CPU ms in {} s without a scrape | start to first answer, s | CPU ms a scrape |",
        WATCHED.as_secs()
    );
    println!("|---|--:|--:|--:|--:|--:|");
    println!(
        "| | {units} | {:.1} | {:.2} | {:.2} | {:.2} |",
        megabytes(host.tree().memory()),
        idle.as_secs_f64() * 1e3,
        median_ms(&starts) / 1e3,
        median_ms(&cpu),
    );
    println!("\n| process | MB of its own and of what it shares | descriptors |");
    println!("|---|--:|--:|");
    for process in host.tree().processes() {
        println!(
            "| {} | {:.1} | {} |",
            process.name,
            megabytes(tree::memory(process.pid).unwrap_or_default()),
            tree::descriptors(process.pid),
        );
    }
}

fn ratio(of: Duration, to: Duration) -> f64 {
    of.as_secs_f64() / to.as_secs_f64()
}

fn median_ms(times: &[Duration]) -> f64 {
    middle(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
}

/// The median of ratios, and how far they lie apart.
fn spread(ratios: Vec<f64>) -> String {
    let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = ratios.iter().copied().fold(0.0, f64::max);
    format!("**{:.2}** ({lowest:.2} to {highest:.2})", middle(ratios))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
