//! A family being read: its head, and samples gathered into series.

use std::sync::Arc;

use hashbrown::HashMap;

use super::Fault;
use super::line::SampleLine;
use crate::exposition::escape;
use crate::exposition::family::{Family, FamilyMeta, Kind};
use crate::exposition::value::{Histogram, Number, Sample, Summary, Value};

/// The labels that tell a histogram's buckets and a summary's quantiles apart.
const BOUND: &str = "le";
const QUANTILE: &str = "quantile";

pub(super) struct Assembly {
    /// As it stands in the text: without `_total` and `_info`.
    name: String,
    help: Option<String>,
    unit: Option<String>,
    kind: Option<Kind>,
    samples: Vec<Sample>,
    histograms: Vec<PartialHistogram>,
    summaries: Vec<PartialSummary>,
    /// Label block -> index in `histograms` or `summaries`.
    by_labels: HashMap<Arc<str>, usize>,
}

struct PartialHistogram {
    labels: Arc<str>,
    /// Upper bound and cumulative count, in the text's order.
    buckets: Vec<(f64, u64)>,
    sum: Option<Number>,
    count: Option<u64>,
}

struct PartialSummary {
    labels: Arc<str>,
    /// In the text's order.
    quantiles: Vec<(f64, f64)>,
    sum: Option<Number>,
    count: Option<u64>,
}

impl Assembly {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            help: None,
            unit: None,
            kind: None,
            samples: Vec::new(),
            histograms: Vec::new(),
            summaries: Vec::new(),
            by_labels: HashMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn set_help(&mut self, help: String) -> Result<(), Fault> {
        self.metadata("HELP", self.help.is_none())?;
        self.help = Some(help);
        Ok(())
    }

    pub(super) fn set_unit(&mut self, unit: &str) -> Result<(), Fault> {
        self.metadata("UNIT", self.unit.is_none())?;
        let (family, unit) = (self.name.clone(), unit.to_owned());
        if !unit.is_empty()
            && !family
                .strip_suffix(&unit)
                .is_some_and(|name| name.ends_with('_'))
        {
            return Err(Fault::Unit { family, unit });
        }
        self.unit = Some(unit);
        Ok(())
    }

    pub(super) fn set_kind(&mut self, kind: Kind) -> Result<(), Fault> {
        self.metadata("TYPE", self.kind.is_none())?;
        self.kind = Some(kind);
        Ok(())
    }

    fn metadata(&self, what: &'static str, first: bool) -> Result<(), Fault> {
        if first && self.samples.is_empty() && self.by_labels.is_empty() {
            return Ok(());
        }
        Err(Fault::Metadata {
            family: self.name.clone(),
            what,
        })
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }

    /// Whether a sample of that name belongs to this family.
    pub(super) fn takes(&self, sample: &str) -> bool {
        sample
            .strip_prefix(self.name.as_str())
            .is_some_and(|suffix| match self.kind() {
                Kind::Counter => matches!(suffix, "_total" | "_created"),
                Kind::Gauge | Kind::Unknown => suffix.is_empty(),
                Kind::Info => suffix == "_info",
                Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count" | "_created"),
                Kind::Summary => matches!(suffix, "" | "_sum" | "_count" | "_created"),
            })
    }

    /// `takes` was asked.
    pub(super) fn add(&mut self, line: &SampleLine<'_>) -> Result<(), Fault> {
        let suffix = line.name.strip_prefix(self.name.as_str()).unwrap_or("");
        let kind = self.kind();
        if suffix == "_created" && matches!(kind, Kind::Counter | Kind::Histogram | Kind::Summary) {
            return Ok(());
        }
        match kind {
            Kind::Histogram => return self.add_histogram_line(suffix, line),
            Kind::Summary => return self.add_summary_line(suffix, line),
            _ => {}
        }
        let labels = block(line, |_| true);
        self.samples
            .push(Sample::new(labels, Value::Number(line.value)));
        Ok(())
    }

    fn add_histogram_line(&mut self, suffix: &str, line: &SampleLine<'_>) -> Result<(), Fault> {
        let is_bucket = suffix == "_bucket";
        let labels = block(line, |name| !(is_bucket && name == BOUND));
        let problem = |what| Fault::Histogram {
            series: labels.to_string(),
            what,
        };
        let next = self.histograms.len();
        let index = *self.by_labels.entry(Arc::clone(&labels)).or_insert(next);
        if index == next {
            let labels = Arc::clone(&labels);
            let empty = PartialHistogram {
                labels,
                buckets: Vec::new(),
                sum: None,
                count: None,
            };
            self.histograms.push(empty);
        }
        let Some(partial) = self.histograms.get_mut(index) else {
            return Ok(());
        };
        match suffix {
            "_sum" if partial.sum.is_none() => partial.sum = Some(line.value),
            "_count" if partial.count.is_none() => {
                let count =
                    whole(line.value).ok_or_else(|| problem("its count is no whole number"))?;
                partial.count = Some(count);
            }
            "_bucket" => {
                let bound = line.labels.iter().find(|(name, _)| *name == BOUND);
                let bound: Option<f64> = bound.and_then(|(_, text)| text.parse().ok());
                let bound = bound.filter(|bound| !bound.is_nan());
                let bound = bound.ok_or_else(|| problem("a bucket without a number in `le`"))?;
                let count = whole(line.value)
                    .ok_or_else(|| problem("a bucket's count is no whole number"))?;
                partial.buckets.push((bound, count));
            }
            _ => return Err(problem("a second sum or count")),
        }
        Ok(())
    }

    fn add_summary_line(&mut self, suffix: &str, line: &SampleLine<'_>) -> Result<(), Fault> {
        let labels = block(line, |name| !(suffix.is_empty() && name == QUANTILE));
        let problem = |what| Fault::Summary {
            series: labels.to_string(),
            what,
        };
        let next = self.summaries.len();
        let index = *self.by_labels.entry(Arc::clone(&labels)).or_insert(next);
        if index == next {
            self.summaries.push(PartialSummary {
                labels: Arc::clone(&labels),
                quantiles: Vec::new(),
                sum: None,
                count: None,
            });
        }
        let Some(partial) = self.summaries.get_mut(index) else {
            return Ok(());
        };
        match suffix {
            "_sum" if partial.sum.is_none() => partial.sum = Some(line.value),
            "_count" if partial.count.is_none() => {
                let count =
                    whole(line.value).ok_or_else(|| problem("its count is no whole number"))?;
                partial.count = Some(count);
            }
            "" => {
                let quantile = line.labels.iter().find(|(name, _)| *name == QUANTILE);
                let quantile: Option<f64> = quantile.and_then(|(_, text)| text.parse().ok());
                let quantile = quantile.filter(|quantile| (0.0..=1.0).contains(quantile));
                let quantile = quantile.ok_or_else(|| {
                    problem("a sample without a number from 0 to 1 in `quantile`")
                })?;
                partial.quantiles.push((quantile, line.value.to_f64()));
            }
            _ => return Err(problem("a second sum or count")),
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Family, Fault> {
        let kind = self.kind();
        let mut bounds: Option<Arc<[f64]>> = None;
        for partial in std::mem::take(&mut self.histograms) {
            self.samples.push(partial.finish(&mut bounds)?);
        }
        for partial in std::mem::take(&mut self.summaries) {
            self.samples.push(partial.finish()?);
        }
        self.samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        if let Some(twice) = self
            .samples
            .windows(2)
            .find(|pair| pair[0].labels == pair[1].labels)
        {
            let series = format!("{}{{{}}}", self.name, twice[0].labels);
            return Err(Fault::SeriesTwice { series });
        }
        let suffix = match kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram | Kind::Summary | Kind::Unknown => "",
        };
        let meta = FamilyMeta {
            name: self.name + suffix,
            help: self.help.unwrap_or_default(),
            unit: self.unit.unwrap_or_default(),
            kind,
        };
        Ok(Family {
            meta: Arc::new(meta),
            samples: self.samples.into(),
        })
    }
}

impl PartialHistogram {
    /// `shared`: the bounds of the series before, used again if they are the same.
    fn finish(self, shared: &mut Option<Arc<[f64]>>) -> Result<Sample, Fault> {
        let problem = |what| Fault::Histogram {
            series: self.labels.to_string(),
            what,
        };
        let Some((&(last, total), finite)) = self.buckets.split_last() else {
            return Err(problem("it has no buckets"));
        };
        if last != f64::INFINITY {
            return Err(problem("its last bucket is not `+Inf`"));
        }
        if self.count.is_some_and(|count| count != total) {
            return Err(problem("its count is not that of the `+Inf` bucket"));
        }
        let mut counts = Vec::with_capacity(self.buckets.len());
        let mut before = (f64::NEG_INFINITY, 0);
        for &(bound, cumulative) in &self.buckets {
            if bound <= before.0 {
                return Err(problem("its buckets do not ascend"));
            }
            let own = cumulative.checked_sub(before.1);
            counts.push(own.ok_or_else(|| problem("its buckets are not cumulative"))?);
            before = (bound, cumulative);
        }
        let same = |bounds: &&Arc<[f64]>| {
            bounds.len() == finite.len() && bounds.iter().zip(finite).all(|(a, (b, _))| a == b)
        };
        let bounds = match shared.as_ref().filter(same) {
            Some(bounds) => Arc::clone(bounds),
            None => finite.iter().map(|&(bound, _)| bound).collect(),
        };
        *shared = Some(Arc::clone(&bounds));
        let sum = self.sum.unwrap_or(Number::Float(0.0));
        let histogram = Histogram {
            bounds,
            counts,
            sum,
        };
        Ok(Sample::new(
            self.labels,
            Value::Histogram(Box::new(histogram)),
        ))
    }
}

impl PartialSummary {
    fn finish(mut self) -> Result<Sample, Fault> {
        let problem = |what| Fault::Summary {
            series: self.labels.to_string(),
            what,
        };
        self.quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        if self.quantiles.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(problem("a quantile is there twice"));
        }
        let summary = Summary {
            quantiles: self.quantiles,
            sum: self.sum.unwrap_or(Number::Float(0.0)),
            count: self.count.unwrap_or(0),
        };
        Ok(Sample::new(self.labels, Value::Summary(Box::new(summary))))
    }
}

fn whole(value: Number) -> Option<u64> {
    match value {
        Number::Unsigned(count) => Some(count),
        Number::Float(count) if count >= 0.0 && count.fract() == 0.0 => Some(count as u64),
        _ => None,
    }
}

/// The label block of those labels that are wanted; they are sorted already.
fn block(line: &SampleLine<'_>, wanted: impl Fn(&str) -> bool) -> Arc<str> {
    let mut out = String::new();
    for (name, value) in line.labels.iter().filter(|(name, _)| wanted(name)) {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape::label_value(&mut out, value);
        out.push('"');
    }
    out.into()
}
