//! The shapes of ebpf_exporter's metrics: counters and gauges, and the four kinds of histogram.

mod bucket;
pub(crate) mod histogram;
mod key;
mod number;
pub(crate) mod value;
