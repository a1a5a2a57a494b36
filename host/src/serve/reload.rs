//! Bringing units and plugins in line with the directories.

use std::collections::BTreeMap;
use std::time::Instant;

use super::host::{Host, report_running};
use crate::config::{self, Lifecycle, UnitConfig};
use crate::plugin::Registry;
use crate::telemetry::UnitState;
use crate::unit::{Action, Make, Now, Step, Trouble, Wanted, decide, prepare};

/// What a reload came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was done to each unit that was not kept, in the order of their names.
    pub(crate) done: Vec<(String, Action)>,
    pub(crate) kept: usize,
    /// What could not be brought in line, and why. What was in service before is in service still.
    pub(crate) failed: Vec<(String, String)>,
}

/// A unit that could be read, and what its files want.
struct Planned {
    config: UnitConfig,
    wanted: Wanted,
}

impl Host {
    /// Reads the directories and does the least that brings units and plugins in line with them. Blocks.
    pub(super) fn reload(&self) -> Outcome {
        let _one_at_a_time = self.reloading.lock();
        let mut outcome = Outcome::default();
        self.reload_plugins(&mut outcome);
        match self.load_configs(&mut outcome) {
            Ok(wanted) => self.follow(wanted, &mut outcome),
            Err(why) => {
                tracing::error!(
                    "the config directory is not read, everything goes on as it was: {why}"
                );
                outcome
                    .failed
                    .push((self.directories.config.display().to_string(), why));
            }
        }
        self.telemetry.reloaded(outcome.failed.is_empty());
        tracing::info!(
            changed = outcome.done.len(),
            kept = outcome.kept,
            failed = outcome.failed.len(),
            "reloaded"
        );
        outcome
    }

    fn reload_plugins(&self, outcome: &mut Outcome) {
        let successor = self.registry().successor(
            &self.engine,
            &self.environment.facts,
            &self.directories.of_plugins(),
        );
        match successor {
            Ok((registry, failed)) => {
                *self.registry.write() = std::sync::Arc::new(registry);
                for (path, error) in failed {
                    tracing::error!(plugin = %path.display(), "plugin left out, or its version before goes on: {error}");
                    outcome
                        .failed
                        .push((path.display().to_string(), error.to_string()));
                }
            }
            Err(error) => outcome.failed.push((
                "plugins".to_owned(),
                format!("cannot read a plugin directory: {error}"),
            )),
        }
    }

    /// The wanted units by name. Those that cannot be read keep what they have.
    fn load_configs(
        &self,
        outcome: &mut Outcome,
    ) -> Result<BTreeMap<String, Option<UnitConfig>>, String> {
        let directories = &self.directories;
        let loaded = config::load(
            &directories.config,
            directories.names.as_deref(),
            directories.strict_keys,
        )
        .map_err(|error| error.to_string())?;
        let mut wanted: BTreeMap<String, Option<UnitConfig>> = BTreeMap::new();
        for failed in loaded.failed {
            let name = failed.name.clone();
            let opened = self.fleet.exclusively(&name, || {
                self.retries.forget(&name);
                let opened = self.open(&name, Err(failed.into()), Instant::now());
                if self.demand.has(&name) && !self.fleet.is_running(&name) {
                    // It can still be asked for, as it was before.
                    self.set_state(&name, UnitState::Stopped);
                }
                opened
            });
            if let Err(trouble) = opened {
                outcome.failed.push((name.clone(), trouble.why));
            }
            wanted.insert(name, None);
        }
        for warning in &loaded.warnings {
            tracing::debug!("{warning}");
        }
        wanted.extend(
            loaded
                .units
                .into_iter()
                .map(|unit| (unit.name.clone(), Some(unit))),
        );
        Ok(wanted)
    }

    fn follow(&self, wanted: BTreeMap<String, Option<UnitConfig>>, outcome: &mut Outcome) {
        for name in self.fleet.names() {
            if !wanted.contains_key(&*name) {
                tracing::info!(config = &*name, "plan: {}: its YAML is gone", Action::Stop);
                self.remove(&name);
                outcome.done.push((name.to_string(), Action::Stop));
            }
        }
        let registry = self.registry();
        let planned: Vec<Planned> = wanted
            .into_values()
            .flatten()
            .map(|config| self.plan(config, &registry))
            .collect();
        for Planned { config, wanted } in planned {
            let name = config.name.clone();
            let (action, done) = self.fleet.exclusively(&name, || {
                // A request or a keepalive may have changed it since the plan was made.
                let now = self.now(&name);
                let fresh = decide(now, &wanted, || self.stale_plugin(&name, &registry));
                let done = self.act(&fresh, config.clone(), &registry, false);
                self.try_again_later(&config, wanted.make.object, done.as_ref().err());
                (fresh.action, done)
            });
            match done {
                Ok(()) if action == Action::Keep => outcome.kept += 1,
                Ok(()) => outcome.done.push((name, action)),
                Err(trouble) => outcome.failed.push((name, trouble.why)),
            }
        }
    }

    fn plan(&self, config: UnitConfig, registry: &Registry) -> Planned {
        let name = config.name.as_str();
        let wanted = Wanted::of(&config);
        let step = decide(self.now(name), &wanted, || {
            self.stale_plugin(name, registry)
        });
        if step.action != Action::Keep {
            tracing::info!(config = name, "plan: {}: {}", step.action, step.why);
        }
        Planned { config, wanted }
    }

    /// What there is of a unit.
    pub(super) fn now(&self, name: &str) -> Now {
        let running = self.fleet.with_running(name, |unit| Make::of(unit));
        match running {
            Some(make) => Now::Running(make),
            None => match (self.demand.config(name), self.fleet.skipped(name)) {
                (Some(config), _) => Now::Waiting(config),
                (None, Some(config)) => Now::Skipped(config),
                (None, None) => Now::Absent,
            },
        }
    }

    /// A plugin that the unit uses and that is not the registry's.
    pub(super) fn stale_plugin(&self, name: &str, registry: &Registry) -> Option<String> {
        let stale = self
            .fleet
            .with_running(name, |unit| unit.stale_plugin(registry));
        stale.flatten()
    }

    /// Does to a unit what was decided. To be called by whoever has it exclusively. `again`: it was tried before, in vain.
    pub(super) fn act(
        &self,
        step: &Step,
        config: UnitConfig,
        registry: &Registry,
        again: bool,
    ) -> Result<(), Trouble> {
        let name = config.name.clone();
        let began = Instant::now();
        let (lifecycle, known) = (config.lifecycle, config.clone());
        let done = match step.action {
            Action::Keep => {
                // A version that did not run has been taken back.
                if self.fleet.is_running(&name) {
                    if self.fleet.clear_problem(&name) {
                        self.account(&name, None, began, again);
                    }
                } else if self.fleet.phase(&name) == Some(UnitState::Stopped)
                    && self.fleet.problem(&name).is_some()
                {
                    self.wait_for_demand(config);
                }
                return Ok(());
            }
            Action::Wait => {
                self.wait_for_demand(config);
                return Ok(());
            }
            Action::Skip => {
                self.skip(&config, &step.why);
                return Ok(());
            }
            Action::Stop => {
                self.remove(&name);
                return Ok(());
            }
            Action::Reshape => self.reshape(&name, config, registry, began, again),
            Action::Start | Action::Replace => self.replace(&name, config, began, again),
        };
        match lifecycle {
            Lifecycle::Autostart => self.demand.forget(&name),
            Lifecycle::OnDemand => self.demand.put(known, self.fleet.is_running(&name)),
        }
        done
    }

    /// A unit is gone for good.
    fn remove(&self, name: &str) {
        self.fleet.exclusively(name, || {
            self.demand.forget(name);
            self.retries.forget(name);
            self.fleet.remove(name);
            self.telemetry.forget_unit(name);
            let pins = self.environment.pins.as_ref();
            let removed = pins.map(|pins| pins.of_unit(name).keep_only(&[]));
            if let Some(Err(error)) = removed {
                tracing::warn!(config = name, "the unit's pinned maps stay: {error}");
            }
        });
    }

    fn reshape(
        &self,
        name: &str,
        config: UnitConfig,
        registry: &Registry,
        began: Instant,
        again: bool,
    ) -> Result<(), Trouble> {
        let reshaped = self
            .fleet
            .with_running(name, |running| running.reshape(config, registry));
        let done = match reshaped {
            Some(reshaped) => reshaped.map_err(Trouble::from),
            None => Err(Trouble::passing(
                "the unit was stopped meanwhile".to_owned(),
            )),
        };
        match &done {
            Ok(()) => {
                self.fleet.clear_problem(name);
            }
            Err(trouble) => self.fleet.put(name, Err(trouble.why.clone())),
        }
        self.account(name, done.as_ref().err(), began, again);
        done
    }

    /// Loads the new version while the one before goes on, if there is one, attaches it, and swaps them.
    pub(super) fn replace(
        &self,
        name: &str,
        config: UnitConfig,
        began: Instant,
        again: bool,
    ) -> Result<(), Trouble> {
        let before = self.fleet.problem(name);
        let maps = self
            .fleet
            .with_running(name, |running| running.shared_maps());
        let prepared = prepare(config, &self.environment, maps.flatten().as_ref());
        let done = self
            .open_plugins(prepared)
            .and_then(|running| self.fleet.attach_and_put(name, running));
        match &done {
            Ok(()) => {
                self.fleet
                    .with_running(name, |running| report_running(name, running));
            }
            Err(trouble) => self.fleet.put(name, Err(trouble.why.clone())),
        }
        let again = again && done.as_ref().err().map(|trouble| &trouble.why) == before.as_ref();
        self.account(name, done.as_ref().err(), began, again);
        done
    }
}

impl Outcome {
    /// What to answer whoever asked for the reload: `Err` if something is not what the directories want.
    pub(super) fn report(&self) -> Result<String, String> {
        let mut text = format!(
            "{} changed, {} kept, {} failed\n",
            self.done.len(),
            self.kept,
            self.failed.len()
        );
        for (name, action) in &self.done {
            text.push_str(&format!("{name}: {action}\n"));
        }
        for (name, why) in &self.failed {
            text.push_str(&format!("{name}: failed: {why}\n"));
        }
        if self.failed.is_empty() {
            Ok(text)
        } else {
            Err(text)
        }
    }
}
