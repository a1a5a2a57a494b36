//! The section `metrics`: counters, gauges and histograms; `shaped` has a file of its own.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::bounds::SeriesBounds;
use super::label::LabelConfig;
use super::plugin_use::PluginUse;
use super::samples::{MetricSource, check_ring_buffers, read_source};
use super::value::ValueConfig;
use super::{bounds, histogram, label, names, shaped, value};
use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, Schema, Span, fields, shorten};

/// One metric: a map (or a perf event array) and how it is labelled and shaped.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct MetricConfig {
    /// Without the namespace.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The BPF map's name.
    pub(crate) map: String,
    pub(crate) source: MetricSource,
    pub(crate) labels: Vec<LabelConfig>,
    /// The shaper by name and its options, e.g. `counter`, `gauge`, `exp2`.
    pub(crate) shape: PluginUse,
    /// The map's values may have any size: the shaper says where its numbers are. Otherwise they
    /// are one u64, unless `value` says more.
    pub(crate) any_value: bool,
    pub(crate) value: Option<ValueConfig>,
    pub(crate) bounds: SeriesBounds,
    pub(crate) at: Span,
}

pub(super) const METRICS: Schema = Schema {
    what: "`metrics`",
    known: &["counters", "gauges", "histograms", "shaped"],
    later: &[],
};

pub(super) const COUNTER: Schema = Schema {
    what: "a counter",
    known: &[
        "name",
        "help",
        "map",
        "perf_event_array",
        "ringbuf",
        "flush_interval",
        "labels",
        "value",
        bounds::MAX_SERIES,
        bounds::EXPIRE,
        bounds::DEPARTED,
    ],
    later: &[],
};

pub(super) const GAUGE: Schema = Schema {
    what: "a gauge",
    known: &[
        "name",
        "help",
        "map",
        "labels",
        "value",
        bounds::MAX_SERIES,
        bounds::EXPIRE,
    ],
    later: &["ringbuf"],
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

/// What counters, gauges and histograms have in common.
pub(super) struct Common {
    name: String,
    help: String,
    map: String,
    value: Option<ValueConfig>,
    bounds: SeriesBounds,
}

pub(super) fn read_common(
    fields: &Fields<'_>,
    schema: &Schema,
    diagnostics: &mut Diagnostics,
) -> Option<Common> {
    let what = schema.what;
    let name = fields.required_text("name", &format!("{what} needs a `name`"), diagnostics);
    let called = match name {
        Some(name) => format!("{} `{}`", what.replacen("a ", "the ", 1), shorten(name)),
        None => what.to_owned(),
    };
    if let (Some(name), Some(node)) = (name, fields.get("name"))
        && let Err(why) = names::check_metric_name(name)
    {
        diagnostics.error(
            node.at,
            format!("the metric name `{}` {why}", shorten(name)),
        );
    }
    let help = fields.required_text(
        "help",
        &format!("{called} needs a `help`: one sentence for its readers"),
        diagnostics,
    );
    let value = value::read(fields, diagnostics);
    let bounds = bounds::read(fields, diagnostics);
    // An empty `map` is one that isn't there.
    let map = match fields.get("map") {
        Some(_) => fields.text("map", diagnostics)?,
        None => "",
    };
    // What is missing has been reported, and the unit will not start; the rest of the metric is
    // looked at all the same.
    let name = name.unwrap_or_default().to_owned();
    let map = if map.is_empty() {
        name.clone()
    } else {
        map.to_owned()
    };
    Some(Common {
        name,
        help: help.unwrap_or_default().to_owned(),
        map,
        value: value.ok()?,
        bounds,
    })
}

impl Common {
    pub(super) fn value(&self) -> Option<&ValueConfig> {
        self.value.as_ref()
    }

    pub(super) fn into_metric(
        self,
        fields: &Fields<'_>,
        source: MetricSource,
        labels: Vec<LabelConfig>,
        shape: (&str, Value),
        diagnostics: &Diagnostics,
    ) -> MetricConfig {
        let at = diagnostics.position(fields.at);
        let (shape, options) = shape;
        let shape = PluginUse {
            name: shape.to_owned(),
            options,
            at: at.clone(),
        };
        MetricConfig {
            name: self.name,
            help: self.help,
            map: self.map,
            source,
            labels,
            shape,
            any_value: false,
            value: self.value,
            bounds: self.bounds,
            at,
        }
    }
}

fn read_counter(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
    let fields = Fields::of(node, &COUNTER, diagnostics)?;
    let common = read_common(&fields, &COUNTER, diagnostics);
    let source = read_source(&fields, diagnostics);
    if let (Some(MetricSource::Samples { .. }), Some(_), Some(node)) = (
        source,
        common.as_ref().and_then(Common::value),
        fields.get("value"),
    ) {
        diagnostics.error(node.at, "samples are counted, they have no `value`");
    }
    let labels = label::read_labels(&fields, diagnostics);
    if let Some(MetricSource::Samples { .. }) = source {
        for label in labels
            .iter()
            .flatten()
            .filter(|label| label.spelled_out().is_none())
        {
            diagnostics.error(
                LineColumn::from(&label.at),
                format!(
                    "the label `{}` needs a `size` and `decoders`, and no `member`: samples have no type",
                    shorten(&label.name)
                ),
            );
        }
    }
    Some(common?.into_metric(
        &fields,
        source?,
        labels?,
        ("counter", no_options()),
        diagnostics,
    ))
}

fn read_gauge(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
    let fields = Fields::of(node, &GAUGE, diagnostics)?;
    let common = read_common(&fields, &GAUGE, diagnostics);
    let labels = label::read_labels(&fields, diagnostics);
    Some(common?.into_metric(
        &fields,
        MetricSource::Map,
        labels?,
        ("gauge", no_options()),
        diagnostics,
    ))
}

fn no_options() -> Value {
    Value::Object(Map::new())
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

/// The numbers of a histogram's options, for its own file.
pub(super) fn floats(node: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<Vec<f64>> {
    let items = fields::list(node, name, "numbers", diagnostics);
    let numbers: Vec<f64> = items
        .iter()
        .filter_map(|item| fields::float(item, &format!("an item of `{name}`"), diagnostics))
        .collect();
    (numbers.len() == items.len()).then_some(numbers)
}
