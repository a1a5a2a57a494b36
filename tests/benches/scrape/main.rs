//! What a scrape costs, beside what it could cost at least.
//!
//! Starts the built host on maps that it fills itself, and measures each scrape side by side with
//! the *floor*: the same map walked in batches, the same text copied and the same numbers printed,
//! written to the same kind of socket, in plain Rust with nothing else (floor.rs). Machines differ
//! and are busy; the ratio of the two, taken turn by turn in one run, says more than either. All
//! times of a table are CPU time unless it says wall.
//!
//! ```text
//! cargo build --release -p exporter-host && cargo bench -p exporter-host-tests --bench scrape
//! ```
//!
//! CPU time and memory are of all processes of a host. `EXPORTER_HOST_BIN` names another program to
//! compare with; one from before the split takes `EXPORTER_TEST_SPLIT=unknown` too.
//!
//! Prints Markdown. After `--`: names of tables (`--bench scrape -- warm idle`),
//! `--sizes 1000,1000000`, `--samples 20`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark talks to a terminal and ends by panicking"
)]

mod client;
mod floor;
#[path = "../../whole/harness/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests' harness; a benchmark needs some of it"
)]
mod harness;
mod process;
mod shape;
mod tables;

use std::env;

/// What the command line says.
pub(crate) struct Options {
    tables: Vec<String>,
    pub(crate) sizes: Vec<usize>,
    /// Of each figure; the median is shown.
    pub(crate) samples: usize,
}

/// A table's name, and what measures and prints it.
type Table = (&'static str, fn(&Options));

fn main() {
    let options = options();
    let all: [Table; 6] = [
        ("warm", tables::warm),
        ("cold", tables::cold),
        ("clients", tables::clients),
        ("compression", tables::compression),
        ("churn", tables::churn),
        ("idle", tables::idle),
    ];
    for name in &options.tables {
        assert!(
            all.iter().any(|(known, _)| known == name),
            "no table `{name}`: there are {:?}",
            all.map(|(known, _)| known)
        );
    }
    for (name, table) in all {
        if options.tables.is_empty() || options.tables.iter().any(|wanted| wanted == name) {
            table(&options);
            println!();
        }
    }
}

fn options() -> Options {
    let mut options = Options {
        tables: Vec::new(),
        sizes: vec![1_000, 10_000, 100_000, 1_000_000],
        samples: 10,
    };
    // cargo bench adds --bench.
    let mut words = env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .unwrap_or_else(|| panic!("{word} needs a value"))
        };
        match word.as_str() {
            "--sizes" => {
                options.sizes = value()
                    .split(',')
                    .map(|size| size.parse().expect("a number of entries"))
                    .collect();
            }
            "--samples" => options.samples = value().parse().expect("a number of samples"),
            _ => options.tables.push(word),
        }
    }
    options
}
