//! exporter-host: a Prometheus exporter for one Linux node. BPF objects count in the kernel, sandboxed WebAssembly components decode and shape.

mod bpf;
mod cli;
mod config;
mod exposition;
mod kernel;
mod plugin;
mod privileges;
mod rows;
mod telemetry;
mod unit;
mod web;

fn main() {}
