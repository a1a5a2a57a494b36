//! Bodies compressed.

use criterion::{BenchmarkId, Throughput};
use exporter_host::test_support::bench::{Bodies, Coding, Rows, Shape, Wire};

use crate::Criterion;

/// What does a series of a map's body (of some 73 bytes) cost to compress, beside what it costs to
/// write; in a short body, where setting up counts, and in a long one?
pub fn compress(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "compress");
    for entries in [1000, 100_000] {
        let mut body: Option<String> = None;
        group.throughput(Throughput::Elements(entries.into()));
        for coding in [Coding::Gzip, Coding::Zstd] {
            group.bench_function(
                BenchmarkId::new(format!("{coding:?}"), entries),
                |bencher| {
                    let body = body.get_or_insert_with(|| body_of(entries));
                    bencher.iter(|| Bodies::pack(coding, body).unwrap());
                },
            );
        }
    }
    group.finish();
}

fn body_of(entries: u32) -> String {
    let mut rows = Rows::new(&crate::STANDARD, Shape::Counter, entries).unwrap();
    let mut body = String::new();
    Bodies::of_map(&mut rows).write(Wire::Text, &mut body);
    body
}
