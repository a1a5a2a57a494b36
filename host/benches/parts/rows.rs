//! Entries whose keys are known, on their way to the numbers of series.

use std::time::Duration;

use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Throughput};
use exporter_host::test_support::bench::{Rows, Shape};

use crate::Criterion;
use crate::cpu_time::CpuTime;

const SIZES: [u32; 2] = [1000, 100_000];

/// What does a warm entry cost behind the walk: where the kernel's order is that of the last
/// scrape, which is nearly always, and where every key has to be looked up; where an entry is one
/// row, a row for each CPU, or a bucket? `and out again`: with taking the numbers of all series for
/// the body.
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

/// What does an entry cost that nobody knows, up to its line of the body: decoded, remembered, put
/// in its place, written? `second`: what the scrape after it costs, which finds all of them.
pub fn first(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "first scrape");
    group.measurement_time(Duration::from_secs(2));
    let cases = [
        ("counter", Shape::Counter),
        ("split by two CPUs", Shape::SplitCounter),
        ("histogram", Shape::Histogram),
    ];
    let mut out = String::new();
    for entries in SIZES {
        group.throughput(Throughput::Elements(entries.into()));
        for (name, shape) in cases {
            let mut rows = Rows::unknown(&crate::STANDARD, shape, entries).unwrap();
            for second in [false, true] {
                let name = if second {
                    format!("{name}, second")
                } else {
                    name.to_owned()
                };
                group.bench_function(BenchmarkId::new(name, entries), |bencher| {
                    bencher.iter_custom(|turns| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..turns {
                            rows.forget(&crate::STANDARD).unwrap();
                            if second {
                                out.clear();
                                rows.scrape_into(&mut out);
                            }
                            out.clear();
                            let start = CpuTime.start();
                            rows.scrape_into(&mut out);
                            spent += CpuTime.end(start);
                        }
                        spent
                    });
                });
            }
        }
    }
    group.finish();
}
