//! Sample lines: the hot path. Per sample nothing is allocated: names and bounds are rendered once
//! per family, label blocks come rendered.

use std::sync::Arc;

use super::family::{Family, Kind};
use super::number;
use super::samples::{HistogramRef, ValueRef};
use super::value::{Number, Summary};

/// Whose numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Text,
    OpenMetrics,
}

pub(super) struct SampleWriter {
    style: Style,
    /// `name{` or `name_bucket{`, whichever is being written; kept for its allocation.
    open: String,
    bounds: RenderedBounds,
}

/// The `le` labels of the last bounds seen: nearly always all series of a family have the same.
#[derive(Default)]
struct RenderedBounds {
    of: Option<Arc<[f64]>>,
    /// For each bound `le="..."` and the closing brace; `None` where a bound is no finite number.
    labels: Vec<Option<String>>,
    any_negative: bool,
}

impl SampleWriter {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            open: String::new(),
            bounds: RenderedBounds::default(),
        }
    }

    /// Appends a family's samples from the one at `from` on, until `out` has `enough` bytes. Gives
    /// the index of the next one. A value that is not of the family's kind is left out: no format
    /// could say it. `created`: what lines that say when a series was 0 are named after.
    pub(super) fn write(
        &mut self,
        out: &mut String,
        family: &Family,
        from: usize,
        enough: usize,
        created: Option<&str>,
    ) -> usize {
        let name = &family.meta.name;
        let is_histogram = family.meta.kind == Kind::Histogram;
        let is_summary = family.meta.kind == Kind::Summary;
        let is_number = !is_histogram && !is_summary;
        let mut next = from;
        if is_number {
            self.open.clear();
            self.open.push_str(name);
            self.open.push('{');
        }
        while out.len() < enough
            && let Some(sample) = family.samples.get(next)
        {
            next += 1;
            match sample.value {
                ValueRef::Number(value) if is_number => {
                    if sample.labels.is_empty() {
                        out.push_str(name);
                        out.push(' ');
                    } else {
                        out.push_str(&self.open);
                        out.push_str(sample.labels);
                        out.push_str("} ");
                    }
                    self.number(out, value);
                    out.push('\n');
                }
                // The bounds of different families are rarely the same allocation; equal contents
                // are found all the same.
                ValueRef::Histogram(histogram) if is_histogram => {
                    self.histogram(out, name, sample.labels, histogram);
                }
                ValueRef::Summary(summary) if is_summary => {
                    self.summary(out, name, sample.labels, summary);
                }
                _ => continue,
            }
            if let Some(base) = created
                && let Some(millis) = family.samples.start(next - 1).millis()
            {
                self.tail(out, base, "_created", sample.labels);
                number::seconds(out, millis);
                out.push('\n');
            }
        }
        next
    }

    fn histogram(
        &mut self,
        out: &mut String,
        name: &str,
        labels: &str,
        histogram: HistogramRef<'_>,
    ) {
        self.bounds.render(histogram.bounds, self.style);
        self.open.clear();
        self.open.push_str(name);
        self.open.push_str("_bucket{");
        if !labels.is_empty() {
            self.open.push_str(labels);
            self.open.push(',');
        }
        let mut counts = histogram.counts.iter();
        let mut total = 0_u64;
        for le in &self.bounds.labels {
            total = total.saturating_add(counts.next().copied().unwrap_or(0));
            if let Some(le) = le {
                out.push_str(&self.open);
                out.push_str(le);
                self.count(out, total);
            }
        }
        total = counts.fold(total, |sum, &count| sum.saturating_add(count));
        out.push_str(&self.open);
        out.push_str("le=\"+Inf\"} ");
        self.count(out, total);

        // OpenMetrics has no sum where it could fall, and no count without a sum.
        let falls = self.bounds.any_negative || !at_least_zero(histogram.sum);
        if self.style == Style::OpenMetrics && falls {
            return;
        }
        self.tail(out, name, "_sum", labels);
        self.number(out, histogram.sum);
        out.push('\n');
        self.tail(out, name, "_count", labels);
        self.count(out, total);
    }

    fn summary(&mut self, out: &mut String, name: &str, labels: &str, summary: &Summary) {
        self.open.clear();
        self.open.push_str(name);
        self.open.push('{');
        if !labels.is_empty() {
            self.open.push_str(labels);
            self.open.push(',');
        }
        for &(quantile, value) in &summary.quantiles {
            // OpenMetrics has neither a quantile's value below zero nor a sum that could fall.
            if self.style == Style::OpenMetrics && value < 0.0 {
                continue;
            }
            out.push_str(&self.open);
            out.push_str("quantile=\"");
            match self.style {
                Style::Text => number::go_float(out, quantile),
                Style::OpenMetrics => number::open_metrics_float(out, quantile),
            }
            out.push_str("\"} ");
            self.number(out, Number::Float(value));
            out.push('\n');
        }
        if self.style == Style::Text || at_least_zero(summary.sum) {
            self.tail(out, name, "_sum", labels);
            self.number(out, summary.sum);
            out.push('\n');
        }
        self.tail(out, name, "_count", labels);
        self.count(out, summary.count);
    }

    fn tail(&self, out: &mut String, name: &str, suffix: &str, labels: &str) {
        out.push_str(name);
        out.push_str(suffix);
        if !labels.is_empty() {
            out.push('{');
            out.push_str(labels);
            out.push('}');
        }
        out.push(' ');
    }

    fn count(&self, out: &mut String, count: u64) {
        match self.style {
            Style::Text => number::go_integer(out, count),
            Style::OpenMetrics => number::integer(out, count),
        }
        out.push('\n');
    }

    fn number(&self, out: &mut String, value: Number) {
        match self.style {
            Style::Text => number::go(out, value),
            Style::OpenMetrics => number::open_metrics(out, value),
        }
    }
}

impl RenderedBounds {
    fn render(&mut self, bounds: &Arc<[f64]>, style: Style) {
        if self
            .of
            .as_ref()
            .is_some_and(|of| Arc::ptr_eq(of, bounds) || **of == **bounds)
        {
            return;
        }
        self.labels.clear();
        self.labels.extend(bounds.iter().map(|&bound| {
            if !bound.is_finite() {
                return None;
            }
            let mut label = String::from("le=\"");
            match style {
                Style::Text => number::go_float(&mut label, bound),
                Style::OpenMetrics => number::open_metrics_float(&mut label, bound),
            }
            label.push_str("\"} ");
            Some(label)
        }));
        self.any_negative = bounds.iter().any(|&bound| bound < 0.0);
        self.of = Some(Arc::clone(bounds));
    }
}

fn at_least_zero(number: Number) -> bool {
    match number {
        Number::Unsigned(_) => true,
        Number::Signed(value) => value >= 0,
        Number::Float(value) => value >= 0.0,
        Number::Shifted { negative, .. } => !negative,
    }
}
