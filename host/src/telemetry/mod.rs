//! What the host says about itself: its own metrics (prometheus-client) and its logs.
//!
//! Owns names and help texts of all `exporter_host_*`, `ebpf_exporter_*`, `promhttp_*` and
//! `process_*` series, and the form of log lines. Other rooms report facts through methods; nobody
//! else touches the registry. Series of the units' maps are not here.

mod collectors;
mod http;
mod limit;
mod logs;
mod memory;
mod metrics;
mod plugin;
mod process;
mod programs;
mod registry;
mod unit;

pub(crate) use collectors::{CollectorStats, CollectorTarget};
pub(crate) use limit::RateLimit;
pub(crate) use logs::{LogFormat, LogLevel, LogOptions, flush as flush_log};
pub(crate) use memory::give_memory_back;
pub(crate) use metrics::{BuildInfo, Telemetry};
pub(crate) use plugin::PluginCosts;
pub(crate) use process::figures as process_figures;
pub(crate) use programs::ProgramStats;
pub(crate) use unit::{Stage, UnitTelemetry};
