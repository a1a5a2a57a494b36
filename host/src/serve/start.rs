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
use crate::kernel::{KernelFacts, cgroup2_mount};
use crate::plugin::{Engine, Registry};
use crate::privileges::{self, Access, Feature, Privileges};
use crate::telemetry::Telemetry;
use crate::unit::{CollectorIndex, Environment, Failure, Prepared, prepare};

/// What a start has come to.
pub(super) struct Started {
    pub(super) host: Host,
    pub(super) running: usize,
    pub(super) failed: usize,
    /// What became of the hardening.
    pub(super) hardening: Vec<Feature>,
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
    privileges::raise().context("cannot use the capabilities of this process")?;
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
        collectors: CollectorIndex::new(vec![settings.web.options.telemetry_path.clone()]),
    };
    let failed = loaded.failed.into_iter().map(unreadable);
    let prepared = loaded
        .units
        .into_iter()
        .map(|unit| load(unit, &environment));
    let mut candidates: Vec<Candidate> = failed.chain(prepared).collect();
    bpf::post_attach_mark();
    let access = files_needed(settings, &candidates);
    let hardening = confine(settings, &access)?;
    for feature in &hardening {
        telemetry.hardening(feature.name, feature.active);
    }
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
        hardening,
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

fn confine(settings: &Settings, access: &Access) -> anyhow::Result<Vec<Feature>> {
    match Privileges::current() {
        Ok(privileges) => tracing::info!("capabilities at start: {}", privileges.permitted),
        Err(error) => tracing::warn!(%error, "cannot read this process' capabilities"),
    }
    Ok(privileges::confine(&settings.hardening, access)?)
}

/// What the process has to open from now on, over all reloads to come.
fn files_needed(settings: &Settings, candidates: &[Candidate]) -> Access {
    let mut access = Access::default();
    for directory in std::iter::once(&settings.config.dir).chain(&settings.plugin_dirs) {
        if let Err(shared) = access.read_replaceable(directory) {
            tracing::info!("{shared}");
        }
    }
    let prepared = candidates.iter().filter_map(|one| one.state.as_ref().ok());
    for file in prepared.flat_map(Prepared::files) {
        access.read_file(&file);
    }
    if let Some(btf) = &settings.btf_path {
        access.read(btf);
    }
    // Where it is not beneath /sys.
    if let Ok(Some(cgroups)) = cgroup2_mount() {
        access.read(cgroups);
    }
    for path in &settings.readable {
        if !path.exists() {
            tracing::warn!(path = %path.display(), "--hardening.read: there is no such file or directory, so it is not granted");
        }
        access.read(path);
    }
    if let Some(cache) = &settings.plugin_cache {
        access.write(cache);
    }
    access
}

/// Looks at the hardening from the inside. Says all that was refused; an error if something was not.
pub(super) fn check_hardening() -> anyhow::Result<()> {
    let attempts = privileges::attempt_all().context("cannot check the hardening")?;
    let mut allowed = Vec::new();
    for attempt in &attempts {
        let what = attempt.what;
        match &attempt.refused {
            Some(error) if !attempt.allowed() => {
                tracing::info!(attempt = what, refused = true, "hardening check: {error}");
            }
            answer => {
                let answer = answer
                    .as_ref()
                    .map_or("done".to_owned(), ToString::to_string);
                tracing::error!(attempt = what, refused = false, "hardening check: {answer}");
                allowed.push(what);
            }
        }
    }
    if allowed.is_empty() {
        return Ok(());
    }
    bail!(
        "--hardening.check: this process could {}; see exporter_host_hardening and the log for what is off",
        allowed.join(", ")
    )
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
        ..
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
