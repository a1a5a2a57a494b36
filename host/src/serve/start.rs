//! From a config directory to a fleet of running units.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};

use super::confine;
use super::host::{Directories, Host};
use super::notify;
use crate::bpf::{self, Pins};
use crate::cli::settings::Settings;
use crate::config::load::{FailedUnit, Loaded};
use crate::config::{self, Lifecycle, UnitConfig};
use crate::doctor;
use crate::kernel::KernelFacts;
use crate::plugin::{Engine, Registry};
use crate::privileges::{self, Feature};
use crate::telemetry::Telemetry;
use crate::unit::{CollectorIndex, Environment, Failure, Prepared, Wanted, files_of, prepare};

/// What a start has come to.
pub(super) struct Started {
    pub(super) host: Host,
    pub(super) running: usize,
    /// On demand.
    pub(super) waiting: usize,
    /// Not for this kernel.
    pub(super) skipped: usize,
    pub(super) failed: usize,
    /// What became of the hardening.
    pub(super) hardening: Vec<Feature>,
}

/// A unit between the two halves of its start.
struct Candidate {
    name: String,
    /// None: the YAML cannot be used.
    config: Option<UnitConfig>,
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
    let pins = open_pins(settings, &loaded);
    let environment = Environment {
        pins,
        btf: settings.btf_path.clone(),
        debug: settings.debug,
        facts: Arc::clone(&facts),
        collectors: CollectorIndex::new(vec![settings.web.options.telemetry_path.clone()]),
    };
    let (mut units, mut skipped) = (Vec::new(), Vec::new());
    for unit in loaded.units {
        match doctor::unmet(&unit.kernel) {
            Some(why) => skipped.push((unit, why)),
            None => units.push(unit),
        }
    }
    // Whoever only checks wants to know of all of them.
    let (waiting, now): (Vec<UnitConfig>, Vec<UnitConfig>) = units
        .into_iter()
        .partition(|unit| unit.lifecycle == Lifecycle::OnDemand && !settings.check);
    let failed = loaded.failed.into_iter().map(unreadable);
    let prepared = now.into_iter().map(|unit| load(unit, &environment));
    let mut candidates: Vec<Candidate> = failed.chain(prepared).collect();
    bpf::post_attach_mark();
    // What could not be loaded, need not be yet, or is not for this kernel, may be later.
    let unloaded = candidates
        .iter()
        .filter(|one| one.state.is_err())
        .filter_map(|one| one.config.as_ref());
    let later = unloaded
        .chain(&waiting)
        .chain(skipped.iter().map(|(config, _)| config))
        .flat_map(|config| files_of(config, &environment));
    let prepared = candidates.iter().filter_map(|one| one.state.as_ref().ok());
    let files = prepared.flat_map(Prepared::files).chain(later);
    let access = confine::files_needed(settings, files);
    let hardening = confine::confine(settings, &access)?;
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
        settings.keepalive,
    );
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut running, mut failed) = (0, 0);
    for candidate in candidates {
        let opened = host.open(&candidate.name, candidate.state, candidate.began);
        if let Some(config) = &candidate.config {
            let failed = opened.as_ref().err();
            let object = failed.and_then(|_| Wanted::of(config).make.object);
            host.try_again_later(config, object, opened.as_ref().err());
        }
        match opened {
            Ok(()) => running += 1,
            Err(_) => failed += 1,
        }
    }
    let on_demand = waiting.len();
    for config in waiting {
        tracing::info!(config = config.name, "unit waits until it is asked for");
        let name = config.name.clone();
        host.fleet
            .exclusively(&name, || host.wait_for_demand(config));
    }
    for (config, why) in &skipped {
        host.fleet
            .exclusively(&config.name, || host.skip(config, why));
    }
    telemetry.reloaded(failed == 0 && failed_plugins == 0);
    let started = Started {
        host,
        running,
        waiting: on_demand,
        skipped: skipped.len(),
        failed,
        hardening,
    };
    verdict(settings, &started)?;
    Ok(started)
}

/// Prepares the place of pinned maps, if any unit wants some.
fn open_pins(settings: &Settings, loaded: &Loaded) -> Option<Pins> {
    if settings.check {
        return None;
    }
    let pins = Pins::new(&settings.pin_dir);
    let wanted = |unit: &UnitConfig| unit.maps.iter().any(|map| map.pin);
    // Also if none does: a reload may bring one, and then it is too late.
    if let Err(why) = pins.prepare() {
        if loaded.units.iter().any(wanted) {
            tracing::error!("maps cannot be pinned: {why}");
        } else {
            tracing::debug!("maps could not be pinned: {why}");
        }
    }
    let units = loaded.units.iter().map(|unit| unit.name.as_str());
    let failed = loaded.failed.iter().map(|unit| unit.name.as_str());
    let known: Vec<&str> = units.chain(failed).collect();
    for other in pins.of_others(&known) {
        tracing::info!(directory = %other.display(), "pinned maps of a unit that is not here: remove the directory if nobody wants them any more");
    }
    Some(pins)
}

fn unreadable(failed: FailedUnit) -> Candidate {
    Candidate {
        name: failed.name.clone(),
        config: None,
        state: Err(failed.into()),
        began: Instant::now(),
    }
}

fn load(config: UnitConfig, environment: &Environment) -> Candidate {
    let (name, began) = (config.name.clone(), Instant::now());
    let known = Some(config.clone());
    let state = prepare(config, environment, None).and_then(Prepared::attach);
    Candidate {
        name,
        config: known,
        state,
        began,
    }
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
        waiting,
        skipped,
        failed,
        ..
    } = started;
    if *running == 0 && *waiting == 0 && *failed > 0 && !settings.check {
        bail!("none of {failed} units can run, see the errors above");
    }
    if !settings.strict {
        return Ok(());
    }
    if *failed > 0 {
        bail!(
            "--config.strict: {failed} of {} units do not run, see the errors above",
            failed + running + waiting + skipped
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
