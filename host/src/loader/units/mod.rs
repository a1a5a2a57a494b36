//! Units as the loader has them: what state each is in, the version in service, and what is to be
//! tried again.
//!
//! A unit's life has one home: its `Entry`, changed through an [`Exclusive`] alone, which one
//! thread, the kernel thread, can have at a time. What happens to it goes through the table in
//! `state`, and whatever the server is to know of it is said when the `Exclusive` is dropped.

mod error;
mod exclusive;
pub(crate) mod load;
mod plan;
mod retry;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use error::{LoadFailure, UnitError, UnitFailure};
pub(crate) use exclusive::Exclusive;
#[cfg(any(test, feature = "test-support"))]
pub(crate) use load::specs;
pub(crate) use load::{
    Environment, KernelSide, Loaded, ObjectCheck, begun_maps, check as check_object,
};
pub(crate) use plan::{Action, Current, Desired, Fingerprint, Step, plan_unit};
pub(crate) use retry::{Retry, What};
pub(crate) use state::State;

pub(crate) use crate::bpf::{BegunMap, Cause};
use crate::config::{Diagnostic, UnitConfig};
use crate::digest::Digest;
use crate::link::{LoadFigures, OnDemand, UnitStatus};
use crate::rows::MetricSpec;

/// Whoever is told what becomes of units: the server, or a test.
pub(crate) trait Audience {
    fn status(&self, status: UnitStatus);
}

/// A version of a unit in service.
pub(crate) struct Version {
    pub(crate) config: UnitConfig,
    pub(crate) metrics: Vec<MetricSpec>,
    pub(crate) kernel: Option<KernelSide>,
    /// The plugins in use, with their versions.
    pub(crate) plugins: Vec<(String, Digest)>,
    pub(crate) left_out: LeftOut,
}

/// What a version lacks of its YAML.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeftOut {
    /// Why metrics are left out.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// All plugins that there were: another one may offer what is missing.
    pub(crate) plugins: BTreeMap<String, Digest>,
}

impl Version {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let object = self.kernel.as_ref().map(KernelSide::digest);
        Fingerprint::of(&self.config, object)
    }

    /// What does not keep it from running, but should be known.
    fn remarks(&self) -> Vec<String> {
        let kernel = self.kernel.iter();
        let kernel = kernel.flat_map(|kernel| kernel.remarks().iter().cloned());
        let left_out = self.left_out.diagnostics.iter();
        let left_out = left_out.map(|one| format!("a metric is left out: {one}"));
        left_out.chain(kernel).collect()
    }

    /// Who has to do something about what of it does not run. None: all of it runs.
    pub(crate) fn degraded(&self) -> Option<Cause> {
        if !self.left_out.diagnostics.is_empty() {
            return Some(Cause::Config);
        }
        self.kernel.as_ref().and_then(KernelSide::degraded)
    }

    /// Some programs are not attached everywhere and may be, later.
    fn retryable(&self) -> bool {
        let mut kernel = self.kernel.iter();
        kernel.any(|kernel| kernel.retryable() || kernel.partial().next().is_some())
    }
}

/// What is known of a unit.
#[derive(Default)]
struct Entry {
    state: State,
    serving: Option<Version>,
    /// The YAML with which it waits, or by which it is not for this kernel.
    config: Option<UnitConfig>,
    /// With its keepalive, where it is on demand.
    on_demand: Option<OnDemand>,
    diagnostic: Option<String>,
    retry: Option<Retry>,
    /// The version that could not be put into service and is tried again: its YAML, and its
    /// object, if the file could be read.
    refused: Option<(Box<UnitConfig>, Option<Digest>)>,
    load: LoadFigures,
    restarts: u64,
    /// As it was last said: it changes by itself.
    cgroup_errors: u64,
}

/// All units.
pub(crate) struct Units {
    entries: BTreeMap<String, Entry>,
    audience: Arc<dyn Audience + Send + Sync>,
    /// `--keepalive`
    keepalive: Duration,
}

impl Units {
    /// `keepalive`: of units on demand whose YAML does not say.
    pub(crate) fn new(audience: Arc<dyn Audience + Send + Sync>, keepalive: Duration) -> Self {
        Self {
            entries: BTreeMap::new(),
            audience,
            keepalive,
        }
    }

    /// The unit of this name, which is made known by this.
    pub(crate) fn enter(&mut self, name: &str) -> Exclusive<'_> {
        Exclusive {
            name: name.to_owned(),
            entry: self.entries.entry(name.to_owned()).or_default(),
            audience: &*self.audience,
            keepalive: self.keepalive,
            changed: false,
        }
    }

    /// The unit of this name, if it is known.
    pub(crate) fn enter_known(&mut self, name: &str) -> Option<Exclusive<'_>> {
        self.entries.contains_key(name).then(|| self.enter(name))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Takes a unit out, with all that was in service of it.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Version> {
        self.entries.remove(name)?.serving
    }

    /// When the next attempt is due.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        let retries = self.entries.values().filter_map(|entry| entry.retry);
        retries.map(|retry| retry.at).min()
    }

    /// The units whose time to be tried again has come.
    pub(crate) fn due(&self, now: Instant) -> Vec<String> {
        let due = |entry: &Entry| entry.retry.is_some_and(|retry| retry.at <= now);
        let entries = self.entries.iter().filter(|(_, entry)| due(entry));
        entries.map(|(name, _)| name.clone()).collect()
    }

    /// How many units are in each state: running, on demand, skipped, failed.
    pub(crate) fn count(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.values() {
            match entry.state {
                State::Waiting => counts.waiting += 1,
                State::Skipped => counts.skipped += 1,
                State::Running | State::Replacing | State::Stopping => counts.running += 1,
                State::New | State::Starting | State::Failed => counts.failed += 1,
            }
        }
        counts
    }

    /// Names of programs that are not attached, with their units and the reasons.
    pub(crate) fn unattached(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, entry) in &self.entries {
            let kernel = entry.serving.as_ref().and_then(|one| one.kernel.as_ref());
            for (program, why) in kernel.into_iter().flat_map(KernelSide::unattached) {
                all.push(format!("{name}:{} ({why})", program.name));
            }
        }
        all
    }

    /// Names of units of which not all runs, by this cause.
    pub(crate) fn degraded(&self, by: Cause) -> Vec<&str> {
        let cause = |entry: &Entry| entry.serving.as_ref().and_then(Version::degraded);
        let entries = self.entries.iter();
        let entries = entries.filter(|(_, entry)| cause(entry) == Some(by));
        entries.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether there are figures that change by themselves.
    pub(crate) fn any_changing(&self) -> bool {
        let mut serving = self.entries.values().filter_map(|one| one.serving.as_ref());
        serving.any(|version| {
            version
                .kernel
                .as_ref()
                .is_some_and(KernelSide::follows_cgroups)
        })
    }

    /// Says the statuses whose figures have changed by themselves.
    pub(crate) fn refresh(&mut self) {
        for name in self.names() {
            let mut unit = self.enter(&name);
            unit.changed |= unit.cgroup_errors() != unit.entry.cgroup_errors;
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: usize,
}
