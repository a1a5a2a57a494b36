//! `plugin run … --bench`: what calls cost.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Format;
use super::list::write_json;
use crate::plugin::{Cells, Tool};

/// Rows of a batch. The host's largest is 4096.
const BATCHES: [usize; 3] = [1, 512, 4096];
/// How long each batch size is measured.
const MEASURED: Duration = Duration::from_millis(500);
/// Calls before anything is measured.
const WARM_UP: usize = 10;
/// Instances that are made to see what making one costs.
const INSTANCES: usize = 20;

/// What is measured.
pub(super) struct Opened<'a> {
    pub(super) tool: &'a Tool,
    /// How long compiling (or reading from the cache) and asking for the catalogue took.
    pub(super) loaded: Duration,
}

#[derive(Serialize)]
struct Costs {
    load_ms: f64,
    instantiate_us: f64,
    batches: Vec<BatchCost>,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct BatchCost {
    rows: usize,
    call_us: f64,
    row_ns: f64,
}

/// `call` decodes a batch; its rows are those of `rows` over and over.
pub(super) fn run(
    opened: &Opened<'_>,
    rows: &[Vec<u8>],
    mut call: impl FnMut(&Cells) -> anyhow::Result<()>,
    format: Format,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let mut costs = Costs {
        load_ms: opened.loaded.as_secs_f64() * 1e3,
        instantiate_us: instantiate(opened.tool)?.as_secs_f64() * 1e6,
        batches: Vec::new(),
        memory_bytes: 0,
    };
    for size in BATCHES {
        let batch: Cells = rows.iter().cycle().take(size).map(Vec::as_slice).collect();
        let took = median(&mut || call(&batch))?.as_secs_f64();
        costs.batches.push(BatchCost {
            rows: size,
            call_us: took * 1e6,
            row_ns: took * 1e9 / size as f64,
        });
    }
    costs.memory_bytes = opened.tool.memory();
    match format {
        Format::Text => costs.write_text(out)?,
        Format::Json => write_json(out, &costs)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Costs {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |what: &str, figure: f64, unit: &str, more: &str| {
            writeln!(out, "{what:<24} {figure:>12.1} {unit:<3}{more}")
        };
        line("load (compile or cache)", self.load_ms, "ms", "")?;
        line("instantiate", self.instantiate_us, "us", "")?;
        for batch in &self.batches {
            let what = format!("call with {} rows", batch.rows);
            let row = format!(" {:>10.1} ns/row", batch.row_ns);
            line(&what, batch.call_us, "us", &row)?;
        }
        line(
            "linear memory",
            self.memory_bytes as f64 / 1024.0,
            "KiB",
            "",
        )
    }
}

fn instantiate(tool: &Tool) -> anyhow::Result<Duration> {
    let mut times = Vec::with_capacity(INSTANCES);
    for _ in 0..INSTANCES {
        let mut session = tool.session();
        let started = Instant::now();
        session.start_now()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(INSTANCES / 2).copied().unwrap_or_default())
}

/// The median of what single calls take.
fn median(call: &mut impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    for _ in 0..WARM_UP {
        call()?;
    }
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let started = Instant::now();
        call()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
