//! The first load: from a config directory to units that are attached, and then to units that are
//! served.

use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;

use super::kernel::{Kernel, starts_now};
use super::notify;
use super::ready::{Ready, served};
use super::reload::Outcome;
use super::report::{refuse, report_running};
use super::reserve::reserve;
use super::units::{Cause, Desired, Environment, LoadFailure, Loaded, UnitError, load};
use crate::bpf::{self, Pins};
use crate::cli::settings::Settings;
use crate::config::load::Loaded as LoadedConfigs;
use crate::config::{self, FailedUnit, UnitConfig};
use crate::doctor;
use crate::kernel::KernelFacts;
use crate::privileges::User;

/// Units as the privileged part of a start leaves them.
pub(super) struct FirstLoad {
    pub(super) environment: Environment,
    candidates: Vec<Candidate>,
    /// On demand.
    waiting: Vec<UnitConfig>,
    /// Not for this kernel, and why.
    skipped: Vec<(UnitConfig, String)>,
    /// Sub-directories that cannot be read, and why.
    unreadable: Vec<String>,
}

/// A unit between the two halves of its start.
struct Candidate {
    name: String,
    /// None: the YAML cannot be used.
    config: Option<UnitConfig>,
    loaded: Result<Ready, LoadFailure>,
    began: Instant,
}

/// Reads the directory.
pub(super) fn read(settings: &Settings) -> anyhow::Result<LoadedConfigs> {
    notify::status("reading the config");
    let loaded = config::load(
        &settings.config.dir,
        settings.config.names.as_deref(),
        settings.strictness(),
    )?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    for directory in &loaded.unreadable {
        tracing::error!("{}", directory.diagnostic);
    }
    if loaded.units.is_empty() && loaded.failed.is_empty() {
        let none = format!(
            "there are no units in {}: expected NAME.yaml and NAME.bpf.o",
            settings.config.dir.display()
        );
        if settings.strict || settings.check {
            bail!(none);
        }
        tracing::warn!("{none}; the host waits for the first one");
    }
    Ok(loaded)
}

/// Loads and attaches.
pub(super) fn load_all(
    settings: &Settings,
    loaded: LoadedConfigs,
    facts: Arc<KernelFacts>,
) -> FirstLoad {
    notify::status("loading and attaching BPF programs");
    let environment = Environment {
        pins: open_pins(settings, &loaded),
        btf: settings.btf_path.clone(),
        debug: settings.debug,
        strict: settings.strict,
        facts,
    };
    let (mut units, mut skipped) = (Vec::new(), Vec::new());
    for unit in loaded.units {
        match doctor::unmet(&unit.kernel) {
            Some(why) => skipped.push((unit, why)),
            None => units.push(unit),
        }
    }
    // Whoever only checks wants to know of all of them.
    let (now, waiting): (Vec<UnitConfig>, Vec<UnitConfig>) = units
        .into_iter()
        .partition(|unit| starts_now(unit, settings.check));
    let failed = loaded.failed.into_iter();
    let mut candidates: Vec<Candidate> = failed.map(unreadable).collect();
    for (number, unit) in (1..).zip(now) {
        candidates.push(attach(unit, &environment, number));
    }
    bpf::post_attach_mark();
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    FirstLoad {
        environment,
        candidates,
        waiting,
        skipped,
        unreadable: loaded
            .unreadable
            .iter()
            .filter(|directory| !directory.is_dangling)
            .map(|directory| directory.diagnostic.to_string())
            .collect(),
    }
}

impl FirstLoad {
    /// Kernel sides have got the numbers up to this one.
    pub(super) fn numbers(&self) -> u64 {
        self.candidates.len() as u64
    }
}

/// Opens the directory of pinned maps while there is the privilege. What goes wrong is of interest
/// only where a unit pins.
fn open_pins(settings: &Settings, loaded: &LoadedConfigs) -> Option<Pins> {
    if settings.check {
        return None;
    }
    let owner = settings.hardening.user.as_ref().map(User::ids);
    let pins = Pins::new(&settings.pin_dir, owner);
    let wanted = |unit: &UnitConfig| unit.maps.iter().any(|map| map.pin);
    let any = loaded.units.iter().any(wanted);
    // Also if none does: a reload may bring one, and then it is too late.
    let prepared = pins.prepare();
    if !any {
        if let Err(why) = prepared {
            tracing::debug!("maps could not be pinned: {why}");
        }
        return Some(pins);
    }
    if let Err(why) = prepared.and_then(|()| pins.hand_over()) {
        tracing::error!("maps cannot be pinned: {why}");
    }
    let units = loaded.units.iter().filter(|unit| wanted(unit));
    let units = units.map(|unit| unit.name.as_str());
    let failed = loaded.failed.iter().map(|unit| unit.name.as_str());
    let known: Vec<&str> = units.chain(failed).collect();
    for other in pins.of_others(&known) {
        tracing::info!(
            directory = %other.display(),
            "pinned maps of a unit that is not here or does not pin: remove the directory if nobody wants them"
        );
    }
    Some(pins)
}

fn unreadable(failed: FailedUnit) -> Candidate {
    Candidate {
        name: failed.name.clone(),
        config: None,
        loaded: Err(failed.into()),
        began: Instant::now(),
    }
}

fn attach(config: UnitConfig, environment: &Environment, number: u64) -> Candidate {
    let (name, began) = (config.name.clone(), Instant::now());
    let known = config.clone();
    let loaded = load::load(config, environment, None, number)
        .and_then(|loaded| ready(loaded, number).map_err(|error| failure(error, &known)));
    Candidate {
        name,
        config: Some(known),
        loaded,
        began,
    }
}

/// Attaches, and opens what the server is to read, with some descriptors to spare.
fn ready(mut loaded: Loaded, number: u64) -> Result<Ready, UnitError> {
    let _reserve = reserve().map_err(UnitError::Descriptors)?;
    loaded.attach(None)?;
    let (message, descriptors) = served(&loaded, number)?;
    Ok(Ready {
        loaded,
        message,
        descriptors,
    })
}

fn failure(error: UnitError, config: &UnitConfig) -> LoadFailure {
    LoadFailure {
        error,
        config: Some(Box::new(config.clone())),
    }
}

impl Kernel {
    /// The second half of the start: plugins, and the units as the server opens them. `Err`: the
    /// host may not go on like this. Gives a summary, and how many units failed.
    pub(super) fn open_all(
        &mut self,
        settings: &Settings,
        first: FirstLoad,
    ) -> anyhow::Result<(String, usize)> {
        let FirstLoad {
            candidates,
            waiting,
            skipped,
            unreadable,
            ..
        } = first;
        notify::status("opening plugins");
        let mut outcome = Outcome::default();
        self.reload_plugins(&mut outcome);
        for candidate in candidates {
            self.open_candidate(candidate);
        }
        for config in waiting {
            tracing::info!(config = config.name, "unit waits until it is asked for");
            self.units.enter(&config.name.clone()).wait(config);
        }
        for (config, why) in skipped {
            self.skip(config, &why);
        }
        let counts = self.units.count();
        let successful = counts.failed == 0
            && outcome.failed.is_empty()
            && unreadable.is_empty()
            && self.units.degraded(Cause::Config).is_empty();
        self.link.reloaded(&[], successful, "");
        let all = counts.failed + counts.running + counts.waiting + counts.skipped;
        if settings.strict && counts.failed > 0 {
            bail!(
                "--config.strict: {} of {all} units do not run, see the errors above",
                counts.failed
            );
        }
        if settings.strict
            && let Some(first) = unreadable.first()
        {
            bail!("--config.strict: {first}");
        }
        if counts.running == 0 && counts.waiting == 0 && counts.failed > 0 && !settings.check {
            tracing::error!(
                "none of {} units runs: the host is not ready until one does",
                counts.failed
            );
        }
        let unattached = self.units.unattached();
        if settings.strict && !unattached.is_empty() {
            bail!(
                "--config.strict: programs are not attached: {}",
                unattached.join(", ")
            );
        }
        let summary = format!(
            "{} units running, {} on demand, {} not for this kernel, {} failed",
            counts.running, counts.waiting, counts.skipped, counts.failed
        );
        Ok((summary, counts.failed))
    }

    fn open_candidate(&mut self, candidate: Candidate) {
        let Candidate {
            name,
            config,
            loaded,
            began,
        } = candidate;
        if config.is_some() {
            self.units.enter(&name).begin();
        }
        let opened = self.open_attached(&name, loaded, began);
        let mut unit = self.units.enter(&name);
        match opened {
            Ok(()) => report_running(&unit),
            Err(failure) => {
                refuse(&mut unit, &failure.why, began, false);
                if let Some(config) = &config {
                    let object = Desired::of(config).fingerprint.object;
                    unit.try_version_later(config, object, &failure, None);
                }
            }
        }
    }
}
