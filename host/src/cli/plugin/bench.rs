//! `plugin run … --bench`: what calls cost.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

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

/// `call` decodes a batch; its rows are those of `rows` over and over.
pub(super) fn run(
    opened: &Opened<'_>,
    rows: &[Vec<u8>],
    mut call: impl FnMut(&Cells) -> anyhow::Result<()>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    writeln!(
        out,
        "{:<34} {:>12.3} ms",
        "load (compile or cache)",
        opened.loaded.as_secs_f64() * 1e3
    )?;
    writeln!(
        out,
        "{:<34} {:>12.3} ms",
        "instantiate",
        instantiate(opened.tool)?.as_secs_f64() * 1e3
    )?;
    for size in BATCHES {
        let batch: Cells = rows.iter().cycle().take(size).map(Vec::as_slice).collect();
        let took = median(&mut || call(&batch))?;
        let nanoseconds = took.as_secs_f64() * 1e9;
        writeln!(
            out,
            "{:<34} {:>12.1} us {:>10.1} ns/row",
            format!("call with {size} rows"),
            nanoseconds / 1e3,
            nanoseconds / size as f64
        )?;
    }
    writeln!(
        out,
        "{:<34} {:>12} KiB",
        "linear memory",
        opened.tool.memory() >> 10
    )?;
    Ok(ExitCode::SUCCESS)
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
