//! Whole-program tests: the built `exporter-host`, real BPF objects, the running kernel, real HTTP.
//!
//! They need root, clang and Python's `prometheus_client`: `tests/run.sh` provides all of that.
//! Each test starts a host of its own on a port of its own with a config directory of its own, so
//! all of them run at the same time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends by panicking, and shows the host's log when it does"
)]

mod attach;
mod backoff;
mod bad_input;
mod bounds;
mod cache;
mod capabilities;
mod collectors;
mod compat;
mod config;
mod cpu;
mod decoders;
mod demand;
mod deploy;
mod escaping;
mod example_plugins;
mod examples;
mod globals;
mod halves;
mod hardening;
mod harness;
mod hdhomerun;
mod histograms;
mod hostile;
mod http;
mod kernels;
mod kinds;
mod labels;
mod languages;
mod lifecycle;
mod map_types;
mod merging;

mod pins;
mod plan;
mod plugin_tools;
mod probes;
mod procfs;
mod programs;
mod prometheus;
mod reload;
mod samples;
mod sums;
mod textfile;
mod values;
