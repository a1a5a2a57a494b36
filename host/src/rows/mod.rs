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
mod key_binding;
mod layout;
mod limit;
mod metric;
mod order;
mod pipeline;
mod reading;
mod scrape_stats;
mod series;
mod table;

pub(crate) use layout::{KeyShape, Layout, is_cpu};
pub(crate) use metric::{MapBatch, Metric, MetricParts};
pub(crate) use pipeline::{Label, Plugins, SessionId, Shaper, Step};
pub(crate) use scrape_stats::MetricScrapeStats;

#[cfg(test)]
mod tests;
