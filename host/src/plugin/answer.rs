//! A collector's answer, checked: what comes out can stand in a body.
//!
//! One fault makes the whole answer an error: a collector that lies about one family cannot be
//! trusted about the next, and half an answer would look like series that are gone.

use std::sync::Arc;

use super::bindings::exports::exporter::plugin::collecting;
use super::error::CallError;
use crate::exposition::{
    Family, FamilyMeta, Histogram, Kind, LabelTemplate, Number, Sample, Summary, Value, label_name,
    metric_name,
};

/// Buckets of one histogram, quantiles of one summary.
const MAX_PARTS: usize = 4096;
/// Labels of one family: checking them takes time with the square of their number.
const MAX_LABELS: usize = 256;
/// Text of names and labels, on average over the series that a collector may have.
const BYTES_A_SERIES: usize = 1024;

/// What a collector gave.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Sorted by name, no two of one name; samples sorted, no two of the same labels.
    pub(crate) families: Vec<Family>,
    /// Lines of the text format that the families take.
    pub(crate) series: usize,
}

/// Checks and converts. `limit`: how many series there may be, as a scraper counts them: a
/// histogram is as many as it has buckets, and three more. `labels`, no two of one name, are added
/// to every series.
pub(super) fn checked(
    answer: Vec<collecting::Family>,
    limit: usize,
    labels: &[(&str, &str)],
) -> Result<Answer, CallError> {
    let found = answer
        .iter()
        .flat_map(|family| &family.samples)
        .fold(0_usize, |sum, sample| {
            sum.saturating_add(lines(&sample.value))
        });
    if found > limit {
        return Err(CallError::Series { found, limit });
    }
    let text = text_bytes(&answer, labels);
    let max_text = limit.saturating_mul(BYTES_A_SERIES).max(1 << 20);
    if text > max_text {
        return Err(CallError::Malformed(format!(
            "its series would take {text} bytes of text, the limit is {max_text}: {BYTES_A_SERIES} for each series that it may have"
        )));
    }
    let mut families = Vec::with_capacity(answer.len());
    for family in answer {
        let name = family.name.clone();
        let family = checked_family(family, labels).map_err(|what| {
            CallError::Malformed(format!("family `{}`: {}", short(&name), short(&what)))
        })?;
        families.push(family);
    }
    families.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
    if let Some(twice) = families
        .windows(2)
        .find(|pair| pair[0].meta.name == pair[1].meta.name)
    {
        return Err(CallError::Malformed(format!(
            "family `{}` is there twice",
            twice[0].meta.name
        )));
    }
    Ok(Answer {
        families,
        series: found,
    })
}

/// What the names and labels come to when they are written. The output limit has counted names once
/// that stand on every line.
fn text_bytes(answer: &[collecting::Family], labels: &[(&str, &str)]) -> usize {
    let added: usize = labels
        .iter()
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    answer.iter().fold(0_usize, |sum, family| {
        let own: usize = family.label_names.iter().map(|name| name.len() + 4).sum();
        let names = added + family.name.len() + own;
        family.samples.iter().fold(sum, |sum, sample| {
            let line = names + sample.label_values.iter().map(String::len).sum::<usize>();
            sum.saturating_add(line.saturating_mul(lines(&sample.value)))
        })
    })
}

fn lines(value: &collecting::Value) -> usize {
    match value {
        collecting::Value::Number(_) => 1,
        collecting::Value::Histogram(histogram) => histogram.buckets.len() + 3,
        collecting::Value::Summary(summary) => summary.quantiles.len() + 2,
    }
}

fn checked_family(family: collecting::Family, labels: &[(&str, &str)]) -> Result<Family, String> {
    let kind = kind(family.kind);
    metric_name(&family.name).map_err(|error| error.to_string())?;
    let own = family.label_names;
    if own.len() > MAX_LABELS {
        return Err(format!(
            "{} label names, the limit is {MAX_LABELS}",
            own.len()
        ));
    }
    for (index, name) in own.iter().enumerate() {
        label_name(name, kind).map_err(|error| error.to_string())?;
        if own[..index].contains(name) {
            return Err(format!("the label `{name}` is named twice"));
        }
        if labels.iter().any(|(added, _)| added == name) {
            return Err(format!(
                "it has a label `{name}` of its own, which is to be added: choose another name for `target_label` or in `labels`"
            ));
        }
    }
    for (name, _) in labels {
        label_name(name, kind).map_err(|error| error.to_string())?;
    }
    let names: Vec<&str> = own
        .iter()
        .map(String::as_str)
        .chain(labels.iter().map(|(name, _)| *name))
        .collect();
    let template = LabelTemplate::new(&names);
    let mut samples = Vec::with_capacity(family.samples.len());
    let mut bounds = SharedBounds::default();
    for sample in family.samples {
        let values = sample.label_values;
        if values.len() != own.len() {
            return Err(format!(
                "a sample has {} label values, there are {} label names",
                values.len(),
                own.len()
            ));
        }
        let mut block = String::new();
        template.render_into(&mut block, |index| match values.get(index) {
            Some(value) => value.as_str(),
            None => labels
                .get(index - values.len())
                .map_or("", |(_, value)| *value),
        });
        let value = checked_value(sample.value, kind, &mut bounds)
            .map_err(|what| format!("series `{{{}}}`: {what}", short(&block)))?;
        samples.push(Sample::new(block.into(), value));
    }
    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    if let Some(twice) = samples
        .windows(2)
        .find(|pair| pair[0].labels == pair[1].labels)
    {
        return Err(format!(
            "series `{{{}}}` is there twice",
            short(&twice[0].labels)
        ));
    }
    Ok(Family {
        meta: Arc::new(FamilyMeta {
            name: family.name,
            help: family.help,
            unit: family.unit,
            kind,
        }),
        samples: samples.into(),
    })
}

fn checked_value(
    value: collecting::Value,
    kind: Kind,
    bounds: &mut SharedBounds,
) -> Result<Value, String> {
    match (value, kind) {
        (collecting::Value::Number(number), Kind::Counter) => {
            let number = self::number(number);
            if at_least_zero(number) {
                Ok(Value::Number(number))
            } else {
                Err(format!("a counter is {}", show(number)))
            }
        }
        (collecting::Value::Number(number), Kind::Info) => {
            let number = self::number(number);
            if number.to_f64() == 1.0 {
                Ok(Value::Number(number))
            } else {
                Err(format!("an info is {}, not 1", show(number)))
            }
        }
        (collecting::Value::Number(number), Kind::Gauge | Kind::Unknown) => {
            Ok(Value::Number(self::number(number)))
        }
        (collecting::Value::Histogram(histogram), Kind::Histogram) => {
            checked_histogram(&histogram, bounds)
        }
        (collecting::Value::Summary(summary), Kind::Summary) => checked_summary(summary),
        (value, kind) => {
            let found = match value {
                collecting::Value::Number(_) => "a number",
                collecting::Value::Histogram(_) => "a histogram",
                collecting::Value::Summary(_) => "a summary",
            };
            Err(format!("it has {found}, the family is a {kind:?}").to_lowercase())
        }
    }
}

fn checked_histogram(
    histogram: &collecting::Histogram,
    shared: &mut SharedBounds,
) -> Result<Value, String> {
    let buckets = &histogram.buckets;
    if buckets.len() > MAX_PARTS {
        return Err(format!(
            "{} buckets, the limit is {MAX_PARTS}",
            buckets.len()
        ));
    }
    let mut counts = Vec::with_capacity(buckets.len() + 1);
    let mut before = (f64::NEG_INFINITY, 0);
    for bucket in buckets {
        let (bound, count) = (bucket.upper_bound, bucket.cumulative_count);
        if !bound.is_finite() {
            return Err(format!(
                "a bucket has the bound {bound}: +Inf's is the histogram's count, the others are finite"
            ));
        }
        if bound <= before.0 {
            return Err(format!("the bound {bound} comes after {}", before.0));
        }
        let Some(in_bucket) = count.checked_sub(before.1) else {
            return Err(format!(
                "the buckets are not cumulative: {count} up to {bound} after {}",
                before.1
            ));
        };
        counts.push(in_bucket);
        before = (bound, count);
    }
    let Some(beyond) = histogram.count.checked_sub(before.1) else {
        return Err(format!(
            "the count is {}, the last bucket has {}",
            histogram.count, before.1
        ));
    };
    counts.push(beyond);
    Ok(Value::Histogram(Box::new(Histogram {
        bounds: shared.of(buckets),
        counts,
        sum: Number::Float(histogram.sum),
    })))
}

fn checked_summary(summary: collecting::Summary) -> Result<Value, String> {
    if summary.quantiles.len() > MAX_PARTS {
        return Err(format!(
            "{} quantiles, the limit is {MAX_PARTS}",
            summary.quantiles.len()
        ));
    }
    let mut quantiles: Vec<(f64, f64)> = Vec::with_capacity(summary.quantiles.len());
    for found in summary.quantiles {
        if !(0.0..=1.0).contains(&found.quantile) {
            return Err(format!(
                "the quantile {} is not from 0 to 1",
                found.quantile
            ));
        }
        if let Some((before, _)) = quantiles.last()
            && found.quantile <= *before
        {
            return Err(format!(
                "the quantile {} comes after {before}",
                found.quantile
            ));
        }
        quantiles.push((found.quantile, found.value));
    }
    Ok(Value::Summary(Box::new(Summary {
        quantiles,
        sum: Number::Float(summary.sum),
        count: summary.count,
    })))
}

/// The bounds of the series before, used again if they are the same: nearly always they are.
#[derive(Default)]
struct SharedBounds(Option<Arc<[f64]>>);

impl SharedBounds {
    fn of(&mut self, buckets: &[collecting::Bucket]) -> Arc<[f64]> {
        let found = || buckets.iter().map(|bucket| bucket.upper_bound);
        match &self.0 {
            Some(known) if known.iter().copied().eq(found()) => Arc::clone(known),
            _ => {
                let bounds: Arc<[f64]> = found().collect();
                self.0 = Some(Arc::clone(&bounds));
                bounds
            }
        }
    }
}

fn kind(kind: collecting::Kind) -> Kind {
    match kind {
        collecting::Kind::Counter => Kind::Counter,
        collecting::Kind::Gauge => Kind::Gauge,
        collecting::Kind::Histogram => Kind::Histogram,
        collecting::Kind::Summary => Kind::Summary,
        collecting::Kind::Info => Kind::Info,
        collecting::Kind::Unknown => Kind::Unknown,
    }
}

fn number(number: collecting::Number) -> Number {
    match number {
        collecting::Number::Unsigned(value) => Number::Unsigned(value),
        collecting::Number::Signed(value) => Number::Signed(value),
        collecting::Number::Real(value) => Number::Float(value),
    }
}

/// False for NaN as well.
fn at_least_zero(number: Number) -> bool {
    number.to_f64() >= 0.0
}

fn show(number: Number) -> String {
    match number {
        Number::Unsigned(value) => value.to_string(),
        Number::Signed(value) => value.to_string(),
        number => number.to_f64().to_string(),
    }
}

/// A plugin's text as it may stand in a message: one line, not too long.
pub(super) fn short(text: &str) -> String {
    const MAX_CHARS: usize = 300;
    let mut short: String = text
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
