//! The SDK's types as those of the interface, and back.

use super::collector_world::exports::exporter::plugin::collecting;
use super::decoder_world::exporter::plugin::types;
use super::shaper_world::exports::exporter::plugin::shaping;
use crate::cells::{Cells, RowError};
use crate::collector::Failure;
use crate::families::{self, Kind, Value};
use crate::registry::Entry;
use crate::shaper;

pub(super) fn row_errors(errors: Vec<RowError>) -> Vec<types::RowError> {
    let errors = errors.into_iter();
    errors
        .map(|error| types::RowError {
            row: error.row,
            message: error.message,
        })
        .collect()
}

impl From<types::Cells> for Cells {
    fn from(cells: types::Cells) -> Self {
        Self::from_parts(cells.bytes, cells.ends)
    }
}

impl From<Cells> for types::Cells {
    fn from(cells: Cells) -> Self {
        let (bytes, ends) = cells.into_parts();
        Self { bytes, ends }
    }
}

impl<F> From<&Entry<F>> for types::Description {
    fn from(entry: &Entry<F>) -> Self {
        Self {
            name: entry.name.to_owned(),
            summary: entry.summary.to_owned(),
            options_schema: entry.options_schema.to_owned(),
        }
    }
}

impl From<Kind> for types::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
            Kind::Summary => Self::Summary,
            Kind::Info => Self::Info,
            Kind::Unknown => Self::Unknown,
        }
    }
}

impl From<shaper::Family> for shaping::Family {
    fn from(family: shaper::Family) -> Self {
        Self {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind: family.kind.into(),
            labels: family.labels,
            bounds: family.bounds,
        }
    }
}

impl From<shaper::Number> for shaping::Number {
    fn from(number: shaper::Number) -> Self {
        Self {
            offset: number.offset,
            encoding: match number.encoding {
                shaper::NumberType::U64 => shaping::NumberType::U64,
                shaper::NumberType::S64 => shaping::NumberType::S64,
                shaper::NumberType::U32 => shaping::NumberType::U32,
                shaper::NumberType::S32 => shaping::NumberType::S32,
                shaper::NumberType::F64 => shaping::NumberType::F64,
            },
        }
    }
}

impl From<shaper::Placement> for shaping::Placement {
    fn from(placement: shaper::Placement) -> Self {
        Self {
            row: placement.row,
            family: placement.family,
            slot: match placement.slot {
                shaper::Slot::Value => shaping::Slot::Value,
                shaper::Slot::Bucket(index) => shaping::Slot::Bucket(index),
                shaper::Slot::Sum => shaping::Slot::Sum,
                shaper::Slot::None => shaping::Slot::None,
            },
            number: placement.number,
            scale: placement.scale,
        }
    }
}

impl From<families::Family> for collecting::Family {
    fn from(family: families::Family) -> Self {
        let samples = family.samples.into_iter();
        Self {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind: family.kind.into(),
            label_names: family.label_names,
            samples: samples
                .map(|sample| collecting::Sample {
                    label_values: sample.label_values,
                    value: sample.value.into(),
                })
                .collect(),
        }
    }
}

impl From<Value> for collecting::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Unsigned(number) => Self::Number(collecting::Number::Unsigned(number)),
            Value::Signed(number) => Self::Number(collecting::Number::Signed(number)),
            Value::Real(number) => Self::Number(collecting::Number::Real(number)),
            Value::Histogram(histogram) => {
                let buckets = histogram.buckets.into_iter();
                Self::Histogram(collecting::Histogram {
                    buckets: buckets
                        .map(|(upper_bound, cumulative_count)| collecting::Bucket {
                            upper_bound,
                            cumulative_count,
                        })
                        .collect(),
                    sum: histogram.sum,
                    count: histogram.count,
                })
            }
            Value::Summary(summary) => {
                let quantiles = summary.quantiles.into_iter();
                Self::Summary(collecting::Summary {
                    quantiles: quantiles
                        .map(|(quantile, value)| collecting::Quantile { quantile, value })
                        .collect(),
                    sum: summary.sum,
                    count: summary.count,
                })
            }
        }
    }
}

impl From<Failure> for collecting::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(message) => Self::Unreachable(message),
            Failure::Timeout(message) => Self::Timeout(message),
            Failure::Invalid(message) => Self::Invalid(message),
            Failure::Denied(message) => Self::Denied(message),
        }
    }
}
