//! What a reload does to a unit: the least that makes it what is wanted. Decided by contents, not by time stamps.

use std::fmt;
use std::time::Duration;

use super::running::Running;
use crate::config::{MetricConfig, MetricSource, UnitConfig};
use crate::digest::Digest;
use crate::plugin::Registry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Start,
    /// Nothing has changed.
    Keep,
    /// The YAML or a plugin has, the object has not: maps and links stay.
    Reshape,
    /// The object has changed, or what is written into it before it is loaded, or how its samples are counted.
    Replace,
    Stop,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Keep => "keep",
            Self::Reshape => "reshape",
            Self::Replace => "replace",
            Self::Stop => "stop",
        })
    }
}

/// What turns `running` into `wanted`. `object`: of the object's file as it is now; none where it cannot be read, which `Replace` then reports.
pub(crate) fn decide(
    running: &Running,
    wanted: &UnitConfig,
    object: Option<Digest>,
    registry: &Registry,
) -> Action {
    let config = running.config();
    let loaded = running.object();
    let same_object = match &wanted.object {
        Some(_) => loaded.is_some() && loaded == object,
        None => loaded.is_none(),
    };
    if !same_object || !same_preparation(config, wanted) || samples(config) != samples(wanted) {
        Action::Replace
    } else if config.digest != wanted.digest || !running.plugins_are_current(registry) {
        Action::Reshape
    } else {
        Action::Keep
    }
}

/// What tells a perf event array's counters apart. Two cannot have buffers in one array at a time, so that others take another array.
fn samples<'a>(config: &'a UnitConfig) -> Vec<(&'a str, &'a str, usize, Duration)> {
    let of_metric = |metric: &'a MetricConfig| match metric.source {
        MetricSource::Map => None,
        MetricSource::PerfEventArray { flush_interval } => {
            let labels = metric.labels.iter();
            let key_size = labels.map(|label| label.size + label.padding).sum();
            let (map, name) = (metric.map.as_str(), metric.name.as_str());
            Some((map, name, key_size, flush_interval))
        }
    };
    let mut samples: Vec<_> = config.metrics.iter().filter_map(of_metric).collect();
    samples.sort_unstable();
    samples
}

/// Whether both ask for the same to be done before the object is attached.
fn same_preparation(a: &UnitConfig, b: &UnitConfig) -> bool {
    let symbols = |config: &UnitConfig| -> Vec<String> {
        config
            .kaddrs
            .iter()
            .map(|(symbol, _)| symbol.clone())
            .collect()
    };
    let cgroups = |config: &UnitConfig| {
        config.cgroup_id_map.as_ref().map(|map| {
            let regexps: Vec<String> = map.regexps.iter().map(ToString::to_string).collect();
            (map.map.clone(), map.kind, regexps)
        })
    };
    symbols(a) == symbols(b) && cgroups(a) == cgroups(b)
}
