//! Parts of the hot path, ready to be run in a loop.

use crate::exposition::{Family, FamilyMeta, Format, Kind, Number, Sample, Value, write};
use std::sync::Arc;

/// A family with a label and a number of each kind of `values`.
pub struct Numbers(Vec<Family>);

impl Numbers {
    /// Integers as counters have them.
    pub fn integers(values: impl IntoIterator<Item = u64>) -> Self {
        Self::new(values.into_iter().map(Number::Unsigned))
    }

    /// Floats as gauges have them.
    pub fn floats(values: impl IntoIterator<Item = f64>) -> Self {
        Self::new(values.into_iter().map(Number::Float))
    }

    fn new(numbers: impl Iterator<Item = Number>) -> Self {
        let sample = |(index, number)| Sample {
            labels: format!("n=\"{index}\"").into(),
            value: Value::Number(number),
        };
        let samples = (0_u32..).zip(numbers).map(sample).collect();
        Self(vec![Family {
            meta: Arc::new(FamilyMeta {
                name: "numbers".into(),
                help: "Numbers.".into(),
                unit: String::new(),
                kind: Kind::Gauge,
            }),
            samples,
        }])
    }

    /// Appends the body in text format 0.0.4.
    pub fn write(&self, out: &mut String) {
        write(out, &self.0, Format::Text004);
    }
}
