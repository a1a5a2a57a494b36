//! The running host: its units and plugins, and bringing them in line with the directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::config::{self, UnitConfig};
use crate::digest::Digest;
use crate::plugin::{Engine, Registry};
use crate::telemetry::{Telemetry, UnitState};
use crate::unit::{Action, Environment, Failure, Fleet, Prepared, Running, decide, prepare};

/// Where units and plugins come from.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    pub(super) config: PathBuf,
    /// `--config.names`
    pub(super) names: Option<String>,
    pub(super) strict_keys: bool,
    /// `--plugin.dir`
    pub(super) plugins: Vec<PathBuf>,
}

pub(super) struct Host {
    pub(super) fleet: Fleet,
    pub(super) environment: Environment,
    pub(super) telemetry: Arc<Telemetry>,
    directories: Directories,
    engine: Engine,
    registry: RwLock<Arc<Registry>>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// What a reload came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was done to each unit that was not kept, in the order of their names.
    pub(crate) done: Vec<(String, Action)>,
    pub(crate) kept: usize,
    /// What could not be brought in line, and why. What was in service before is in service still.
    pub(crate) failed: Vec<(String, String)>,
}

impl Directories {
    /// Every directory that plugins are looked for in.
    pub(super) fn of_plugins(&self) -> Vec<&Path> {
        let dirs = std::iter::once(&self.config).chain(&self.plugins);
        dirs.map(PathBuf::as_path).collect()
    }
}

impl Host {
    pub(super) fn new(
        directories: Directories,
        environment: Environment,
        engine: Engine,
        registry: Registry,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Self {
            fleet: Fleet::default(),
            environment,
            telemetry,
            directories,
            engine,
            registry: RwLock::new(Arc::new(registry)),
            reloading: Mutex::new(()),
        }
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }

    /// The second half of a unit's start: opens its plugins and puts it into service. `began`: when its start did.
    pub(super) fn open(
        &self,
        name: &str,
        prepared: Result<Prepared, Failure>,
        began: Instant,
    ) -> Result<(), String> {
        let opened = self.open_plugins(prepared);
        let problem = opened.as_ref().err().cloned();
        if let Ok(running) = &opened {
            report_running(name, running);
        }
        self.fleet.put(name, opened);
        self.account(name, problem.as_deref(), began);
        problem.map_or(Ok(()), Err)
    }

    fn open_plugins(&self, prepared: Result<Prepared, Failure>) -> Result<Running, String> {
        let registry = self.registry();
        prepared
            .map_err(|failure| failure.explain(&registry))
            .and_then(|prepared| {
                Running::open(prepared, &registry).map_err(|error| error.to_string())
            })
    }

    /// Notes how a load or reload of a unit went.
    fn account(&self, name: &str, problem: Option<&str>, began: Instant) {
        let unit = self.telemetry.unit(name);
        let running = self.fleet.with_running(name, |_| ()).is_some();
        unit.set_state(if running {
            UnitState::Running
        } else {
            UnitState::Failed
        });
        unit.loaded(problem.is_none(), began.elapsed());
        match problem {
            Some(why) if running => tracing::error!(
                config = name,
                "the version before goes on, since the newest does not run: {why}"
            ),
            Some(why) => tracing::error!(config = name, "unit failed: {why}"),
            None => {}
        }
    }

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
        outcome.log();
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
                *self.registry.write() = Arc::new(registry);
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
        let Directories {
            config,
            names,
            strict_keys,
            ..
        } = &self.directories;
        let loaded = config::load(config, names.as_deref(), *strict_keys)
            .map_err(|error| error.to_string())?;
        let mut wanted: BTreeMap<String, Option<UnitConfig>> = BTreeMap::new();
        for failed in loaded.failed {
            let name = failed.name.clone();
            if let Err(why) = self.open(&name, Err(failed.into()), Instant::now()) {
                outcome.failed.push((name.clone(), why));
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
                self.fleet.remove(&name);
                self.telemetry.forget_unit(&name);
                outcome.done.push((name.to_string(), Action::Stop));
            }
        }
        let registry = self.registry();
        for (name, config) in wanted {
            let Some(config) = config else { continue };
            let began = Instant::now();
            let object = config
                .object
                .as_ref()
                .and_then(|path| std::fs::read(path).ok());
            let object = object.map(|bytes| Digest::of(&bytes));
            let action = self
                .fleet
                .with_running(&name, |running| decide(running, &config, object, &registry))
                .unwrap_or(Action::Start);
            let done = match action {
                Action::Keep => {
                    outcome.kept += 1;
                    // A version that did not run has been taken back.
                    if self.fleet.clear_problem(&name) {
                        self.account(&name, None, began);
                    }
                    continue;
                }
                Action::Reshape => self.reshape(&name, config, &registry, began),
                Action::Start | Action::Replace | Action::Stop => {
                    self.replace(&name, config, began)
                }
            };
            match done {
                Ok(()) => outcome.done.push((name, action)),
                Err(why) => outcome.failed.push((name, why)),
            }
        }
    }

    fn reshape(
        &self,
        name: &str,
        config: UnitConfig,
        registry: &Registry,
        began: Instant,
    ) -> Result<(), String> {
        let reshaped = self
            .fleet
            .with_running(name, |running| running.reshape(config, registry));
        let done = match reshaped {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the unit was stopped meanwhile".to_owned()),
        };
        match &done {
            Ok(()) => {
                self.fleet.clear_problem(name);
            }
            Err(why) => self.fleet.put(name, Err(why.clone())),
        }
        self.account(name, done.as_ref().err().map(String::as_str), began);
        done
    }

    /// Loads the new version while the one before goes on, attaches it, and swaps them.
    fn replace(&self, name: &str, config: UnitConfig, began: Instant) -> Result<(), String> {
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
            Err(why) => self.fleet.put(name, Err(why.clone())),
        }
        self.account(name, done.as_ref().err().map(String::as_str), began);
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

    fn log(&self) {
        for (name, action) in &self.done {
            tracing::info!(config = name, "{action}");
        }
        tracing::info!(
            changed = self.done.len(),
            kept = self.kept,
            failed = self.failed.len(),
            "reloaded"
        );
    }
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
        collectors = unit.collectors(),
        "unit running"
    );
}
