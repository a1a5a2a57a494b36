//! Loading a version of a unit: its object is opened, checked against the YAML and loaded, and
//! everything that the server will read is opened. No plugin runs here. Attaching comes after.

mod check;
mod kernel_side;
mod pinned;
mod resolve;
mod sources;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use check::{ObjectCheck, check};
pub(crate) use kernel_side::KernelSide;
use resolve::{Resolved, find_metrics, resolve};

use super::error::{LoadFailure, UnitError};
use crate::bpf::{
    BegunMap, CgroupIdKeeper, GlobalError, MapLayout, ObjectError, OpenObject, OpenOptions, Pins,
    SharedMaps,
};
use crate::config::{Diagnostic, Enabled, UnitConfig};
use crate::kernel::KernelFacts;
use crate::rows::MetricSpec;

/// What units need to be loaded.
#[derive(Clone)]
pub(crate) struct Environment {
    /// `--btf.path`
    pub(crate) btf: Option<PathBuf>,
    /// `--debug`
    pub(crate) debug: bool,
    pub(crate) facts: Arc<KernelFacts>,
    /// `--bpf.pin-dir`. None: nothing is pinned or taken up, as where a config is only tried.
    pub(crate) pins: Option<Pins>,
    /// `--config.strict`: a metric that is wrong costs its unit.
    pub(crate) strict: bool,
}

/// A version of a unit, in the kernel as far as it has an object.
pub(crate) struct Loaded {
    pub(crate) config: UnitConfig,
    pub(crate) metrics: Vec<MetricSpec>,
    pub(crate) kernel: Option<KernelSide>,
    /// Why metrics of the YAML are not among `metrics`.
    pub(crate) left_out: Vec<Diagnostic>,
}

impl Loaded {
    /// Attaches the programs. One that cannot be attached leaves the others alone; its status says
    /// why. Without a required one there is no unit.
    ///
    /// `before`: the version that this one follows. This one has to attach what that one has
    /// attached; and nothing of it counts before what may fail has not failed.
    pub(crate) fn attach(&mut self, before: Option<&KernelSide>) -> Result<(), UnitError> {
        let Some(kernel) = &mut self.kernel else {
            return Ok(());
        };
        let suits = |kernel: &KernelSide| {
            let short = before.and_then(|before| kernel.falls_short_of(before));
            kernel.lacks(&self.config).or(short).map_or(Ok(()), Err)
        };
        if let Some(before) = before {
            kernel.attach_new(before);
            suits(kernel)?;
        }
        kernel.attach();
        suits(kernel)
    }
}

/// Loads a unit; nothing counts until it is attached. What is in the kernel by then is gone again
/// on an error. A program that the kernel does not take is left out unless it is required or the
/// only one.
///
/// `predecessor`: the maps of a running version of the unit, taken over where their definitions
/// are the same, so that counters go on. `number`: of the new kernel side.
pub(crate) fn load(
    config: UnitConfig,
    environment: &Environment,
    predecessor: Option<&SharedMaps>,
    number: u64,
) -> Result<Loaded, LoadFailure> {
    let mut refused_programs: Vec<RefusedProgram> = Vec::new();
    let error = loop {
        let attempt = attempt(
            config.clone(),
            environment,
            predecessor,
            number,
            &refused_programs,
        );
        let error = match attempt {
            Ok(Some(loaded)) => return Ok(loaded),
            // No program is left: the first says what is wrong.
            Ok(None) => break refused_programs.swap_remove(0).error,
            Err(error) => error,
        };
        match refused(&error, &config) {
            Some(program)
                if !refused_programs
                    .iter()
                    .any(|known| known.program == program) =>
            {
                refused_programs.push(RefusedProgram { program, error });
            }
            _ => break error,
        }
    };
    Err(LoadFailure {
        error,
        config: Some(Box::new(config)),
    })
}

/// A program that the kernel does not take, and what it says.
struct RefusedProgram {
    program: String,
    error: UnitError,
}

/// The program because of which the object is not loaded, if the unit can do without.
fn refused(error: &UnitError, config: &UnitConfig) -> Option<String> {
    let UnitError::Object(ObjectError::Load {
        program: Some(name),
        ..
    }) = error
    else {
        return None;
    };
    let mut programs = config.programs.iter();
    let required = programs.any(|known| known.name == *name && known.enabled == Enabled::Required);
    (!required).then(|| name.clone())
}

/// None: without what is left out, there is no program.
fn attempt(
    config: UnitConfig,
    environment: &Environment,
    predecessor: Option<&SharedMaps>,
    number: u64,
    refused_programs: &[RefusedProgram],
) -> Result<Option<Loaded>, UnitError> {
    let Some(path) = config.object.clone() else {
        return Ok(Some(Loaded {
            left_out: config.left_out.clone(),
            config,
            metrics: Vec::new(),
            kernel: None,
        }));
    };
    let options = OpenOptions {
        btf: environment.btf.clone(),
        debug: environment.debug,
    };
    let mut object = OpenObject::open(&path, &options)?;
    let digest = object.digest();
    for remark in object.remarks() {
        tracing::warn!(config = config.name, "{remark}");
    }
    let find = |map: &str| Ok((object.map(map)?, object.entry_types(map)));
    let resolved = resolve(&config, find, environment.strict)?;
    let (metrics, left_out) = with_config(&config, resolved);
    set_kaddrs(&config, &mut object, &environment.facts)?;
    fill(&config, &mut object)?;
    for RefusedProgram { program, error } in refused_programs {
        object.leave_out(program, error.to_string());
    }
    if !refused_programs.is_empty() && !object.any_program() {
        return Ok(None);
    }
    let mut begun = None;
    if let Some(predecessor) = predecessor {
        let anew = object.reuse_maps(predecessor);
        // Once is enough.
        for BegunMap { name, why } in anew.iter().filter(|_| refused_programs.is_empty()) {
            tracing::info!(
                config = config.name,
                map = name,
                "the map begins anew, its counts start at 0: {why}"
            );
        }
        begun = Some(anew);
    }
    let taken = |map: &str| {
        let anew = begun.as_ref();
        anew.is_some_and(|anew| !anew.iter().any(|begun| begun.name == map))
    };
    let pinned = pinned::take_up(&config, &mut object, environment.pins.as_ref(), taken);
    let object = object.load()?;
    let buffers = sources::open(&metrics, &object)?;
    // The map that says which cgroups count is filled before anything counts.
    let keeper = match &config.cgroup_id_map {
        Some(wanted) => Some(CgroupIdKeeper::open(
            wanted.kind,
            &wanted.regexps,
            object.map(&wanted.map)?,
        )?),
        None => None,
    };
    Ok(Some(Loaded {
        kernel: Some(KernelSide::new(
            number, object, digest, keeper, pinned, buffers,
        )),
        config,
        metrics,
        left_out,
    }))
}

/// What of a config is wrong by itself comes first.
fn with_config(config: &UnitConfig, resolved: Resolved) -> (Vec<MetricSpec>, Vec<Diagnostic>) {
    let mut left_out = config.left_out.clone();
    left_out.extend(resolved.left_out);
    (resolved.metrics, left_out)
}

/// The metrics of another config over an object that is loaded, and why there are not more.
pub(crate) fn resolve_again(
    config: &UnitConfig,
    kernel: &KernelSide,
    strict: bool,
) -> Result<(Vec<MetricSpec>, Vec<Diagnostic>), UnitError> {
    let object = kernel.object();
    let find = |map: &str| Ok((object.map_info(map)?, object.entry_types(map)));
    let resolved = resolve(config, find, strict)?;
    Ok(with_config(config, resolved))
}

/// Does to an object what the YAML wants before it is loaded; all that does not fit is reported.
fn fill(config: &UnitConfig, object: &mut OpenObject) -> Result<(), UnitError> {
    let mut diagnostics = pinned::prepare(config, object);
    diagnostics.extend(set_globals(config, object));
    for program in &config.programs {
        let wanted = match program.enabled {
            Enabled::Auto => None,
            Enabled::Required => Some(true),
            Enabled::Never => Some(false),
        };
        if let Err(message) = object.enable(&program.name, wanted) {
            diagnostics.push(Diagnostic::error(program.at.clone(), message));
        }
    }
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(UnitError::Config(diagnostics))
    }
}

/// Whose entries begin anew where this config's object follows a version that has these maps. None
/// of it if the object cannot be read: loading it says why.
pub(crate) fn begun_maps(config: &UnitConfig, before: &[MapLayout]) -> Vec<BegunMap> {
    let Some(path) = &config.object else {
        return Vec::new();
    };
    let Ok(mut object) = OpenObject::open(path, &OpenOptions::default()) else {
        return Vec::new();
    };
    // What is wrong with it is for `check`.
    let _ = pinned::prepare(config, &mut object);
    object.begun_maps(before)
}

fn set_globals(config: &UnitConfig, object: &mut OpenObject) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for global in &config.globals {
        let (at, message) = match object.set_global(&global.name, &global.value) {
            Ok(()) => continue,
            Err(GlobalError::Variable(message)) => (&global.at, message),
            Err(GlobalError::Value(message)) => (&global.value_at, message),
        };
        diagnostics.push(Diagnostic::error(at.clone(), message));
    }
    diagnostics
}

/// For fuzzing: all metrics; none if there is something wrong with one.
#[cfg(any(test, feature = "test-support"))]
pub(crate) fn specs(config: &UnitConfig, object: &OpenObject) -> Vec<MetricSpec> {
    let find = |map: &str| Ok((object.map(map)?, object.entry_types(map)));
    resolve(config, find, true).map_or_else(|_| Vec::new(), |resolved| resolved.metrics)
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
    let mut diagnostics = Vec::new();
    for ((symbol, at), address) in config.kaddrs.iter().zip(addresses) {
        let Some(address) = address else {
            let message =
                format!("the running kernel has no symbol `{symbol}`: see /proc/kallsyms");
            diagnostics.push(Diagnostic::error(at.clone(), message));
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
            diagnostics.push(Diagnostic::error(at.clone(), error.to_string()));
        }
    }
    if diagnostics.is_empty() {
        Ok(())
    } else {
        Err(UnitError::Config(diagnostics))
    }
}
