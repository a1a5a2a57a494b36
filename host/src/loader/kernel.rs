//! The kernel thread: the one that loads, attaches, replaces and stops units, one after the other.
//!
//! Owns the units and everything that is done to them. Whoever wants something of it leaves a task
//! (`tasks`); it blocks on nothing but the kernel, compilers and the server's answers, each with
//! a limit.

mod again;
mod open;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plugins::PluginFiles;
use super::ready::{served, without_object};
use super::report::{refuse, report_running};
use super::reserve::reserve;
use super::server::{Granted, OpenedVersion, ServerLink};
use super::tasks::{Task, Tasks};
use super::units::{
    Action, Current, Desired, Environment, KernelSide, LoadFailure, Loaded, Retry, State, Step,
    UnitError, UnitFailure, Units, Version, load, plan_unit,
};
use crate::config::{Lifecycle, Strictness, UnitConfig};
use crate::digest::Digest;
use crate::link::ServedUnit;
use crate::plugin::Compile;
use crate::rows::MetricSpec;

/// How often figures are looked at that change by themselves.
const LOOK: Duration = Duration::from_secs(5);

/// Where units and plugins come from.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    pub(super) config: PathBuf,
    /// `--config.names`
    pub(super) names: Option<String>,
    pub(super) strict: Strictness,
}

pub(super) struct Kernel {
    pub(super) units: Units,
    pub(super) environment: Environment,
    pub(super) directories: Directories,
    pub(super) plugin_files: PluginFiles,
    pub(super) compile: Box<dyn Compile + Send>,
    pub(super) granted: Granted,
    /// `--hardening.read`
    pub(super) readable: Vec<PathBuf>,
    /// Of those in use, with their sidecars.
    pub(super) plugin_versions: BTreeMap<String, Digest>,
    pub(super) link: Arc<ServerLink>,
    pub(super) tasks: Arc<Tasks>,
    /// Of versions, kernel sides and sets of plugins: never given twice.
    pub(super) numbers: u64,
}

impl Kernel {
    /// Until the host stops. `Err`: why it cannot go on.
    pub(super) fn run(&mut self) -> Result<(), String> {
        loop {
            match self.tasks.next(self.next_look()) {
                Task::Start(unit) => self.start_on_demand(&unit),
                Task::Idle(unit) => self.stop_idle(&unit),
                Task::FollowMachine => self.follow_machine(),
                Task::Reload(asked) => self.reload(&asked),
                Task::Lost(unit, why) => self.open_again(&unit, &why),
                Task::Due => {
                    self.units.refresh();
                    self.try_again();
                }
                Task::Fail(why) => return Err(why),
                Task::Stop => return Ok(()),
            }
        }
    }

    /// When there is something to do by itself.
    fn next_look(&self) -> Option<Instant> {
        let look = self.units.any_changing().then(|| Instant::now() + LOOK);
        let due = self.units.next_try();
        look.into_iter().chain(due).min()
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    // === A version ===

    /// Puts an attached version into service.
    fn put(
        &mut self,
        name: &str,
        loaded: Loaded,
        opened: OpenedVersion,
        message: ServedUnit,
        descriptors: Vec<OwnedFd>,
        began: Instant,
    ) -> Result<(), UnitFailure> {
        let Loaded {
            config,
            metrics,
            mut kernel,
            left_out,
        } = loaded;
        if let Some(kernel) = &mut kernel {
            if let Err(error) = kernel.run() {
                self.link.discard(name, message.generation);
                return Err(UnitError::from(error).into());
            }
            kernel.pin();
        }
        self.link.serve(&opened, message, descriptors);
        let version = Version {
            config,
            metrics,
            kernel,
            plugins: opened.plugins,
            left_out: self.left_out(left_out),
        };
        let before = self.units.enter(name).serve(version, began);
        // Detached only now that the new version is in service.
        drop(before);
        Ok(())
    }

    /// Loads the new version while the one before goes on, if there is one, has it opened, attaches
    /// it, and swaps them.
    fn replace(
        &mut self,
        name: &str,
        config: UnitConfig,
        began: Instant,
    ) -> Result<(), UnitFailure> {
        let number = self.number();
        let maps = {
            let unit = self.units.enter(name);
            let kernel = unit.serving().and_then(|version| version.kernel.as_ref());
            kernel.map(KernelSide::shared_maps)
        };
        // What is left for the rest of the host.
        let reserve = reserve().map_err(UnitError::Descriptors)?;
        let loaded = load::load(config, &self.environment, maps.as_ref(), number);
        let mut loaded = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => return Err(self.explain(name, failure)),
        };
        if !self.may_leave_out(name, &loaded.left_out) {
            let failure = LoadFailure {
                error: UnitError::Config(loaded.left_out),
                config: Some(Box::new(loaded.config)),
            };
            return Err(self.explain(name, failure));
        }
        let first = served(&loaded, self.number())?;
        let (opened, mut message, mut descriptors) = self.open_loaded(&mut loaded, first)?;
        let generation = message.generation;
        let attached = self.attach(name, &mut loaded);
        if let Err(failure) = attached {
            self.link.discard(name, generation);
            return Err(failure);
        }
        // What is attached now has other links than when it was opened; the server shows that from
        // the status. A new server gets the version as it is now.
        if let Ok(now) = served(&loaded, generation) {
            (message, descriptors) = now;
        }
        drop(reserve);
        self.put(name, loaded, opened, message, descriptors, began)
    }

    /// Attaches a version that is to follow the one in service.
    fn attach(&mut self, name: &str, loaded: &mut Loaded) -> Result<(), UnitFailure> {
        let unit = self.units.enter(name);
        let before = unit.serving().and_then(|version| version.kernel.as_ref());
        Ok(loaded.attach(before)?)
    }

    /// Gives the unit another config, or its plugins' new versions, over the same object: maps,
    /// links and sample counters stay. On an error the unit stays as it is.
    fn reshape(
        &mut self,
        name: &str,
        config: UnitConfig,
        began: Instant,
    ) -> Result<(), UnitFailure> {
        let made = {
            let strict = self.environment.strict;
            let unit = self.units.enter(name);
            let Some(version) = unit.serving() else {
                return Err(UnitFailure::retryable(
                    "the unit was stopped meanwhile".to_owned(),
                ));
            };
            match &version.kernel {
                Some(kernel) => load::resolve_again(&config, kernel, strict),
                None => Ok((Vec::new(), config.left_out.clone())),
            }
        };
        let made = made.and_then(|(metrics, left_out)| {
            if self.may_leave_out(name, &left_out) {
                Ok((metrics, left_out))
            } else {
                Err(UnitError::Config(left_out))
            }
        });
        let (mut metrics, mut left_out) = match made {
            Ok(made) => made,
            Err(error) => {
                let failure = LoadFailure {
                    error,
                    config: Some(Box::new(config)),
                };
                return Err(self.explain(name, failure));
            }
        };
        let (opened, message, descriptors) = loop {
            let (message, descriptors) = self.served_anew(name, &config, &metrics)?;
            let version = (&mut metrics, &mut left_out);
            if let Some(opened) = self.open(version, &message, &descriptors)? {
                break (opened, message, descriptors);
            }
        };
        self.link.serve(&opened, message, descriptors);
        let left_out = self.left_out(left_out);
        let mut unit = self.units.enter(name);
        unit.reshape(config, metrics, opened.plugins, left_out, began);
        Ok(())
    }

    /// What the server is to read of another config over the kernel side in service.
    fn served_anew(
        &mut self,
        name: &str,
        config: &UnitConfig,
        metrics: &[MetricSpec],
    ) -> Result<(ServedUnit, Vec<OwnedFd>), UnitError> {
        let (generation, side) = (self.number(), self.number());
        // What was shown from 0 goes on being.
        let held = self.link.held(name);
        let unit = self.units.enter(name);
        let kernel = unit.serving().and_then(|version| version.kernel.as_ref());
        match kernel {
            Some(kernel) => kernel.served(generation, config, metrics, held),
            None => Ok((without_object(generation, side, config), Vec::new())),
        }
    }

    /// A new server cannot open what the one before served: it is asked once more, and then the
    /// unit says why its series are missing.
    fn open_again(&mut self, name: &str, why: &str) {
        let began = Instant::now();
        let config = {
            let Some(mut unit) = self.units.enter_known(name) else {
                return;
            };
            let config = unit.serving().map(|version| version.config.clone());
            if config.is_none() || !unit.begin() {
                return;
            }
            config
        };
        let Some(config) = config else { return };
        if let Err(failure) = self.reshape(name, config, began) {
            let mut unit = self.units.enter(name);
            let again = failure.why;
            let why = format!("a new server cannot open it: {why}; and again: {again}");
            refuse(&mut unit, &why, began, false);
        }
    }

    // === A unit ===

    /// A plugin that the unit uses and that is not in use any more as it was.
    pub(super) fn stale_plugin(&mut self, name: &str) -> Option<String> {
        let unit = self.units.enter_known(name)?;
        let version = unit.serving()?;
        let now = &self.plugin_versions;
        let is_other = |(plugin, version): &(&String, &Digest)| now.get(*plugin) != Some(*version);
        let used = version
            .plugins
            .iter()
            .map(|(plugin, version)| (plugin, version));
        let stale = used.clone().find(is_other).map(|(plugin, _)| plugin);
        // What is left out may be offered by one that was not there.
        let known = &version.left_out.plugins;
        let waits = !version.left_out.diagnostics.is_empty();
        let is_new = |(plugin, version): &(&String, &Digest)| known.get(*plugin) != Some(*version);
        let new = || now.iter().filter(|_| waits).find(is_new);
        stale.or_else(|| new().map(|(plugin, _)| plugin)).cloned()
    }

    /// What a reload would do to a unit now.
    pub(super) fn plan_unit(&mut self, name: &str, desired: &Desired) -> Step {
        let unit = self.units.enter_known(name);
        let current = unit.map_or(Current::Absent, |unit| unit.current());
        let stale = self.stale_plugin(name);
        plan_unit(current, desired, || stale)
    }

    /// Does to a unit what was decided. `again`: it is a further attempt, after the last of that
    /// pace.
    pub(super) fn act(
        &mut self,
        step: &Step,
        config: UnitConfig,
        object: Option<Digest>,
        again: Option<Retry>,
    ) -> Result<(), UnitFailure> {
        let name = config.name.clone();
        let began = Instant::now();
        match step.action {
            Action::Keep => {
                self.keep(&name, config);
                return Ok(());
            }
            Action::Wait => {
                self.stop(&name);
                self.units.enter(&name).wait(config);
                return Ok(());
            }
            Action::Skip => {
                self.skip(config, &step.why);
                return Ok(());
            }
            Action::Stop => {
                self.remove(&name);
                return Ok(());
            }
            Action::Reshape | Action::Start | Action::Replace => {}
        }
        let diagnostic = {
            let mut unit = self.units.enter(&name);
            if !unit.begin() {
                return Err(UnitFailure::retryable(
                    "the unit is being changed already".to_owned(),
                ));
            }
            unit.diagnostic().map(str::to_owned)
        };
        let known = config.clone();
        let done = match step.action {
            Action::Reshape => self.reshape(&name, config, began),
            _ => self.replace(&name, config, began),
        };
        if done.is_ok() {
            // Whoever reads in the log that it runs finds it so.
            let number = self.number();
            self.link.settle(number);
        }
        let mut unit = self.units.enter(&name);
        unit.follow_lifecycle(known.lifecycle, &known);
        match &done {
            Ok(()) => report_running(&unit),
            Err(failure) => {
                let already_reported =
                    again.is_some() && diagnostic.as_deref() == Some(&*failure.why);
                refuse(&mut unit, &failure.why, began, already_reported);
                unit.try_version_later(&known, object, failure, again);
            }
        }
        drop(unit);
        done
    }

    /// The version that runs, or waits, is the one that is wanted.
    fn keep(&mut self, name: &str, config: UnitConfig) {
        let mut unit = self.units.enter(name);
        if unit.is_running() {
            // A version that did not run has been taken back.
            unit.clear_problem();
        } else if unit.state() == State::Waiting && unit.diagnostic().is_some() {
            unit.wait(config);
        }
    }

    /// Takes what is in service of a unit out of it.
    fn stop(&mut self, name: &str) {
        let Some(mut unit) = self.units.enter_known(name) else {
            return;
        };
        if let Some(version) = unit.stop() {
            self.link.withdraw(name);
            drop(version);
        }
    }

    /// A unit is not for this kernel, which is no failure: nothing of it stays in service.
    pub(super) fn skip(&mut self, config: UnitConfig, why: &str) {
        let name = config.name.clone();
        self.stop(&name);
        self.units.enter(&name).skip(config, why);
        tracing::info!(config = name, "unit skipped: {why}");
    }

    /// A unit is gone for good.
    pub(super) fn remove(&mut self, name: &str) {
        let version = self.units.remove(name);
        self.link.forget(name);
        drop(version);
        let pins = self.environment.pins.as_ref();
        let removed = pins.map(|pins| pins.of_unit(name).keep_only(&[]));
        if let Some(Err(error)) = removed {
            tracing::warn!(config = name, "the unit's pinned maps stay: {error}");
        }
    }

    // === On demand ===

    /// Somebody asks for a unit on demand.
    pub(super) fn start_on_demand(&mut self, name: &str) {
        let config = {
            let Some(mut unit) = self.units.enter_known(name) else {
                return;
            };
            // Whoever asks waits to hear of it, however it is.
            unit.changed();
            if unit.is_running() || !unit.is_on_demand() {
                return;
            }
            unit.waiting_config()
        };
        let Some(config) = config else { return };
        let step = Step {
            action: Action::Start,
            why: "somebody asks for it".into(),
        };
        // The log and the status say what came of it.
        let _ = self.act(&step, config, None, None);
    }

    /// Nobody has asked for a unit on demand for its keepalive.
    fn stop_idle(&mut self, name: &str) {
        let Some(unit) = self.units.enter_known(name) else {
            return;
        };
        if !unit.is_running() || !unit.is_on_demand() {
            return;
        }
        let config = unit.waiting_config();
        drop(unit);
        self.stop(name);
        if let Some(config) = config {
            let mut unit = self.units.enter(name);
            unit.rest(config);
        }
        tracing::info!(config = name, "unit stopped: nobody asked for it any more");
    }
}

/// Whether a unit is to be started when the host is.
pub(super) fn starts_now(config: &UnitConfig, check: bool) -> bool {
    check || config.lifecycle == Lifecycle::Autostart
}
