//! One metric, and how counters and gauges are read; histograms and shaped metrics have files of
//! their own.

use serde_json::{Map, Value};

use super::bounds::SeriesBounds;
use super::label::LabelConfig;
use super::plugin_use::PluginUse;
use super::samples::{MetricSource, read_source};
use super::value::ValueConfig;
use super::{bounds, label, names, value};
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

pub(super) fn read_counter(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
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

pub(super) fn read_gauge(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
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

/// The numbers of a histogram's options, for its own file.
pub(super) fn floats(node: &Node, name: &str, diagnostics: &mut Diagnostics) -> Option<Vec<f64>> {
    let items = fields::list(node, name, "numbers", diagnostics);
    let numbers: Vec<f64> = items
        .iter()
        .filter_map(|item| fields::float(item, &format!("an item of `{name}`"), diagnostics))
        .collect();
    (numbers.len() == items.len()).then_some(numbers)
}
