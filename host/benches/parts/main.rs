//! Micro-benchmarks of a scrape's parts, in the order in which a scrape comes by them.
//!
//! ```text
//! cargo bench -p exporter-host              # all, some two minutes
//! cargo bench -p exporter-host -- walk/hash # those whose names have this in them
//! ```
//!
//! All times are CPU time. What a whole scrape costs is in tests/benches/scrape.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "criterion's macros make public functions; a benchmark talks to a terminal and ends by panicking"
)]

mod compress;
mod cpu_time;
mod decode;
mod exposition;
mod numbers;
mod rows;
mod walk;

use std::sync::LazyLock;
use std::time::Duration;

use criterion::{BenchmarkGroup, criterion_group, criterion_main};
use exporter_host::test_support::bench::Standard;

use cpu_time::CpuTime;

type Criterion = criterion::Criterion<CpuTime>;
type Group<'a> = BenchmarkGroup<'a, CpuTime>;

/// Compiled once, by the first benchmark that asks for it.
static STANDARD: LazyLock<Standard> = LazyLock::new(|| Standard::load().unwrap());

/// Short measurements, so that all of them together are short.
fn group<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .nresamples(5000);
    group
}

criterion_group!(
    name = benches;
    config = criterion::Criterion::default().with_measurement(CpuTime);
    targets = walk::walk,
    rows::rows,
    rows::first,
    decode::decode,
    numbers::numbers,
    exposition::exposition,
    exposition::merge,
    compress::compress
);
criterion_main!(benches);
