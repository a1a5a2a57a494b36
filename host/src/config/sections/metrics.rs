//! The section `metrics` as a whole: counters, gauges, histograms and shaped metrics.

use std::collections::HashMap;

use super::metric::{MetricConfig, read_counter, read_gauge};
use super::samples::MetricSource;
use super::{histogram, shaped};
use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, Schema, shorten};
use crate::object_input::SampleMap;

pub(super) const METRICS: Schema = Schema {
    what: "`metrics`",
    known: &["counters", "gauges", "histograms", "shaped"],
    later: &[],
};

/// What `metrics` says.
pub(super) struct Metrics {
    pub(super) list: Vec<MetricConfig>,
    /// At least one of its sections is there, be it empty.
    pub(super) any_section: bool,
}

/// Metrics that could not be read are left out, and it has been said why.
pub(super) fn read_metrics(node: &Node, diagnostics: &mut Diagnostics) -> Metrics {
    let Some(fields) = Fields::of(node, &METRICS, diagnostics) else {
        return Metrics {
            list: Vec::new(),
            any_section: true,
        };
    };
    let mut list = Vec::new();
    for node in fields.list("counters", "counters", diagnostics) {
        list.extend(read_counter(node, diagnostics));
    }
    for node in fields.list("gauges", "gauges", diagnostics) {
        list.extend(read_gauge(node, diagnostics));
    }
    for node in fields.list("histograms", "histograms", diagnostics) {
        list.extend(histogram::read_histogram(node, diagnostics));
    }
    for node in fields.list("shaped", "shaped metrics", diagnostics) {
        list.extend(shaped::read_shaped(node, diagnostics));
    }
    check_series_names(&list, diagnostics);
    check_ring_buffers(&list, diagnostics);
    let any_section = ["counters", "gauges", "histograms", "shaped"]
        .iter()
        .any(|name| fields.get(name).is_some());
    Metrics { list, any_section }
}

/// No two metrics of a unit may write the same series: neither by their own names nor by a
/// histogram's `_bucket`, `_sum`, `_count`.
fn check_series_names(metrics: &[MetricConfig], diagnostics: &mut Diagnostics) {
    let mark = |metric: &MetricConfig| LineColumn::from(&metric.at);
    let mut seen: HashMap<&str, LineColumn> = HashMap::new();
    for metric in metrics.iter().filter(|metric| !metric.name.is_empty()) {
        match seen.get(metric.name.as_str()) {
            Some(first) => diagnostics.error(
                mark(metric),
                format!(
                    "duplicate metric `{}`: it is already at {first}",
                    metric.name
                ),
            ),
            None => {
                seen.insert(&metric.name, mark(metric));
            }
        }
    }
    for histogram in metrics
        .iter()
        .filter(|metric| histogram::BUCKET_TYPES.contains(&metric.shape.name.as_str()))
    {
        for suffix in ["_bucket", "_sum", "_count"] {
            let series = format!("{}{suffix}", histogram.name);
            if let Some(clash) = seen.get(series.as_str()) {
                let (name, at) = (&histogram.name, mark(histogram));
                diagnostics.error(*clash, format!("the metric `{series}` clashes with the series of that name of the histogram `{name}` at {at}"));
            }
        }
    }
}

/// A sample of a ring buffer is there for one reader.
fn check_ring_buffers(metrics: &[MetricConfig], diagnostics: &mut Diagnostics) {
    let mut readers: HashMap<&str, &MetricConfig> = HashMap::new();
    for metric in metrics {
        let MetricSource::Samples {
            through: SampleMap::Ringbuf,
            ..
        } = metric.source
        else {
            continue;
        };
        if let Some(first) = readers.insert(&metric.map, metric) {
            diagnostics.error(
                LineColumn::from(&metric.at),
                format!(
                    "the ring buffer `{}` is read by the metric `{}` already, and each sample can be read once: send to another one",
                    shorten(&metric.map),
                    shorten(&first.name)
                ),
            );
        }
    }
}
