//! Families written, joined and compressed.

use std::io;
use std::sync::Arc;

use super::rows::Rows;
use crate::exposition::{
    Compressor, Encoding, Family, FamilyMeta, Format, Histogram, Kind, Number, Sample, Source,
    Value, merge, write,
};

/// Bytes of text that are compressed at once, as web does.
const CHUNK: usize = 64 << 10;

/// A format of bodies.
#[derive(Debug, Clone, Copy)]
pub enum Wire {
    Text,
    OpenMetrics,
}

/// A compression of bodies.
#[derive(Debug, Clone, Copy)]
pub enum Coding {
    Gzip,
    Zstd,
}

/// Families as several sources bring them.
#[derive(Clone)]
pub struct Bodies(Vec<Vec<Family>>);

impl Bodies {
    /// A family with a label and a number of each kind of `values`: integers as counters have them.
    pub fn integers(values: impl IntoIterator<Item = u64>) -> Self {
        Self::numbers(values.into_iter().map(Number::Unsigned))
    }

    /// Floats as gauges have them.
    pub fn floats(values: impl IntoIterator<Item = f64>) -> Self {
        Self::numbers(values.into_iter().map(Number::Float))
    }

    fn numbers(numbers: impl Iterator<Item = Number>) -> Self {
        let values = numbers.map(Value::Number);
        Self(vec![vec![family("numbers", Kind::Gauge, "idle", values)]])
    }

    /// As collectors answer, each with `families` of `samples` numbers each. No two have a family
    /// in common.
    pub fn of_collectors(collectors: u32, families: u32, samples: u32) -> Self {
        let sources = (0..collectors).map(|collector| {
            let prefix = format!("node_of_{collector}");
            Self::source(&prefix, "idle", families, samples)
        });
        Self(sources.collect())
    }

    /// As one collector answers for several targets: the families of all have the same names, the
    /// samples other labels.
    pub fn of_targets(targets: u32, families: u32, samples: u32) -> Self {
        let sources = (0..targets)
            .map(|target| Self::source("node", &format!("of {target}"), families, samples));
        Self(sources.collect())
    }

    fn source(prefix: &str, mode: &str, families: u32, samples: u32) -> Vec<Family> {
        let of_family = |index| {
            let name = format!("{prefix}_values_{index:03}");
            let values = (0..samples).map(|sample| f64::from(sample) * 1.5);
            let values = values.map(|value| Value::Number(Number::Float(value)));
            family(&name, Kind::Gauge, mode, values)
        };
        (0..families).map(of_family).collect()
    }

    /// A family of histograms, as a collector answers: with ten buckets each.
    pub fn histograms(samples: u32) -> Self {
        let bounds: Arc<[f64]> = (0..9).map(|power| f64::from(1 << power) * 1e-3).collect();
        let values = (0..samples).map(|sample| {
            Value::Histogram(Box::new(Histogram {
                bounds: Arc::clone(&bounds),
                counts: (0..10).map(|bucket| u64::from(sample + bucket)).collect(),
                sum: Number::Float(f64::from(sample) * 0.1),
            }))
        });
        Self(vec![vec![family(
            "spent_seconds",
            Kind::Histogram,
            "idle",
            values,
        )]])
    }

    /// As a map gives them.
    pub fn of_map(rows: &mut Rows) -> Self {
        Self(vec![rows.scrape()])
    }

    /// Makes one sorted list of all sources' families. Gives their number.
    pub fn merge(self) -> usize {
        let source = |(index, families): (usize, _)| Source {
            name: index.to_string().into(),
            families,
        };
        merge(self.0.into_iter().enumerate().map(source).collect())
            .0
            .len()
    }

    /// Appends the bodies of all sources.
    pub fn write(&self, wire: Wire, out: &mut String) {
        let format = match wire {
            Wire::Text => Format::Text004,
            Wire::OpenMetrics => Format::OpenMetrics100,
        };
        for families in &self.0 {
            write(out, families, format);
        }
    }

    /// Compresses a body piece by piece. Gives its length.
    pub fn pack(coding: Coding, text: &str) -> io::Result<usize> {
        let encoding = match coding {
            Coding::Gzip => Encoding::Gzip,
            Coding::Zstd => Encoding::Zstd,
        };
        let Some(mut compressor) = Compressor::new(encoding, Vec::new)? else {
            return Ok(text.len());
        };
        for chunk in text.as_bytes().chunks(CHUNK) {
            compressor.write(chunk)?;
        }
        Ok(compressor.finish()?.len())
    }
}

fn family(name: &str, kind: Kind, mode: &str, values: impl Iterator<Item = Value>) -> Family {
    let sample = |(index, value)| {
        Sample::new(
            format!("device=\"device{index:05}\",mode=\"{mode}\"").into(),
            value,
        )
    };
    Family {
        meta: Arc::new(FamilyMeta {
            name: name.into(),
            help: "Numbers.".into(),
            unit: String::new(),
            kind,
        }),
        samples: (0_u32..).zip(values).map(sample).collect(),
    }
}
