//! The first half of a unit's start, while the process still has its privileges: the object is opened, checked against the YAML, loaded and
//! attached, and everything that will be read is opened. No plugin runs.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::UnitError;
use super::source::{EntrySource, Group};
use crate::bpf::{
    CgroupIdKeeper, LoadedObject, MapInfo, MapReader, OpenObject, OpenOptions, ProgramStatus,
    SampleCounter, SampleOptions,
};
use crate::config::{MetricConfig, MetricSource, Problem, UnitConfig};
use crate::kernel::KernelFacts;
use crate::rows::{KeyShape, Layout};

/// What units need to start.
#[derive(Clone)]
pub(crate) struct Environment {
    /// `--btf.path`
    pub(crate) btf: Option<PathBuf>,
    /// `--debug`
    pub(crate) debug: bool,
    pub(crate) facts: Arc<KernelFacts>,
}

/// A unit whose programs run in the kernel and that nobody reads yet.
pub(crate) struct Prepared {
    pub(crate) config: UnitConfig,
    pub(super) kernel: Option<KernelSide>,
    /// The metrics by their maps, in the order of the YAML, as indexes into `config.metrics`.
    pub(super) groups: Vec<Group<(usize, Layout)>>,
}

/// What of the unit lives in the kernel, until it is dropped.
pub(super) struct KernelSide {
    pub(super) object: LoadedObject,
    pub(super) programs: Vec<ProgramStatus>,
    /// Keeps the cgroup id map up to date.
    pub(super) keeper: Option<CgroupIdKeeper>,
}

/// The value of a metric's map, in bytes: one u64.
const VALUE_SIZE: usize = 8;

/// Loads and attaches a unit. What is in the kernel by then is gone again on an error.
pub(crate) fn prepare(
    config: UnitConfig,
    environment: &Environment,
) -> Result<Prepared, UnitError> {
    let Some(path) = &config.object else {
        return Ok(Prepared {
            config,
            kernel: None,
            groups: Vec::new(),
        });
    };
    let options = OpenOptions {
        btf: environment.btf.clone(),
        debug: environment.debug,
    };
    let mut object = OpenObject::open(path, &options)?;
    let layouts = check_metrics(&config, &object)?;
    set_kaddrs(&config, &mut object, &environment.facts)?;
    let mut object = object.load()?;
    let groups = open_sources(&config, layouts, &object)?;
    // The map that says which cgroups count is filled before anything counts.
    let keeper = match &config.cgroup_id_map {
        Some(wanted) => Some(CgroupIdKeeper::open(wanted, object.map(&wanted.map)?)?),
        None => None,
    };
    let programs = object.attach();
    Ok(Prepared {
        config,
        kernel: Some(KernelSide {
            object,
            programs,
            keeper,
        }),
        groups,
    })
}

/// Lays every metric's labels over its map's keys; all that does not fit is reported at once.
fn check_metrics(config: &UnitConfig, object: &OpenObject) -> Result<Vec<Layout>, UnitError> {
    let mut problems = Vec::new();
    let mut layouts = Vec::new();
    for metric in &config.metrics {
        match object
            .map(&metric.map)
            .map_err(|error| error.to_string())
            .and_then(|map| check_metric(metric, map))
        {
            Ok(layout) => layouts.push(layout),
            Err(message) => problems.push(Problem::error(
                metric.at.clone(),
                format!("metric `{}`: {message}", metric.name),
            )),
        }
    }
    if let Some(wanted) = &config.cgroup_id_map
        && let Err(error) = object.map(&wanted.map)
    {
        problems.push(Problem::error(wanted.at.clone(), error.to_string()));
    }
    if problems.is_empty() {
        Ok(layouts)
    } else {
        Err(UnitError::Config(problems))
    }
}

fn check_metric(metric: &MetricConfig, map: &MapInfo) -> Result<Layout, String> {
    let shape = KeyShape {
        key_size: map.key_size,
        per_cpu: map.is_per_cpu(),
    };
    if metric.source == MetricSource::Map && map.value_size != VALUE_SIZE {
        return Err(format!(
            "the values of map `{}` have {} bytes, expected {VALUE_SIZE}: make its value type u64",
            map.name, map.value_size
        ));
    }
    Layout::new(&metric.labels, metric.source, shape)
        .map_err(|error| format!("map `{}`: {error}", map.name))
}

/// Writes the addresses of kernel symbols into the object's globals.
fn set_kaddrs(
    config: &UnitConfig,
    object: &mut OpenObject,
    facts: &KernelFacts,
) -> Result<(), UnitError> {
    if config.kaddrs.is_empty() {
        return Ok(());
    }
    let symbols: Vec<&str> = config
        .kaddrs
        .iter()
        .map(|(symbol, _)| symbol.as_str())
        .collect();
    let addresses = facts.addresses_of(&symbols).map_err(UnitError::Symbols)?;
    let mut problems = Vec::new();
    for ((symbol, at), address) in config.kaddrs.iter().zip(addresses) {
        let Some(address) = address else {
            problems.push(Problem::error(
                at.clone(),
                format!("the running kernel has no symbol `{symbol}`: see /proc/kallsyms"),
            ));
            continue;
        };
        if address == 0 {
            tracing::warn!(
                config = config.name,
                symbol,
                "the kernel hides its addresses (kernel.kptr_restrict, CAP_SYSLOG): kaddr_{symbol} is 0"
            );
        }
        if let Err(error) = object.set_kaddr(symbol, address) {
            problems.push(Problem::error(at.clone(), error.to_string()));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(UnitError::Config(problems))
    }
}

/// One source per map, however many metrics are made from it. A perf event array serves each metric on its own.
fn open_sources(
    config: &UnitConfig,
    layouts: Vec<Layout>,
    object: &LoadedObject,
) -> Result<Vec<Group<(usize, Layout)>>, UnitError> {
    let mut groups: Vec<Group<(usize, Layout)>> = Vec::new();
    for (index, (metric, layout)) in config.metrics.iter().zip(layouts).enumerate() {
        let source = match metric.source {
            MetricSource::Map => {
                if let Some(group) = groups.iter_mut().find(|group| {
                    *group.map == *metric.map && matches!(group.source, EntrySource::Map(_))
                }) {
                    group.metrics.push((index, layout));
                    continue;
                }
                EntrySource::Map(Box::new(MapReader::new(object.map(&metric.map)?)?))
            }
            MetricSource::PerfEventArray { flush_interval } => {
                let options = SampleOptions::new(layout.row_key_size, flush_interval);
                EntrySource::Samples(SampleCounter::open(object, &metric.map, &options)?)
            }
        };
        groups.push(Group {
            map: metric.map.as_str().into(),
            source,
            metrics: vec![(index, layout)],
        });
    }
    Ok(groups)
}
