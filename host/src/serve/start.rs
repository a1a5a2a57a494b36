//! From a config directory to a fleet of running units.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};

use super::host::{Directories, Host};
use super::notify;
use crate::bpf;
use crate::cli::settings::Settings;
use crate::config::load::FailedUnit;
use crate::config::{self, UnitConfig};
use crate::kernel::KernelFacts;
use crate::plugin::{Engine, Registry};
use crate::privileges::{self, Privileges};
use crate::telemetry::Telemetry;
use crate::unit::{Environment, Failure, Prepared, prepare};

/// What a start has come to.
pub(super) struct Started {
    pub(super) host: Host,
    pub(super) running: usize,
    pub(super) failed: usize,
}

/// A unit between the two halves of its start.
struct Candidate {
    name: String,
    state: Result<Prepared, Failure>,
    began: Instant,
}

/// Starts all units. An error: nothing can run at all, or, with `--config.strict`, something does not.
pub(super) fn start(settings: &Settings, telemetry: &Arc<Telemetry>) -> anyhow::Result<Started> {
    let directories = Directories {
        config: settings.config.dir.clone(),
        names: settings.config.names.clone(),
        strict_keys: settings.config.strict_keys,
        plugins: settings.plugin_dirs.clone(),
    };
    notify::status("reading the config");
    let loaded = config::load(
        &directories.config,
        directories.names.as_deref(),
        directories.strict_keys,
    )?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    if loaded.units.is_empty() && loaded.failed.is_empty() {
        bail!(
            "there are no units in {}: expected NAME.yaml and NAME.bpf.o",
            directories.config.display()
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
    let failed = loaded.failed.into_iter().map(unreadable);
    let prepared = loaded
        .units
        .into_iter()
        .map(|unit| load(unit, &environment));
    let mut candidates: Vec<Candidate> = failed.chain(prepared).collect();
    bpf::post_attach_mark();
    drop_capabilities(settings)?;
    // ... to here. Now plugins may run, and threads may start.

    notify::status("opening plugins");
    let engine = Engine::new(settings.plugin_cache.as_deref())?;
    let (registry, failed_plugins) = load_plugins(&directories, &engine, &facts)?;
    let host = Host::new(
        directories,
        environment,
        engine,
        registry,
        Arc::clone(telemetry),
    );
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut running, mut failed) = (0, 0);
    for candidate in candidates {
        match host.open(&candidate.name, candidate.state, candidate.began) {
            Ok(()) => running += 1,
            Err(_) => failed += 1,
        }
    }
    telemetry.reloaded(failed == 0 && failed_plugins == 0);
    let started = Started {
        host,
        running,
        failed,
    };
    verdict(settings, &started)?;
    Ok(started)
}

fn unreadable(failed: FailedUnit) -> Candidate {
    Candidate {
        name: failed.name.clone(),
        state: Err(failed.into()),
        began: Instant::now(),
    }
}

fn load(config: UnitConfig, environment: &Environment) -> Candidate {
    let (name, began) = (config.name.clone(), Instant::now());
    let mut state = prepare(config, environment, None);
    if let Ok(prepared) = &mut state {
        prepared.attach();
    }
    Candidate { name, state, began }
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

/// The standard plugin and those of the directories. One that cannot be used is reported, counted and left out.
fn load_plugins(
    directories: &Directories,
    engine: &Engine,
    facts: &Arc<KernelFacts>,
) -> anyhow::Result<(Registry, usize)> {
    let mut registry =
        Registry::new(engine, facts).context("the standard plugin does not work; this is a bug")?;
    let mut left_out = 0;
    for directory in directories.of_plugins() {
        let failed = registry
            .load_directory(engine, facts, directory)
            .with_context(|| format!("cannot read the plugin directory {}", directory.display()))?;
        left_out += failed.len();
        for (path, error) in failed {
            tracing::error!(plugin = %path.display(), "plugin left out: {error}");
        }
    }
    Ok((registry, left_out))
}

/// Whether the process may go on.
fn verdict(settings: &Settings, started: &Started) -> anyhow::Result<()> {
    let Started {
        host,
        running,
        failed,
    } = started;
    if *running == 0 && !settings.check {
        bail!("none of {failed} units can run, see the errors above");
    }
    if !settings.strict {
        return Ok(());
    }
    if *failed > 0 {
        bail!(
            "--config.strict: {failed} of {} units do not run, see the errors above",
            failed + running
        );
    }
    let mut unattached = Vec::new();
    host.fleet.for_each_running(|name, unit| {
        let programs = unit.unattached();
        unattached
            .extend(programs.map(|(program, why)| format!("{name}:{} ({why})", program.name)));
    });
    if !unattached.is_empty() {
        bail!(
            "--config.strict: programs are not attached: {}",
            unattached.join(", ")
        );
    }
    Ok(())
}
