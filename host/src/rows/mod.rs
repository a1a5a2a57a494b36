//! From map entries to series: which label fields a key has, what a known key adds to, and the numbers of the running scrape.
//!
//! A key is decoded and placed by plugins once; from then on its entry in the key table says where its number goes. Reading maps is the
//! business of `bpf`, writing text that of `exposition`.

mod accumulate;
mod baseline;
mod batch;
mod column;
mod descriptions;
mod expiry;
mod index;
mod layout;
mod limit;
mod meaning;
mod metric;
mod order;
mod pipeline;
mod reading;
mod series;
mod table;
mod walked;

pub(crate) use layout::{KeyShape, Layout, is_cpu};
pub(crate) use metric::{Entries, Metric, MetricParts};
pub(crate) use pipeline::{Label, Plugins, SessionId, Shaper, Step};
pub(crate) use walked::Walked;

#[cfg(test)]
mod tests;
