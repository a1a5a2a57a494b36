//! What benchmarks (benches/) and fuzzers (../tests/fuzz) call of the host's inside. Nobody else
//! may: nothing here is kept as it is.

pub mod bench;
pub mod fuzz;
