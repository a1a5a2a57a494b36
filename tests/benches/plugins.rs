//! What decoding through Wasm costs, beside the same decoders run natively, and what a plugin costs
//! that does nothing.
//!
//! ```text
//! tests/languages.sh && cargo build --release -p exporter-host && cargo bench -p exporter-host-tests --bench plugins
//! ```
//!
//! prints Markdown. The Wasm side is `exporter-host plugin run --bench`: the host's own path, with
//! its limits and checks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to a terminal and ends by panicking"
)]

#[path = "../whole/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests' harness; a benchmark needs some of it"
)]
mod harness;

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use exporter_guest_sdk::testing::{FakeKernel, open};
use exporter_guest_sdk::{BatchDecoder, Cells, Decoded};
use serde_json::Value;
use standard_decoders::{InetIp, Regexp, StaticMap, Text, Uint};

use harness::Setup;
use harness::host::binary;
use harness::maps::number;
use harness::project::built;

/// The host's largest batch.
const BATCH: usize = 4096;
/// How long each native decoder is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// Copies of a plugin, to see what one takes.
const COPIES: usize = 20;

fn main() {
    labels();
    println!();
    plugins();
    println!();
    memory();
}

// === ns per label ===

fn labels() {
    println!(
        "| decoder | through Wasm, ns/label | native, ns/label | factor | one label alone, µs |"
    );
    println!("|---|---|---|---|---|");
    let numbers = rows(|row| row.wrapping_mul(2_654_435_761).to_ne_bytes().to_vec());
    let addresses = rows(|row| vec![10, (row >> 16) as u8, (row >> 8) as u8, row as u8]);
    let names = rows(|row| format!("kworker/{}:{}\0\0\0", row % 64, row / 64).into_bytes());
    let digits = rows(|row| (row % 16).to_string().into_bytes());
    let table: Vec<String> = (0..16)
        .map(|key| format!("\"{key}\": \"operation_{key}\""))
        .collect();
    let table = format!("{{\"static_map\": {{{}}}}}", table.join(", "));
    let pattern = r#"{"regexps": ["^kworker/([0-9]+)"]}"#;
    compare::<Uint>(&numbers, "{}");
    compare::<InetIp>(&addresses, "{}");
    compare::<Text>(&names, "{}");
    compare::<StaticMap>(&digits, &table);
    compare::<Regexp>(&names, pattern);
}

fn rows(row: impl Fn(u32) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..4096).map(row).collect()
}

fn compare<D: BatchDecoder>(rows: &[Vec<u8>], options: &str) {
    let native = native::<D>(rows, options);
    let costs = through_wasm(None, D::NAME, options, rows, None);
    let wasm = batch(&costs, BATCH)["row_ns"].as_f64().unwrap();
    let single = batch(&costs, 1)["call_us"].as_f64().unwrap();
    println!(
        "| {} | {wasm:.0} | {native:.0} | {:.1} | {single:.1} |",
        D::NAME,
        wasm / native
    );
}

/// The median over batches.
fn native<D: BatchDecoder>(rows: &[Vec<u8>], options: &str) -> f64 {
    let decoder: D = open(options).unwrap();
    let kernel = FakeKernel::default();
    let input: Cells = rows.iter().collect();
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let started = Instant::now();
        let mut out = Decoded::for_input(&input);
        decoder.decode_batch(&kernel, black_box(&input), &mut out);
        black_box(&out);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e9 / rows.len() as f64
}

fn through_wasm(
    plugin: Option<&Path>,
    decoder: &str,
    options: &str,
    rows: &[Vec<u8>],
    cache: Option<&Path>,
) -> Value {
    let mut hex = String::new();
    for row in rows {
        for byte in row {
            write!(hex, "{byte:02x}").unwrap();
        }
        hex.push('\n');
    }
    let mut command = Command::new(binary());
    command
        .args(["plugin", "run"])
        .arg(plugin.unwrap_or(Path::new("standard")))
        .args([
            "--decoder",
            decoder,
            "--options",
            options,
            "--hex",
            "-",
            "--bench",
            "--format=json",
        ]);
    if let Some(cache) = cache {
        command.arg("--plugin.cache-dir").arg(cache);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(hex.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "plugin run --decoder {decoder}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn batch(costs: &Value, rows: usize) -> &Value {
    let batches = costs["batches"].as_array().unwrap();
    batches.iter().find(|batch| batch["rows"] == rows).unwrap()
}

// === plugins ===

/// A decoder in each language, and the standard plugin.
fn examples() -> Vec<(String, Option<PathBuf>, String)> {
    let mut all = vec![("standard".to_owned(), None, "uint".to_owned())];
    for (lang, name) in [
        ("rust", "Rust"),
        ("c", "C"),
        ("js", "JavaScript (QuickJS)"),
        ("python", "Python (CPython)"),
    ] {
        let decoder = format!("{lang}_decoder");
        all.push((
            name.to_owned(),
            Some(built("decoder", lang, &decoder)),
            decoder,
        ));
    }
    all
}

fn plugins() {
    println!(
        "| plugin | size, KiB | compile, ms | from the cache, ms | instantiate, µs | linear memory, KiB | ns/label of {BATCH} |"
    );
    println!("|---|---|---|---|---|---|---|");
    let states = rows(|row| (row % 14).to_ne_bytes().to_vec());
    for (name, file, decoder) in examples() {
        let cache = tempfile::tempdir().unwrap();
        let run = || through_wasm(file.as_deref(), &decoder, "{}", &states, Some(cache.path()));
        let (cold, cached) = (run(), run());
        // Of the standard plugin only the host knows.
        let size = file.as_ref().map_or("-".to_owned(), |file| {
            (fs::metadata(file).unwrap().len() >> 10).to_string()
        });
        println!(
            "| {name} | {size} | {:.0} | {:.1} | {:.0} | {} | {:.0} |",
            cold["load_ms"].as_f64().unwrap(),
            cached["load_ms"].as_f64().unwrap(),
            cached["instantiate_us"].as_f64().unwrap(),
            cached["memory_bytes"].as_u64().unwrap() >> 10,
            batch(&cached, BATCH)["row_ns"].as_f64().unwrap()
        );
    }
}

// === memory ===

fn memory() {
    println!("| memory of all processes for each plugin, KiB | loaded | in use by a unit |");
    println!("|---|---|---|");
    for (name, file, decoder) in examples() {
        let Some(file) = file else { continue };
        let none = resident(&file, &decoder, 0, false);
        let per_plugin = |with: u64| with.saturating_sub(none) / COPIES as u64;
        println!(
            "| {name} | {} | {} |",
            per_plugin(resident(&file, &decoder, COPIES, false)),
            per_plugin(resident(&file, &decoder, COPIES, true))
        );
    }
}

/// KiB of a host with that many copies of a plugin, after a scrape.
fn resident(file: &Path, decoder: &str, copies: usize, used: bool) -> u64 {
    let bytes = fs::read(file).unwrap();
    let mut setup = Setup::new();
    let mut metrics = vec![
        "{name: k4_total, help: Test., labels: [{name: it, size: 4, decoders: [{name: uint}]}]}"
            .to_owned(),
    ];
    for copy in 0..copies {
        setup = setup.file(&format!("copy{copy}.wasm"), &bytes);
        if used {
            metrics.push(format!(
                "{{name: copy{copy}_total, map: k4_total, help: Test., labels: [{{name: it, size: 4, decoders: [{{name: copy{copy}/{decoder}}}]}}]}}"
            ));
        }
    }
    let yaml = format!("metrics: {{counters: [{}]}}", metrics.join(", "));
    let host = setup.unit("unit", "maps", &yaml).start();
    host.map("k4_total").set(&number(1), 1);
    host.text();
    host.tree().memory() >> 10
}
