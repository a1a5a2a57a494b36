//! The sections of a unit's YAML, a file each: what is in it once it has been read and checked,
//! with every default filled in, beside its reader.

mod bounds;
mod cgroup_id_map;
mod collector;
mod decoder;
mod globals;
mod histogram;
mod kernel;
mod label;
mod lifecycle;
mod maps;
mod metric;
mod metrics;
mod names;
mod plugin_use;
mod programs;
mod samples;
mod shaped;
mod unit;
mod value;

pub(crate) use bounds::{Departed, SeriesBounds};
pub(crate) use collector::CollectorConfig;
#[cfg(test)]
pub(crate) use collector::CollectorMode;
pub(crate) use kernel::{KernelFeature, KernelNeeds};
pub(crate) use label::LabelConfig;
pub(crate) use lifecycle::Lifecycle;
pub(crate) use metric::MetricConfig;
pub(crate) use plugin_use::PluginUse;
pub(crate) use programs::Enabled;
pub(crate) use samples::MetricSource;
pub(crate) use unit::{ReadUnit, Strictness, UnitConfig, Unreadable, read_unit};
#[cfg(any(test, feature = "test-support"))]
pub(crate) use value::ValueConfig;
pub(crate) use value::{ValueSelector, ValueType};

/// The keys of a section.
#[cfg(test)]
pub(in crate::config) struct Keys {
    /// As the headings of examples/CONFIGURATION.md have it.
    pub(in crate::config) path: &'static str,
    pub(in crate::config) known: Vec<&'static str>,
    /// Part of the format, but of no effect in this version.
    pub(in crate::config) reserved: &'static [&'static str],
}

/// The keys of all sections of a unit, as their readers have them.
#[cfg(test)]
pub(in crate::config) fn keys() -> Vec<Keys> {
    let schemas = [
        ("unit", &unit::UNIT),
        ("kernel", &kernel::KERNEL),
        ("maps.NAME", &maps::MAP),
        ("programs.NAME", &programs::PROGRAM),
        ("cgroup_id_map", &cgroup_id_map::CGROUP_ID_MAP),
        ("metrics", &metrics::METRICS),
        ("metrics.counters[]", &metric::COUNTER),
        ("metrics.gauges[]", &metric::GAUGE),
        ("metrics.histograms[]", &histogram::HISTOGRAM),
        ("metrics.shaped[]", &shaped::SHAPED),
        ("labels[]", &label::LABEL),
        ("value", &value::VALUE),
        ("collectors[]", &collector::COLLECTOR),
    ];
    let mut keys: Vec<Keys> = schemas.map(|(path, schema)| Keys::of(path, schema)).into();
    keys.push(Keys {
        path: "labels[].decoders[]",
        known: decoder::known_keys(),
        reserved: &[],
    });
    keys
}

#[cfg(test)]
impl Keys {
    pub(in crate::config) fn of(path: &'static str, schema: &crate::config::yaml::Schema) -> Self {
        Self {
            path,
            known: schema.known.to_vec(),
            reserved: schema.later,
        }
    }
}
