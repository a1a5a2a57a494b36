//! The first half of a unit's start, while the process still has its privileges: the object is opened, checked against the YAML and loaded,
//! everything that will be read is opened, and then its programs are attached. No plugin runs.

use std::path::PathBuf;
use std::sync::Arc;

use super::collectors::Index;
use super::error::{Failure, UnitError};
use super::labels;
use super::maps::{self, PinnedMaps};
use super::source::{self, Group};
use super::value;
use crate::bpf::{
    Attached, CgroupIdKeeper, EntryTypes, GlobalError, LoadedObject, MapInfo, ObjectError,
    OpenObject, OpenOptions, Pins, ProgramStatus, SharedMaps,
};
use crate::config::model::Position;
use crate::config::{Enabled, MetricConfig, Problem, UnitConfig};
use crate::digest::Digest;
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
    /// The collectors of all units that are in service.
    pub(crate) collectors: Arc<Index>,
    /// `--bpf.pin-dir`. None: nothing is pinned or taken up, as where a config is only tried.
    pub(crate) pins: Option<Pins>,
}

/// A unit whose programs are in the kernel and that nobody reads yet.
pub(crate) struct Prepared {
    pub(crate) config: UnitConfig,
    pub(super) kernel: Option<KernelSide>,
    /// One per metric of the config.
    pub(super) layouts: Vec<Layout>,
    /// The sources with the indexes of their metrics.
    pub(super) groups: Vec<Group<usize>>,
    /// Where the unit's collectors will be found.
    pub(super) collectors: Arc<Index>,
}

/// What of the unit lives in the kernel, until it is dropped.
pub(super) struct KernelSide {
    pub(super) object: LoadedObject,
    /// Of the object's file.
    pub(super) digest: Digest,
    pub(super) programs: Vec<ProgramStatus>,
    /// Keeps the cgroup id map up to date.
    pub(super) keeper: Option<CgroupIdKeeper>,
    /// What does not keep the unit from running, but should be known.
    pub(super) remarks: Vec<String>,
    /// None: maps are not pinned.
    pub(super) pinned: Option<PinnedMaps>,
}

impl Prepared {
    /// Files that a later version of the unit is likely to need again: its object, and what its probes are attached to.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let programs = self.kernel.iter().flat_map(|kernel| &kernel.programs);
        let probed = programs.filter_map(|program| probed_file(&program.section));
        self.config.object.clone().into_iter().chain(probed)
    }

    /// Attaches the unit's programs. One that cannot be attached leaves the others alone; its status says why. Without a required one there
    /// is no unit.
    pub(crate) fn attach(mut self) -> Result<Self, Failure> {
        if let Some(kernel) = &mut self.kernel {
            kernel.attach();
            if let Some(why) = kernel.lacks(&self.config) {
                return Err(Failure {
                    error: UnitError::Programs(why),
                    config: Some(Box::new(self.config)),
                });
            }
            kernel.pin();
        }
        Ok(self)
    }
}

impl KernelSide {
    pub(super) fn attach(&mut self) {
        self.programs = self.object.attach();
    }

    /// Required programs that are not attached, in a sentence.
    pub(super) fn lacks(&self, config: &UnitConfig) -> Option<String> {
        let required = |name: &str| {
            let mut wanted = config.programs.iter();
            wanted.any(|program| program.name == name && program.enabled == Enabled::Required)
        };
        let missing: Vec<String> = self
            .programs
            .iter()
            .filter(|program| required(&program.name))
            .filter_map(|program| match &program.attached {
                Attached::Failed(why) => Some(format!(
                    "the required program {} is not attached: {why}",
                    program.name
                )),
                _ => None,
            })
            .collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }
}

/// Files that a unit is likely to need which is not loaded: as `Prepared::files`. Needs no privileges.
pub(crate) fn files_of(config: &UnitConfig, environment: &Environment) -> Vec<PathBuf> {
    let Some(path) = &config.object else {
        return Vec::new();
    };
    let options = OpenOptions {
        btf: environment.btf.clone(),
        debug: environment.debug,
    };
    let mut files = vec![path.clone()];
    // What is wrong with it is said when it is loaded.
    if let Ok(object) = OpenObject::open(path, &options) {
        files.extend(object.sections().filter_map(probed_file));
    }
    files
}

/// The file in a section like `uprobe//usr/lib/libc.so.6:malloc` or `usdt//usr/bin/x:provider:name`.
fn probed_file(section: &str) -> Option<PathBuf> {
    let (kind, target) = section.split_once('/')?;
    let probe = ["uprobe", "uretprobe", "usdt"];
    let kind = kind.trim_start_matches('?');
    let (file, _) = target.split_once(':')?;
    (probe.iter().any(|probe| kind.starts_with(probe)) && file.starts_with('/'))
        .then(|| PathBuf::from(file))
}

/// Loads a unit; nothing counts until it is attached. What is in the kernel by then is gone again on an error.
///
/// `predecessor`: the maps of a running version of the unit, taken over where their definitions are the same, so that counters go on.
pub(crate) fn prepare(
    config: UnitConfig,
    environment: &Environment,
    predecessor: Option<&SharedMaps>,
) -> Result<Prepared, Failure> {
    let known = config.clone();
    attempt(config, environment, predecessor).map_err(|error| Failure {
        error,
        config: Some(Box::new(known)),
    })
}

fn attempt(
    mut config: UnitConfig,
    environment: &Environment,
    predecessor: Option<&SharedMaps>,
) -> Result<Prepared, UnitError> {
    let collectors = Arc::clone(&environment.collectors);
    let Some(path) = config.object.clone() else {
        return Ok(Prepared {
            config,
            kernel: None,
            layouts: Vec::new(),
            groups: Vec::new(),
            collectors,
        });
    };
    let options = OpenOptions {
        btf: environment.btf.clone(),
        debug: environment.debug,
    };
    let mut object = OpenObject::open(&path, &options)?;
    let digest = object.digest();
    let layouts = lay_out(&mut config, |map| {
        Ok((object.map(map)?, object.entry_types(map)))
    })?;
    set_kaddrs(&config, &mut object, &environment.facts)?;
    fill(&config, &mut object)?;
    let mut begun = None;
    if let Some(predecessor) = predecessor {
        let anew = object.reuse_maps(predecessor);
        if !anew.is_empty() {
            tracing::info!(
                config = config.name,
                maps = anew.join(","),
                "these maps are defined anew: their counts start at 0"
            );
        }
        begun = Some(anew);
    }
    let taken = |map: &str| {
        let anew = begun.as_ref();
        anew.is_some_and(|anew| !anew.iter().any(|begun| begun == map))
    };
    let pinned = maps::take_up(&config, &mut object, environment.pins.as_ref(), taken);
    let object = object.load()?;
    let mut groups = Vec::new();
    for (key, metrics) in source::wanted(&config.metrics, &layouts) {
        let source = key.open(&object)?;
        groups.push(Group {
            key,
            source,
            metrics,
        });
    }
    // The map that says which cgroups count is filled before anything counts.
    let keeper = match &config.cgroup_id_map {
        Some(wanted) => Some(CgroupIdKeeper::open(wanted, object.map(&wanted.map)?)?),
        None => None,
    };
    let programs = object.programs();
    Ok(Prepared {
        config,
        kernel: Some(KernelSide {
            object,
            digest,
            programs,
            keeper,
            remarks: Vec::new(),
            pinned,
        }),
        layouts,
        groups,
        collectors,
    })
}

/// Does to an object what the YAML wants before it is loaded; all that does not fit is reported at once.
fn fill(config: &UnitConfig, object: &mut OpenObject) -> Result<(), UnitError> {
    let mut problems = maps::prepare(config, object);
    problems.extend(set_globals(config, object));
    for program in &config.programs {
        if let Err(message) = object.enable(&program.name, program.enabled) {
            problems.push(Problem::error(program.at.clone(), message));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(UnitError::Config(problems))
    }
}

/// What of a config does not fit its object, without a kernel. None of it if the object is not there.
pub(crate) fn check(config: &UnitConfig) -> Vec<Problem> {
    let Some(path) = config.object.as_ref().filter(|path| path.exists()) else {
        return Vec::new();
    };
    let mut object = match OpenObject::open(path, &OpenOptions::default()) {
        Ok(object) => object,
        Err(error) => {
            let at = Position::whole(&config.file);
            return vec![Problem::error(at, error.to_string())];
        }
    };
    let mut problems = Vec::new();
    if let Err(UnitError::Config(found)) = lay_out(&mut config.clone(), |map| {
        Ok((object.map(map)?, object.entry_types(map)))
    }) {
        problems.extend(found);
    }
    if let Err(UnitError::Config(found)) = fill(config, &mut object) {
        problems.extend(found);
    }
    problems.sort_by_key(|problem| (problem.at.line, problem.at.column));
    problems
}

fn set_globals(config: &UnitConfig, object: &mut OpenObject) -> Vec<Problem> {
    let mut problems = Vec::new();
    for global in &config.globals {
        let (at, message) = match object.set_global(&global.name, &global.value) {
            Ok(()) => continue,
            Err(GlobalError::Variable(message)) => (&global.at, message),
            Err(GlobalError::Value(message)) => (&global.value_at, message),
        };
        problems.push(Problem::error(at.clone(), message));
    }
    problems
}

/// Lays every metric's labels over its map's keys, filling in what they leave to the keys' types; all that does not fit is reported at once.
pub(super) fn lay_out<'a>(
    config: &mut UnitConfig,
    map: impl Fn(&str) -> Result<(&'a MapInfo, EntryTypes), ObjectError>,
) -> Result<Vec<Layout>, UnitError> {
    let mut problems = Vec::new();
    let mut layouts = Vec::new();
    for metric in &mut config.metrics {
        let name = metric.name.clone();
        let mut problem = |at: &Position, message: String| {
            let message = format!("metric `{name}`: {message}");
            problems.push(Problem::error(at.clone(), message));
        };
        let (map, types) = match map(&metric.map) {
            Ok(found) => found,
            Err(error) => {
                problem(&metric.at, error.to_string());
                continue;
            }
        };
        let number = value::resolve(metric, map, types.value.as_deref());
        match labels::resolve(metric, map, types.key.as_deref()) {
            Ok(None) => {}
            Ok(Some(labels)) => metric.labels = labels,
            Err(found) => {
                for (at, message) in found {
                    problem(&at, message);
                }
                if let Err(message) = number {
                    let value = metric.value.as_ref();
                    problem(value.map_or(&metric.at, |value| &value.at), message);
                }
                continue;
            }
        }
        let layout = lay_out_metric(metric, map);
        match (layout, number) {
            (Ok(mut layout), Ok(number)) => {
                layout.number = number;
                layouts.push(layout);
            }
            (layout, number) => {
                if let Err(message) = layout {
                    problem(&metric.at, message);
                }
                if let Err(message) = number {
                    let value = metric.value.as_ref();
                    problem(value.map_or(&metric.at, |value| &value.at), message);
                }
            }
        }
    }
    if let Some(wanted) = &config.cgroup_id_map
        && let Err(error) = map(&wanted.map)
    {
        problems.push(Problem::error(wanted.at.clone(), error.to_string()));
    }
    if problems.is_empty() {
        Ok(layouts)
    } else {
        Err(UnitError::Config(problems))
    }
}

fn lay_out_metric(metric: &MetricConfig, map: &MapInfo) -> Result<Layout, String> {
    let shape = KeyShape {
        key_size: map.key_size,
        per_cpu: map.is_per_cpu(),
    };
    let mut layout = Layout::new(&metric.labels, metric.source, shape)
        .map_err(|error| format!("map `{}`: {error}", map.name))?;
    layout.value_size = map.value_size;
    Ok(layout)
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
            let message =
                format!("the running kernel has no symbol `{symbol}`: see /proc/kallsyms");
            problems.push(Problem::error(at.clone(), message));
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
