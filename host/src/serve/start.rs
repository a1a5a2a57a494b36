//! From a config directory to a fleet of running units.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};

use super::notify;
use crate::bpf;
use crate::cli::settings::Settings;
use crate::config::{self, UnitConfig};
use crate::kernel::KernelFacts;
use crate::plugin::{Engine, Registry};
use crate::privileges::{self, Privileges};
use crate::telemetry::{Telemetry, UnitState};
use crate::unit::{Environment, Fleet, Prepared, Running, State, UnitError, prepare};

/// What a start has come to.
pub(super) struct Started {
    pub(super) fleet: Fleet,
    pub(super) registry: Registry,
    pub(super) facts: Arc<KernelFacts>,
    pub(super) running: usize,
    pub(super) failed: usize,
}

/// A unit between the two halves of its start.
struct Candidate {
    name: String,
    state: Result<Box<Prepared>, String>,
    began: Instant,
}

/// Starts all units. An error: nothing can run at all, or, with `--config.strict`, something does not.
pub(super) fn start(settings: &Settings, telemetry: &Telemetry) -> anyhow::Result<Started> {
    notify::status("reading the config");
    let loaded = config::load(
        &settings.config.dir,
        settings.config.names.as_deref(),
        settings.config.strict_keys,
    )?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for failed in loaded.failed {
        let problems: Vec<String> = failed.problems.iter().map(ToString::to_string).collect();
        candidates.push(Candidate {
            name: failed.name,
            state: Err(problems.join("; ")),
            began: Instant::now(),
        });
    }
    if loaded.units.is_empty() && candidates.is_empty() {
        bail!(
            "there are no units in {}: expected NAME.yaml and NAME.bpf.o",
            settings.config.dir.display()
        );
    }

    // Privileged from here ...
    let facts = Arc::new(KernelFacts::open());
    notify::status("loading and attaching BPF programs");
    let environment = Environment {
        btf: settings.btf_path.clone(),
        debug: settings.debug,
        facts: Arc::clone(&facts),
    };
    candidates.extend(
        loaded
            .units
            .into_iter()
            .map(|unit| load(unit, &environment)),
    );
    bpf::post_attach_mark();
    drop_capabilities(settings)?;
    // ... to here. Now plugins may run, and threads may start.

    notify::status("opening plugins");
    let engine = Engine::new(settings.plugin_cache.as_deref())?;
    let registry = load_plugins(settings, &engine, &facts)?;
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut running, mut failed) = (0, 0);
    let mut unattached = Vec::new();
    let mut units = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let unit = telemetry.unit(&candidate.name);
        let state =
            match open(candidate.state, &registry) {
                Ok(started) => {
                    running += 1;
                    unattached.extend(started.unattached().map(|(program, why)| {
                        format!("{}:{} ({why})", candidate.name, program.name)
                    }));
                    report_running(&candidate.name, &started);
                    State::Running(Box::new(started))
                }
                Err(why) => {
                    failed += 1;
                    tracing::error!(config = candidate.name, "unit failed: {why}");
                    State::Failed(why)
                }
            };
        let successful = matches!(state, State::Running(_));
        unit.set_state(if successful {
            UnitState::Running
        } else {
            UnitState::Failed
        });
        unit.loaded(successful, candidate.began.elapsed());
        units.push((candidate.name, state));
    }
    let started = Started {
        fleet: Fleet::new(units),
        registry,
        facts,
        running,
        failed,
    };
    verdict(settings, &started, &unattached)?;
    Ok(started)
}

fn load(config: UnitConfig, environment: &Environment) -> Candidate {
    let (name, began) = (config.name.clone(), Instant::now());
    let state = prepare(config, environment)
        .map(Box::new)
        .map_err(|error| error.to_string());
    Candidate { name, state, began }
}

fn open(state: Result<Box<Prepared>, String>, registry: &Registry) -> Result<Running, String> {
    state.and_then(|prepared| {
        Running::open(*prepared, registry).map_err(|error: UnitError| error.to_string())
    })
}

fn drop_capabilities(settings: &Settings) -> anyhow::Result<()> {
    match Privileges::current() {
        Ok(privileges) => tracing::info!("capabilities at start: {}", privileges.permitted),
        Err(error) => tracing::warn!(%error, "cannot read this process' capabilities"),
    }
    let report =
        privileges::drop_to(settings.keep_capabilities).context("cannot drop capabilities")?;
    report.log();
    Ok(())
}

/// The standard plugin and those of the directories. One that cannot be used is reported and left out.
fn load_plugins(
    settings: &Settings,
    engine: &Engine,
    facts: &Arc<KernelFacts>,
) -> anyhow::Result<Registry> {
    let mut registry =
        Registry::new(engine, facts).context("the standard plugin does not work; this is a bug")?;
    let directories: Vec<&PathBuf> = std::iter::once(&settings.config.dir)
        .chain(&settings.plugin_dirs)
        .collect();
    for directory in directories {
        let failed = registry
            .load_directory(engine, facts, directory)
            .with_context(|| format!("cannot read the plugin directory {}", directory.display()))?;
        for (path, error) in failed {
            tracing::error!(plugin = %path.display(), "plugin left out: {error}");
        }
    }
    Ok(registry)
}

fn report_running(name: &str, unit: &Running) {
    for (program, why) in unit.unattached() {
        tracing::warn!(
            config = name,
            program = program.name,
            section = program.section,
            "program not attached: {why}"
        );
    }
    tracing::info!(
        config = name,
        programs = unit.programs().len(),
        metrics = unit.metrics(),
        "unit running"
    );
}

/// Whether the process may go on.
fn verdict(settings: &Settings, started: &Started, unattached: &[String]) -> anyhow::Result<()> {
    if started.running == 0 && !settings.check {
        bail!(
            "none of {} units can run, see the errors above",
            started.failed
        );
    }
    if settings.strict && started.failed > 0 {
        bail!(
            "--config.strict: {} of {} units do not run, see the errors above",
            started.failed,
            started.failed + started.running
        );
    }
    if settings.strict && !unattached.is_empty() {
        bail!(
            "--config.strict: programs are not attached: {}",
            unattached.join(", ")
        );
    }
    Ok(())
}
