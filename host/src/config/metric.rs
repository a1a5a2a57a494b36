//! The section `metrics`: counters, gauges and histograms; `shaped` has a file of its own.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use super::bounds;
use super::bounds::SeriesBounds;
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
use super::problem::Mark;
use super::problem::Problems;
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
pub(super) fn read_metrics(node: &Node, problems: &mut Problems) -> Metrics {
    let Some(fields) = Fields::of(node, &METRICS, problems) else {
        return Metrics {
            list: Vec::new(),
            any_section: true,
        };
    };
    let mut list = Vec::new();
    for node in fields.list("counters", "counters", problems) {
        list.extend(read_counter(node, problems));
    }
    for node in fields.list("gauges", "gauges", problems) {
        list.extend(read_gauge(node, problems));
    }
    for node in fields.list("histograms", "histograms", problems) {
        list.extend(histogram::read_histogram(node, problems));
    }
    for node in fields.list("shaped", "shaped metrics", problems) {
        list.extend(shaped::read_shaped(node, problems));
    }
    check_series_names(&list, problems);
    check_ring_buffers(&list, problems);
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
    problems: &mut Problems,
) -> Option<Common> {
    let what = schema.what;
    let name = fields.required_text("name", &format!("{what} needs a `name`"), problems);
    let called = match name {
        Some(name) => format!("{} `{}`", what.replacen("a ", "the ", 1), shorten(name)),
        None => what.to_owned(),
    };
    if let (Some(name), Some(node)) = (name, fields.get("name"))
        && let Err(why) = names::check_metric_name(name)
    {
        problems.error(
            node.at,
            format!("the metric name `{}` {why}", shorten(name)),
        );
    }
    let help = fields.required_text(
        "help",
        &format!("{called} needs a `help`: one sentence for its readers"),
        problems,
    );
    let value = value::read(fields, problems);
    let bounds = bounds::read(fields, problems);
    // An empty `map` is one that isn't there.
    let map = match fields.get("map") {
        Some(_) => fields.text("map", problems)?,
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
        problems: &Problems,
    ) -> MetricConfig {
        let at = problems.position(fields.at);
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

fn read_counter(node: &Node, problems: &mut Problems) -> Option<MetricConfig> {
    let fields = Fields::of(node, &COUNTER, problems)?;
    let common = read_common(&fields, &COUNTER, problems);
    let source = read_source(&fields, problems);
    if let (Some(MetricSource::Samples { .. }), Some(_), Some(node)) = (
        source,
        common.as_ref().and_then(Common::value),
        fields.get("value"),
    ) {
        problems.error(node.at, "samples are counted, they have no `value`");
    }
    let labels = label::read_labels(&fields, problems);
    if let Some(MetricSource::Samples { .. }) = source {
        for label in labels.iter().flatten().filter(|label| label.is_by_type()) {
            problems.error(
                Mark::from(&label.at),
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
        problems,
    ))
}

fn read_gauge(node: &Node, problems: &mut Problems) -> Option<MetricConfig> {
    let fields = Fields::of(node, &GAUGE, problems)?;
    let common = read_common(&fields, &GAUGE, problems);
    let labels = label::read_labels(&fields, problems);
    Some(common?.into_metric(
        &fields,
        MetricSource::Map,
        labels?,
        ("gauge", no_options()),
        problems,
    ))
}

fn no_options() -> Value {
    Value::Object(Map::new())
}

fn read_source(fields: &Fields<'_>, problems: &mut Problems) -> Option<MetricSource> {
    let through = read_sample_map(fields, problems);
    let flush_interval = match fields.get("flush_interval") {
        Some(node) => read_flush_interval(node, problems),
        None => Some(DEFAULT_FLUSH_INTERVAL),
    };
    if let (Some(None), Some(node)) = (through, fields.get("flush_interval")) {
        problems.warning(
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
fn read_sample_map(fields: &Fields<'_>, problems: &mut Problems) -> Option<Option<SampleMap>> {
    let mut found: Option<SampleMap> = None;
    for through in SampleMap::ALL {
        let Some(node) = fields.get(through.field()) else {
            continue;
        };
        if !fields.boolean(through.field(), problems)? {
            continue;
        }
        if let Some(other) = found.replace(through) {
            problems.error(
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
fn read_flush_interval(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let NodeValue::Scalar(written) = &node.value else {
        problems.error(
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
                problems.error(node.at, format!("`flush_interval`: {error}"));
                return None;
            }
        },
    };
    match interval {
        None => {
            problems.error(
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
            problems.error(
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
fn check_ring_buffers(metrics: &[MetricConfig], problems: &mut Problems) {
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
            problems.error(
                Mark::from(&metric.at),
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
fn check_series_names(metrics: &[MetricConfig], problems: &mut Problems) {
    let mark = |metric: &MetricConfig| Mark::from(&metric.at);
    let mut seen: HashMap<&str, Mark> = HashMap::new();
    for metric in metrics.iter().filter(|metric| !metric.name.is_empty()) {
        match seen.get(metric.name.as_str()) {
            Some(first) => problems.error(
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
                problems.error(*clash, format!("the metric `{series}` clashes with the series of that name of the histogram `{name}` at {at}"));
            }
        }
    }
}

/// The numbers of a histogram's options, for its own file.
pub(super) fn floats(node: &Node, name: &str, problems: &mut Problems) -> Option<Vec<f64>> {
    let items = fields::list(node, name, "numbers", problems);
    let numbers: Vec<f64> = items
        .iter()
        .filter_map(|item| fields::float(item, &format!("an item of `{name}`"), problems))
        .collect();
    (numbers.len() == items.len()).then_some(numbers)
}
