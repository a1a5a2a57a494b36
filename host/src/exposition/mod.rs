//! Families and the text formats: one neutral model, its writers, its reader, and which format a
//! scraper gets.
//!
//! Owns everything about how series look in a body. Knows nothing of units, maps, plugins or HTTP
//! connections.

mod body;
mod compress;
mod escape;
mod family;
mod merge;
mod names;
mod negotiate;
mod number;
mod openmetrics;
#[cfg(any(test, feature = "test-support"))]
mod parse;
mod render;
mod sample;
mod samples;
mod text;
mod value;

pub(crate) use body::BodyWriter;
pub(crate) use compress::Compressor;
pub(crate) use escape::{LabelTemplate, label_block};
pub(crate) use family::{Family, FamilyMeta, Kind};
pub(crate) use merge::{Clash, ClashReason, Source, merge};
pub(crate) use names::{label_name, metric_name};
pub(crate) use negotiate::{Encoding, Format, Negotiated, negotiate};
#[cfg(any(test, feature = "test-support"))]
pub(crate) use parse::parse;
pub(crate) use render::{BlockRenderer, BlockTemplate, LabelValues};
pub(crate) use samples::{
    BlockIndexes, ColumnValues, Columns, HistogramRef, LabelBlocks, Samples, ValueRef,
};
pub(crate) use value::{Histogram, Number, Sample, StartTime, Summary, Value};

/// Appends a whole body in `format`. `families` sorted by name, no two of one name: see `merge`.
pub(crate) fn write(out: &mut String, families: &[Family], format: Format) {
    BodyWriter::new(families, format).write(families, out, usize::MAX);
}

#[cfg(test)]
mod tests;
