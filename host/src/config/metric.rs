//! The section `metrics`: counters, gauges and histograms; `shaped` has a file of its own.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use super::bounds;
use super::bounds::SeriesBounds;
use super::diagnostic::Diagnostics;
use super::diagnostic::LineColumn;
use super::duration;
use super::fields;
use super::fields::Fields;
use super::fields::Schema;
use super::histogram;
use super::label;
use super::model::MetricConfig;
use super::model::MetricSource;
use super::model::PluginUse;
use super::model::SampleMap;
use super::names;
use super::node::Node;
use super::node::NodeValue;
use super::node::shorten;
use super::scalar;
use super::scalar::Numeric;
use super::shaped;
use super::value;
use super::value::ValueConfig;

const METRICS: Schema = Schema {
    what: "`metrics`",
    known: &["counters", "gauges", "histograms", "shaped"],
    later: &[],
};

const COUNTER: Schema = Schema {
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
    ],
    later: &[],
};

const GAUGE: Schema = Schema {
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

const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_secs(3600);
/// Below it somebody wrote seconds without a unit, and the counts would never add up to anything.
const MIN_FLUSH_INTERVAL: Duration = Duration::from_millis(1);

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
    // What is missing has been reported, and the unit will not start; the rest of the metric is looked at all the same.
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
        labels: Vec<super::model::LabelConfig>,
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
        for label in labels.iter().flatten().filter(|label| label.is_by_type()) {
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

fn read_source(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<MetricSource> {
    let through = read_sample_map(fields, diagnostics);
    let flush_interval = match fields.get("flush_interval") {
        Some(node) => read_flush_interval(node, diagnostics),
        None => Some(DEFAULT_FLUSH_INTERVAL),
    };
    if let (Some(None), Some(node)) = (through, fields.get("flush_interval")) {
        diagnostics.warning(
            node.at,
            "`flush_interval` has no effect without `perf_event_array: true` or `ringbuf: true`",
        );
    }
    Some(match through? {
        Some(through) => MetricSource::Samples {
            through,
            flush_interval: flush_interval?,
        },
        None => MetricSource::Map,
    })
}

/// `Some(None)`: the map is read, nothing is sent.
fn read_sample_map(
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Option<SampleMap>> {
    let mut found: Option<SampleMap> = None;
    for through in SampleMap::ALL {
        let Some(node) = fields.get(through.field()) else {
            continue;
        };
        if !fields.boolean(through.field(), diagnostics)? {
            continue;
        }
        if let Some(other) = found.replace(through) {
            diagnostics.error(
                node.at,
                format!(
                    "`{}` and `{}` exclude each other: samples come through one of them",
                    other.field(),
                    through.field()
                ),
            );
            return None;
        }
    }
    Some(found)
}

/// A text is Go's notation, a bare number nanoseconds, as yaml.v2 reads it; 0 is the default.
fn read_flush_interval(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let NodeValue::Scalar(written) = &node.value else {
        diagnostics.error(
            node.at,
            format!(
                "expected a duration such as `90s` for `flush_interval`, found {}",
                node.describe()
            ),
        );
        return None;
    };
    let number = if written.plain {
        scalar::numeric(&written.text)
    } else {
        None
    };
    let interval = match number {
        Some(Numeric::Integer(value)) => u64::try_from(value).ok().map(Duration::from_nanos),
        Some(Numeric::Float(value)) if (0.0..1e19).contains(&value) => {
            Some(Duration::from_nanos(value as u64))
        }
        Some(Numeric::Float(_)) => None,
        None => match duration::parse_duration(&written.text) {
            Ok(interval) => Some(interval),
            Err(error) => {
                diagnostics.error(node.at, format!("`flush_interval`: {error}"));
                return None;
            }
        },
    };
    match interval {
        None => {
            diagnostics.error(
                node.at,
                format!(
                    "expected a positive duration such as `90s` for `flush_interval`, found {}",
                    node.describe()
                ),
            );
            None
        }
        Some(Duration::ZERO) => Some(DEFAULT_FLUSH_INTERVAL),
        Some(interval) if interval < MIN_FLUSH_INTERVAL => {
            let hint = if number.is_some() {
                ": a bare number is nanoseconds, write e.g. `90s`"
            } else {
                ""
            };
            diagnostics.error(
                node.at,
                format!(
                    "expected at least 1ms for `flush_interval`, found {}{hint}",
                    node.describe()
                ),
            );
            None
        }
        Some(interval) => Some(interval),
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

/// No two metrics of a unit may write the same series: neither by their own names nor by a histogram's `_bucket`, `_sum`, `_count`.
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
