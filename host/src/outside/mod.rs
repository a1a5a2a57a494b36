//! What benchmarks (benches/) and fuzzers call of the host's inside. Nobody else may: nothing here is kept as it is.

pub mod bench;
