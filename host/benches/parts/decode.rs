//! Labels made by the standard plugin's decoders.

use std::hint::black_box;

use criterion::{BenchmarkId, Throughput};
use exporter_guest_sdk::testing::{FakeKernel, open};
use exporter_guest_sdk::{BatchDecoder, Cells, Decoded};
use exporter_host::test_support::bench::Decoding;
use standard_decoders::{InetIp, StaticMap, Text, Uint};

use crate::{Criterion, Group};

const BATCHES: [u32; 5] = [1, 16, 256, 1024, 4096];

/// What does a label cost through Wasm, with its limits and checks, against the same code natively;
/// and from which batch on is the call itself paid off? The host asks about 1024 keys at once. Not
/// `regexp`: natively it would be built with the engines of the host's own regex crate, which the
/// component leaves out (tests/benches/plugins.rs has it).
pub fn decode(criterion: &mut Criterion) {
    let mut group = crate::group(criterion, "decode");
    let number = |row: u32| row.wrapping_mul(2_654_435_761).to_ne_bytes().to_vec();
    let address = |row: u32| vec![10, (row >> 16) as u8, (row >> 8) as u8, row as u8];
    let name = |row: u32| format!("kworker/{}:{}\0\0\0", row % 64, row / 64).into_bytes();
    let digits = |row: u32| (row % 16).to_string().into_bytes();
    let table: Vec<String> = (0..16)
        .map(|key| format!("\"{key}\": \"operation_{key}\""))
        .collect();
    let table = format!("{{\"static_map\": {{{}}}}}", table.join(", "));
    compare::<Uint>(&mut group, "{}", number);
    compare::<Text>(&mut group, "{}", name);
    compare::<StaticMap>(&mut group, &table, digits);
    compare::<InetIp>(&mut group, "{}", address);
    group.finish();
}

fn compare<D: BatchDecoder>(group: &mut Group<'_>, options: &str, cell: impl Fn(u32) -> Vec<u8>) {
    for batch in BATCHES {
        let cells: Vec<Vec<u8>> = (0..batch).map(&cell).collect();
        group.throughput(Throughput::Elements(batch.into()));
        let name = format!("{}, Wasm", D::NAME);
        group.bench_function(BenchmarkId::new(name, batch), |bencher| {
            let mut decoding = Decoding::new(&crate::STANDARD, D::NAME, options, &cells).unwrap();
            bencher.iter(|| decoding.decode().unwrap());
        });
        let name = format!("{}, native", D::NAME);
        group.bench_function(BenchmarkId::new(name, batch), |bencher| {
            let decoder: D = open(options).unwrap();
            let kernel = FakeKernel::default();
            let input: Cells = cells.iter().collect();
            bencher.iter(|| {
                let mut out = Decoded::for_input(&input);
                decoder.decode_batch(&kernel, black_box(&input), &mut out);
                out
            });
        });
    }
}
