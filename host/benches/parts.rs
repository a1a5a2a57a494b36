//! Micro-benchmarks of the hot path's parts: `cargo bench -p exporter-host`.
#![allow(unreachable_pub, reason = "criterion's macros make public functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use exporter_host::outside::bench::Numbers;

fn numbers(criterion: &mut Criterion) {
    const COUNT: u32 = 1000;
    let mut group = criterion.benchmark_group("numbers");
    group.throughput(Throughput::Elements(COUNT.into()));
    let cases = [
        (
            "small integers",
            Numbers::integers((0..COUNT).map(u64::from)),
        ),
        (
            "large integers",
            Numbers::integers((0..COUNT).map(|number| u64::from(number) * 2_654_435_761)),
        ),
        (
            "floats",
            Numbers::floats((0..COUNT).map(|number| f64::from(number) * 1e-3)),
        ),
    ];
    let mut out = String::new();
    for (name, numbers) in cases {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                numbers.write(&mut out);
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, numbers);
criterion_main!(benches);
