//! Bringing units and plugins in line with the directories.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::kernel::Kernel;
use super::report::refuse;
use super::tasks::Asked;
use super::units::{Action, Desired};
use crate::config::{self, UnitConfig};
use crate::link::PluginMessage;

/// What a reload came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What was done to each unit that was not kept, in the order of their names.
    done: Vec<(String, Action)>,
    kept: usize,
    /// What could not be brought in line, and why. What was in service before is in service still.
    pub(super) failed: Vec<(String, String)>,
}

impl Kernel {
    /// Reads the directories and does the least that brings units and plugins in line with them.
    /// `asked`: the requests that are answered with what came of it.
    pub(super) fn reload(&mut self, asked: &[Asked]) {
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
        // Whoever asked this server is answered by it; whoever comes next finds the next one.
        let granted = Arc::clone(&self.granted.read());
        let paths = super::confine::server_paths(&granted, &self.readable);
        self.link.grant(paths);
        let text = outcome.report();
        self.link.reloaded(asked, outcome.failed.is_empty(), &text);
        // Whoever reads the log sees what it says.
        let number = self.number();
        self.link.settle(number);
        tracing::info!(
            changed = outcome.done.len(),
            kept = outcome.kept,
            failed = outcome.failed.len(),
            "reloaded"
        );
    }

    /// Plugins as they are in the directories now.
    pub(super) fn reload_plugins(&mut self, outcome: &mut Outcome) {
        let scan = self.plugin_files.scan(&*self.compile);
        for (path, why) in &scan.failed {
            tracing::error!(
                plugin = %path.display(),
                "plugin left out, or its previous version is kept: {why}"
            );
            outcome
                .failed
                .push((path.display().to_string(), why.clone()));
        }
        for (directory, error) in &scan.unreadable {
            let why = format!("cannot read the plugin directory: {error}");
            tracing::error!(directory = %directory.display(), "{why}");
            outcome.failed.push((directory.display().to_string(), why));
        }
        *self.granted.write() = Arc::new(scan.granted);
        let (mut plugins, mut compiled) = (Vec::new(), Vec::new());
        for part in scan.parts {
            plugins.push(PluginMessage {
                name: part.name,
                path: part.path.display().to_string(),
                digest: part.digest,
                sidecar: part.sidecar,
                compiled: part.compiled.is_some(),
            });
            compiled.extend(part.compiled);
        }
        let id = self.number();
        match self.link.plugins(id, plugins, compiled) {
            Ok(opened) => {
                for (path, why) in opened.failed {
                    tracing::error!(
                        plugin = path,
                        "plugin left out, or its previous version is kept: {why}"
                    );
                    outcome.failed.push((path, why));
                }
                self.plugin_versions = opened.versions;
            }
            Err(error) => outcome
                .failed
                .push(("plugins".to_owned(), error.to_string())),
        }
    }

    /// The wanted units by name. Those that cannot be read keep what they have.
    fn load_configs(
        &mut self,
        outcome: &mut Outcome,
    ) -> Result<BTreeMap<String, Option<UnitConfig>>, String> {
        let directories = &self.directories;
        let loaded = config::load(
            &directories.config,
            directories.names.as_deref(),
            directories.strict,
        )
        .map_err(|error| error.to_string())?;
        let mut wanted: BTreeMap<String, Option<UnitConfig>> = BTreeMap::new();
        for failed in loaded.failed {
            let (name, began) = (failed.name.clone(), Instant::now());
            let failure = self.explain(&name, failed.into());
            let mut unit = self.units.enter(&name);
            unit.take_retry();
            refuse(&mut unit, &failure.why, began, false);
            outcome.failed.push((name.clone(), failure.why));
            drop(unit);
            wanted.insert(name, None);
        }
        for directory in &loaded.unreadable {
            let mut units = self.units.names();
            units.retain(|unit| unit.starts_with(&directory.prefix));
            if !units.is_empty() || !directory.is_dangling {
                let why = directory.diagnostic.to_string();
                tracing::error!("{why}");
                outcome.failed.push((directory.prefix.clone(), why));
            }
            for unit in units {
                wanted.entry(unit).or_insert(None);
            }
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

    fn follow(&mut self, wanted: BTreeMap<String, Option<UnitConfig>>, outcome: &mut Outcome) {
        for name in self.units.names() {
            if !wanted.contains_key(&name) {
                tracing::info!(config = name, "plan: {}: its YAML is gone", Action::Stop);
                self.remove(&name);
                outcome.done.push((name, Action::Stop));
            }
        }
        let planned: Vec<(UnitConfig, Desired)> = wanted
            .into_values()
            .flatten()
            .map(|config| {
                let desired = Desired::of(&config);
                let step = self.plan_unit(&config.name, &desired);
                if step.action != Action::Keep {
                    tracing::info!(config = config.name, "plan: {}: {}", step.action, step.why);
                }
                (config, desired)
            })
            .collect();
        for (config, desired) in planned {
            // Whoever waits for a unit on demand does not wait for all others.
            while let Some(unit) = self.tasks.take_start() {
                self.start_on_demand(&unit);
            }
            if self.tasks.is_stopping() {
                return;
            }
            let name = config.name.clone();
            let step = self.plan_unit(&name, &desired);
            let done = self.act(&step, config, desired.fingerprint.object, None);
            match done {
                Ok(()) if step.action == Action::Keep => outcome.kept += 1,
                Ok(()) => outcome.done.push((name, step.action)),
                Err(failure) => outcome.failed.push((name, failure.why)),
            }
        }
    }
}

impl Outcome {
    /// For people.
    fn report(&self) -> String {
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
        text
    }
}
