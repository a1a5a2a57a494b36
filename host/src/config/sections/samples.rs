//! Where a metric's numbers come from: a map that is walked, or samples that programs send.

use std::collections::HashMap;
use std::time::Duration;

use super::metric::MetricConfig;
use crate::config::yaml::{
    Diagnostics, Fields, LineColumn, Node, NodeValue, Numeric, scalar, shorten,
};
use crate::object_input::SampleMap;

/// Where a metric's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum MetricSource {
    /// The entries of a map, walked at each scrape.
    Map,
    /// Samples that programs send: each adds 1 to the series its bytes decode to. All counts start
    /// again at 0 every `flush_interval`.
    Samples {
        through: SampleMap,
        flush_interval: Duration,
    },
}

/// The fields of the YAML that say through what samples are sent.
const SAMPLE_MAPS: [(&str, SampleMap); 2] = [
    ("perf_event_array", SampleMap::PerfEventArray),
    ("ringbuf", SampleMap::Ringbuf),
];

const DEFAULT_FLUSH_INTERVAL: Duration = Duration::from_secs(3600);
/// Below it somebody wrote seconds without a unit, and the counts would never add up to anything.
const MIN_FLUSH_INTERVAL: Duration = Duration::from_millis(1);

pub(super) fn read_source(
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<MetricSource> {
    let through = read_sample_map(fields, diagnostics);
    let flush_interval = match fields.get("flush_interval") {
        Some(node) => read_flush_interval(node, fields, diagnostics),
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
    let mut found: Option<(&str, SampleMap)> = None;
    for (field, through) in SAMPLE_MAPS {
        let Some(node) = fields.get(field) else {
            continue;
        };
        if !fields.boolean(field, diagnostics)? {
            continue;
        }
        if let Some((other, _)) = found.replace((field, through)) {
            diagnostics.error(
                node.at,
                format!(
                    "`{other}` and `{field}` exclude each other: samples come through one of them",
                ),
            );
            return None;
        }
    }
    Some(found.map(|(_, through)| through))
}

/// A text is Go's notation, a bare number nanoseconds, as yaml.v2 reads it; 0 is the default.
fn read_flush_interval(
    node: &Node,
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Duration> {
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
        None => Some(fields.duration("flush_interval", diagnostics)?),
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

/// A sample of a ring buffer is there for one reader. Gives the indices of the metrics that are
/// left out for it.
pub(super) fn check_ring_buffers(
    metrics: &[MetricConfig],
    diagnostics: &mut Diagnostics,
) -> Vec<usize> {
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
