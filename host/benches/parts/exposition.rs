//! Families on their way to a body.

use criterion::{BatchSize, Throughput};
use exporter_host::test_support::bench::{Bodies, Rows, Shape, Wire};

use crate::Criterion;

/// Together about what the collectors of a machine's /proc answer.
const COLLECTORS: u32 = 5;
const FAMILIES: u32 = 40;
const SAMPLES: u32 = 25;

/// What does a sample cost to write: of collectors, where each owns its labels, in families of a
/// few; of a map, where all lie in columns; and a histogram of ten buckets (20 in the map)?
pub fn exposition(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "exposition");
    type Case = (&'static str, u32, fn() -> Bodies);
    let cases: [Case; 4] = [
        (
            "collectors' numbers",
            COLLECTORS * FAMILIES * SAMPLES,
            collectors,
        ),
        ("collector's histograms", 1000, || Bodies::histograms(1000)),
        ("map's numbers", 100_000, || of_map(Shape::Counter, 100_000)),
        ("map's histograms", 5000, || {
            of_map(Shape::Histogram, 100_000)
        }),
    ];
    let mut out = String::new();
    for (name, samples, made) in cases {
        let mut bodies: Option<Bodies> = None;
        group.throughput(Throughput::Elements(samples.into()));
        for wire in [Wire::Text, Wire::OpenMetrics] {
            group.bench_function(format!("{name}, {wire:?}"), |bencher| {
                let bodies = bodies.get_or_insert_with(made);
                bencher.iter(|| {
                    out.clear();
                    bodies.write(wire, &mut out);
                    out.len()
                });
            });
        }
    }
    group.finish();
}

fn collectors() -> Bodies {
    Bodies::of_collectors(COLLECTORS, FAMILIES, SAMPLES)
}

fn of_map(shape: Shape, entries: u32) -> Bodies {
    Bodies::of_map(&mut Rows::new(&crate::STANDARD, shape, entries).unwrap())
}

/// What does a sample cost when all sources' families are sorted and joined: where no two sources
/// have a family in common, and where all have the same, as the targets of one collector do?
pub fn merge(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "merge");
    group.throughput(Throughput::Elements(
        (COLLECTORS * FAMILIES * SAMPLES).into(),
    ));
    let targets = Bodies::of_targets(COLLECTORS, FAMILIES, SAMPLES);
    for (name, bodies) in [("collectors", collectors()), ("targets of one", targets)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(|| bodies.clone(), Bodies::merge, BatchSize::LargeInput);
        });
    }
    group.finish();
}
