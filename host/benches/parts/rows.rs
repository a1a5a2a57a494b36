//! Entries whose keys are known, on their way to the numbers of series.

use criterion::{BenchmarkId, Throughput};
use exporter_host::outside::bench::{Rows, Shape};

use crate::Criterion;

const SIZES: [u32; 2] = [1000, 100_000];

/// What does a warm entry cost behind the walk: where the kernel's order is that of the last scrape, which is nearly always, and where every key has to
/// be looked up; where an entry is one row, a row for each CPU, or a bucket? `and out again`: with taking the numbers of all series for the body.
pub fn rows(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "rows");
    let cases = [
        ("same order", Shape::Counter, false),
        ("other order", Shape::Counter, true),
        ("split by two CPUs", Shape::SplitCounter, false),
        ("histogram", Shape::Histogram, false),
    ];
    for entries in SIZES {
        group.throughput(Throughput::Elements(entries.into()));
        for (name, shape, reorder) in cases {
            let mut rows: Option<Rows> = None;
            let mut made = || {
                let mut rows = Rows::new(&crate::STANDARD, shape, entries).unwrap();
                if reorder {
                    rows.reorder();
                }
                rows
            };
            group.bench_function(BenchmarkId::new(name, entries), |bencher| {
                let rows = rows.get_or_insert_with(&mut made);
                bencher.iter(|| rows.take());
            });
            let name = format!("{name}, and out again");
            group.bench_function(BenchmarkId::new(name, entries), |bencher| {
                let rows = rows.get_or_insert_with(&mut made);
                bencher.iter(|| rows.take_and_finish());
            });
        }
    }
    group.finish();
}
