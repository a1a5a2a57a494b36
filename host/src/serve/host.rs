//! The running host: its units and plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::backoff::Retries;
use super::demand::Demand;
use crate::config::UnitConfig;
use crate::plugin::{Engine, Registry};
use crate::telemetry::{Telemetry, UnitState};
use crate::unit::{Environment, Failure, Fleet, Prepared, Running, Trouble};

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
    pub(super) demand: Demand,
    pub(super) retries: Retries,
    pub(super) directories: Directories,
    pub(super) engine: Engine,
    pub(super) registry: RwLock<Arc<Registry>>,
    /// One reload at a time.
    pub(super) reloading: Mutex<()>,
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
        keepalive: Duration,
    ) -> Self {
        Self {
            fleet: Fleet::default(),
            demand: Demand::new(keepalive),
            retries: Retries::default(),
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
    ) -> Result<(), Trouble> {
        let opened = self.open_plugins(prepared);
        let trouble = opened.as_ref().err().cloned();
        if let Ok(running) = &opened {
            report_running(name, running);
        }
        self.fleet.put(name, opened.map_err(|trouble| trouble.why));
        self.account(name, trouble.as_ref(), began, false);
        trouble.map_or(Ok(()), Err)
    }

    pub(super) fn open_plugins(
        &self,
        prepared: Result<Prepared, Failure>,
    ) -> Result<Running, Trouble> {
        let registry = self.registry();
        let prepared = prepared.map_err(|failure| failure.explain(&registry))?;
        Running::open(prepared, &registry).map_err(Trouble::from)
    }

    /// Notes how a load or reload of a unit went. `again`: it was tried before with the outcome that the log has.
    pub(super) fn account(
        &self,
        name: &str,
        trouble: Option<&Trouble>,
        began: Instant,
        again: bool,
    ) {
        let unit = self.telemetry.unit(name);
        let running = self.fleet.is_running(name);
        self.set_state(
            name,
            if running {
                UnitState::Running
            } else {
                UnitState::Failed
            },
        );
        unit.loaded(trouble.is_none(), began.elapsed());
        match trouble.map(|trouble| &trouble.why) {
            Some(why) if again => tracing::debug!(config = name, "tried again in vain: {why}"),
            Some(why) if running => tracing::error!(
                config = name,
                "the version before goes on, since the newest does not run: {why}"
            ),
            Some(why) => tracing::error!(config = name, "unit failed: {why}"),
            None => {}
        }
    }

    /// A unit is not for this kernel, which is no failure: nothing of it stays in service. To be called by whoever has it exclusively.
    pub(super) fn skip(&self, config: &UnitConfig, why: &str) {
        let name = config.name.as_str();
        self.demand.forget(name);
        self.retries.forget(name);
        self.fleet.skip(name, config.digest, why.to_owned());
        let unit = self.telemetry.unit(name);
        unit.emptied();
        // There is nothing more to its load than reading its YAML.
        unit.loaded(true, Duration::ZERO);
        unit.set_state(UnitState::Skipped);
        tracing::info!(config = name, "unit skipped: {why}");
    }

    /// Where a unit is in its life, for everybody to see.
    pub(super) fn set_state(&self, name: &str, state: UnitState) {
        self.fleet.set_phase(name, state);
        self.telemetry.unit(name).set_state(state);
    }
}

pub(super) fn report_running(name: &str, unit: &Running) {
    for (program, why) in unit.unattached() {
        tracing::warn!(
            config = name,
            program = program.name,
            section = program.section,
            "program not attached: {why}"
        );
    }
    for remark in unit.remarks() {
        tracing::warn!(config = name, "{remark}");
    }
    tracing::info!(
        config = name,
        programs = unit.programs().len(),
        metrics = unit.metrics(),
        collectors = unit.collectors(),
        "unit running"
    );
}
