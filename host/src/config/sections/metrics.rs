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
    /// Those that are left out, as far as they could be read.
    pub(super) wrong: Vec<MetricConfig>,
    /// At least one of its sections is there, be it empty.
    pub(super) any_section: bool,
}

type ReadMetric = fn(&Node, &mut Diagnostics) -> Option<MetricConfig>;

/// Metrics that could not be read are left out, and it has been said why.
pub(super) fn read_metrics(node: &Node, diagnostics: &mut Diagnostics) -> Metrics {
    let Some(fields) = Fields::of(node, &METRICS, diagnostics) else {
        return Metrics {
            list: Vec::new(),
            wrong: Vec::new(),
            any_section: true,
        };
    };
    let (mut list, mut wrong) = (Vec::new(), Vec::new());
    let sections: [(&str, &str, ReadMetric); 4] = [
        ("counters", "counters", read_counter),
        ("gauges", "gauges", read_gauge),
        ("histograms", "histograms", histogram::read_histogram),
        ("shaped", "shaped metrics", shaped::read_shaped),
    ];
    for (name, what, read) in sections {
        for node in fields.list(name, what, diagnostics) {
            let (metric, right) = diagnostics.metric(|diagnostics| read(node, diagnostics));
            if right {
                list.extend(metric);
            } else {
                wrong.extend(metric);
            }
        }
    }
    let mut left_out = check_series_names(&list, diagnostics);
    left_out.extend(check_ring_buffers(&list, diagnostics));
    let mut index = 0..;
    list.retain(|_| index.next().is_some_and(|index| !left_out.contains(&index)));
    let any_section = ["counters", "gauges", "histograms", "shaped"]
        .iter()
        .any(|name| fields.get(name).is_some());
    Metrics {
        list,
        wrong,
        any_section,
    }
}

/// No two metrics of a unit may write the same series: neither by their own names nor by a
/// histogram's `_bucket`, `_sum`, `_count`. Gives the indices of those that are left out for it.
fn check_series_names(metrics: &[MetricConfig], diagnostics: &mut Diagnostics) -> Vec<usize> {
    let mark = |metric: &MetricConfig| LineColumn::from(&metric.at);
    let mut seen: HashMap<&str, (usize, LineColumn)> = HashMap::new();
    let mut left_out = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        match seen.get(metric.name.as_str()) {
            Some((_, first)) => {
                let name = &metric.name;
                diagnostics.metric_error(
                    mark(metric),
                    format!("duplicate metric `{name}`: it is already at {first}"),
                );
                left_out.push(index);
            }
            None => {
                seen.insert(&metric.name, (index, mark(metric)));
            }
        }
    }
    for histogram in metrics
        .iter()
        .filter(|metric| histogram::BUCKET_TYPES.contains(&metric.shape.name.as_str()))
    {
        for suffix in ["_bucket", "_sum", "_count"] {
            let series = format!("{}{suffix}", histogram.name);
            if let Some((index, clash)) = seen.get(series.as_str()) {
                let (name, at) = (&histogram.name, mark(histogram));
                left_out.push(*index);
                diagnostics.metric_error(*clash, format!("the metric `{series}` clashes with the series of that name of the histogram `{name}` at {at}"));
            }
        }
    }
    left_out
}

/// A sample of a ring buffer is there for one reader. Gives the indices of the metrics that are
/// left out for it.
fn check_ring_buffers(metrics: &[MetricConfig], diagnostics: &mut Diagnostics) -> Vec<usize> {
    let mut readers: HashMap<&str, &MetricConfig> = HashMap::new();
    let mut left_out = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let MetricSource::Samples {
            through: SampleMap::Ringbuf,
            ..
        } = metric.source
        else {
            continue;
        };
        let first = *readers.entry(&metric.map).or_insert(metric);
        if !std::ptr::eq(first, metric) {
            left_out.push(index);
            diagnostics.metric_error(
                LineColumn::from(&metric.at),
                format!(
                    "the ring buffer `{}` is read by the metric `{}` already, and each sample can be read once: send to another one",
                    shorten(&metric.map),
                    shorten(&first.name)
                ),
            );
        }
    }
    left_out
}
