//! From the entries of maps to series: which labels a key has, what a known key adds to, and the
//! numbers of the running scrape. Reading maps is the business of `bpf`, writing text that of
//! `exposition`.
//!
//! A number changes its form four times, and each time in one file (five are the most allowed):
//!
//! | from | to | in |
//! |---|---|---|
//! | bytes of a `MapBatch` | number | `number.rs` |
//! | number | accumulator | `key/binding.rs`, into `series/set.rs` |
//! | accumulators | column | `series/columns.rs` |
//! | column | text | `exposition/sample.rs` |
//!
//! The words:
//!
//! - *map batch*: entries of a map as the reader gives them, keys and values end to end
//!   (`map_batch.rs`).
//! - *row*: an entry, or one CPU's part of it where the CPU is a label; it has a *row key*.
//! - *layout*: which bytes of a row key are which label's (`key/layout.rs`).
//! - *cached key*: what the key table remembers of a row key: its binding, and when it was last
//!   seen.
//! - *key binding*: what a key means: it contributes, was dropped, or could not be decoded.
//! - *contribution*: which number of the value is added to which accumulator, and by which factor.
//! - *accumulator*: a number of the running scrape, the sum of what rows contribute.
//! - *series*: labels of a family with an accumulator; a histogram's has one for each bucket and
//!   one for the sum.
//! - *block*: the labels of a series as rendered text; it is made once and has the series' index.
//! - *column*: the numbers of a family's series beside their blocks (in `exposition`), or in
//!   `resolve/` the cells of one label.
//! - *sample*: a series with its number, as a scraper sees it.
//! - *batch*: unknown keys on their way through the plugins together (`resolve/batch.rs`).
//! - *placement*: a shaper's answer: the family and the part of a series that a row adds to.
//! - *departed*: what keys that are gone have left in an accumulator (`series/kept.rs`).
//! - *life*: of a key, from its coming to its removal; one that has less than before has begun
//!   another one (`key/lives.rs`).
//! - *base*: so much of a key's number was counted by the series that it was in before.
//! - *provisional*: an answer that is asked for again at the next scrape.

mod buckets;
mod chain;
mod key;
mod metric;
mod number;
mod open;
mod resolve;
mod series;
mod spec;
mod stats;

pub(crate) use buckets::BucketKeys;
pub(crate) use chain::check_chain;
pub(crate) use key::{KeyShape, Layout, MemberField, PackedField, is_cpu};
#[cfg(any(test, feature = "test-support"))]
pub(crate) use metric::MetricParts;
pub(crate) use metric::{Metric, WalkEnd};
pub(crate) use open::{OpenedMetrics, check_decoders, open_metrics};
pub(crate) use resolve::Plugins;
#[cfg(any(test, feature = "test-support"))]
pub(crate) use resolve::{Label, SessionId, Shaper, Step};
pub(crate) use spec::{LabelSpec, MetricSpec};
pub(crate) use stats::MetricScrapeStats;

#[cfg(test)]
mod tests;
