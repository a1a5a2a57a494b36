//! Numbers printed.

use criterion::Throughput;
use exporter_host::test_support::bench::{Bodies, Wire};

use crate::Criterion;

/// What does a sample's line cost, by kind of number, in Go's form for text and for OpenMetrics?
/// Its labels are short.
pub fn numbers(criterion: &mut Criterion) {
    const COUNT: u32 = 1000;
    let mut group = crate::group(criterion, "numbers");
    group.throughput(Throughput::Elements(COUNT.into()));
    let integers = |factor: u64| (0..COUNT).map(move |number| u64::from(number) * factor);
    let cases = [
        ("small integers", Bodies::integers(integers(1))),
        ("large integers", Bodies::integers(integers(2_654_435_761))),
        (
            "floats",
            Bodies::floats((0..COUNT).map(|number| f64::from(number) * 1e-3)),
        ),
    ];
    let mut out = String::new();
    for (name, bodies) in &cases {
        for wire in [Wire::Text, Wire::OpenMetrics] {
            group.bench_function(format!("{name}, {wire:?}"), |bencher| {
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
