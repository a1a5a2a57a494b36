//! The binary; everything is in the library, so that benchmarks and fuzzers reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    exporter_host::main()
}
