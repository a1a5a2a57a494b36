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
mod check;
mod clients;
mod collectors;
mod compat;
mod config;
mod cpu;
mod decoders;
mod degraded;
mod demand;
mod deploy;
mod drop_in;
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
mod logs;
mod map_types;
mod merging;
mod odd_names;

mod own_metrics;
mod pin_directories;
mod pins;
mod plan;
mod plugin_tools;
mod plugins_of_before;
mod probes;
mod procfs;
mod programs;
mod prometheus;
mod reload;
mod samples;
mod sources;
mod starting;
mod starved;
mod sums;
mod textfile;
mod values;
