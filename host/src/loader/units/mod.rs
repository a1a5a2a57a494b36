//! Units as the loader has them: what state each is in, the version in service, and what is to be
//! tried again.
//!
//! A unit's life has one home: its `Entry`, changed through an [`Exclusive`] alone, which one
//! thread, the kernel thread, can have at a time. What happens to it goes through the table in
//! `state`, and whatever the server is to know of it is said when the `Exclusive` is dropped.

mod error;
pub(crate) mod load;
mod plan;
mod retry;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use error::{LoadFailure, UnitError, UnitFailure};
#[cfg(any(test, feature = "test-support"))]
pub(crate) use load::specs;
pub(crate) use load::{
    Environment, KernelSide, Loaded, ObjectCheck, begun_maps, check as check_object,
};
pub(crate) use plan::{Action, Current, Desired, Fingerprint, Step, plan_unit};
pub(crate) use retry::{Retry, What};
pub(crate) use state::{Event, State};

pub(crate) use crate::bpf::{BegunMap, Cause};
use crate::config::{Diagnostic, Lifecycle, UnitConfig};
use crate::digest::Digest;
use crate::link::{LoadFigures, OnDemand, UnitPhase, UnitStatus};
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

/// One unit, for whoever starts, changes or stops it. While there is one, nobody else can.
pub(crate) struct Exclusive<'a> {
    name: String,
    entry: &'a mut Entry,
    audience: &'a (dyn Audience + Send + Sync),
    keepalive: Duration,
    /// The audience has to hear of it.
    changed: bool,
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

impl Exclusive<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn state(&self) -> State {
        self.entry.state
    }

    pub(crate) fn is_running(&self) -> bool {
        self.entry.state.in_service()
    }

    pub(crate) fn is_on_demand(&self) -> bool {
        self.entry.on_demand.is_some()
    }

    pub(crate) fn serving(&self) -> Option<&Version> {
        self.entry.serving.as_ref()
    }

    pub(crate) fn serving_mut(&mut self) -> Option<&mut Version> {
        self.changed = true;
        self.entry.serving.as_mut()
    }

    pub(crate) fn diagnostic(&self) -> Option<&str> {
        self.entry.diagnostic.as_deref()
    }

    /// The YAML with which it waits.
    pub(crate) fn waiting_config(&self) -> Option<UnitConfig> {
        self.entry.config.clone()
    }

    /// What there is of it, for the plan of a reload.
    pub(crate) fn current(&self) -> Current {
        let Entry {
            state,
            serving,
            config,
            on_demand,
            ..
        } = &*self.entry;
        match (serving, config) {
            (Some(version), _) => Current::Running(version.fingerprint()),
            (None, Some(config)) if *state == State::Skipped => Current::Skipped(config.digest),
            (None, Some(config)) if on_demand.is_some() => Current::Waiting(config.digest),
            _ => Current::Absent,
        }
    }

    /// An event that cannot happen is a bug, which is said; the state stays.
    fn happens(&mut self, event: Event) -> bool {
        self.changed = true;
        match self.entry.state.after(event) {
            Ok(after) => {
                self.entry.state = after;
                true
            }
            Err(illegal) => {
                tracing::error!(config = self.name, "{illegal}");
                false
            }
        }
    }

    /// A version begins to be loaded. The audience hears of it at once: it may take a while.
    pub(crate) fn begin(&mut self) -> bool {
        let begun = self.happens(Event::Begin);
        if self.entry.state == State::Starting {
            self.say();
        }
        begun
    }

    /// A version is attached, and served from now on. Gives the one that was in service before.
    pub(crate) fn serve(&mut self, version: Version, began: Instant) -> Option<Version> {
        self.happens(Event::Serve);
        let lifecycle = version.config.lifecycle;
        self.follow_lifecycle(lifecycle, &version.config);
        self.entry.diagnostic = None;
        self.entry.refused = None;
        self.entry.retry = None;
        self.loaded(true, began.elapsed());
        let before = self.entry.serving.replace(version);
        self.attach_later();
        before
    }

    /// Another YAML for the version in service, over the same kernel side.
    pub(crate) fn reshape(
        &mut self,
        config: UnitConfig,
        metrics: Vec<MetricSpec>,
        plugins: Vec<(String, Digest)>,
        left_out: LeftOut,
        began: Instant,
    ) {
        self.happens(Event::Serve);
        self.follow_lifecycle(config.lifecycle, &config);
        self.entry.diagnostic = None;
        self.entry.refused = None;
        self.entry.retry = None;
        self.loaded(true, began.elapsed());
        if let Some(version) = &mut self.entry.serving {
            version.config = config;
            version.metrics = metrics;
            version.plugins = plugins;
            version.left_out = left_out;
        }
        self.attach_later();
    }

    /// A version does not come into service. What is in service goes on.
    pub(crate) fn refuse(&mut self, why: &str, took: Duration) {
        self.happens(Event::Refuse);
        self.entry.diagnostic = Some(why.to_owned());
        self.loaded(false, took);
    }

    /// What is in service is what the files want, after all. True if it was thought not to be.
    pub(crate) fn clear_problem(&mut self) -> bool {
        self.changed |= self.entry.diagnostic.is_some() || self.entry.retry.is_some();
        self.entry.refused = None;
        if let Some(Retry {
            what: What::Version,
            ..
        }) = self.entry.retry
        {
            self.entry.retry = None;
        }
        let cleared = self.entry.diagnostic.take().is_some();
        if cleared {
            self.loaded(true, Duration::ZERO);
        }
        cleared
    }

    /// It is on demand, with this YAML from the next start on.
    pub(crate) fn wait(&mut self, config: UnitConfig) {
        self.happens(Event::Wait);
        self.follow_lifecycle(Lifecycle::OnDemand, &config);
        self.entry.config = Some(config);
        self.entry.diagnostic = None;
        self.entry.retry = None;
        self.entry.refused = None;
        // There is nothing more to its load than reading its YAML.
        self.loaded(true, Duration::ZERO);
    }

    /// It was stopped since nobody asks for it: the next start takes this YAML.
    pub(crate) fn rest(&mut self, config: UnitConfig) {
        self.happens(Event::Wait);
        self.entry.config = Some(config);
    }

    /// It is not for this kernel. What is in service has been stopped before.
    pub(crate) fn skip(&mut self, config: UnitConfig, why: &str) {
        self.happens(Event::Skip);
        self.entry.on_demand = None;
        self.entry.config = Some(config);
        self.entry.diagnostic = Some(why.to_owned());
        self.entry.retry = None;
        self.entry.refused = None;
        self.loaded(true, Duration::ZERO);
    }

    /// Takes the version out of service. None: there was none.
    pub(crate) fn stop(&mut self) -> Option<Version> {
        let version = self.entry.serving.take()?;
        self.happens(Event::Stop);
        self.entry.retry = None;
        self.say();
        Some(version)
    }

    /// As its newest YAML has it, whether that version could be put into service or not.
    pub(crate) fn follow_lifecycle(&mut self, lifecycle: Lifecycle, config: &UnitConfig) {
        self.changed = true;
        self.entry.on_demand = match lifecycle {
            Lifecycle::Autostart => None,
            Lifecycle::OnDemand => {
                self.entry.config = Some(config.clone());
                Some(OnDemand {
                    keepalive: config.keepalive.unwrap_or(self.keepalive),
                    collectors: config.collectors.clone(),
                })
            }
        };
    }

    fn loaded(&mut self, successful: bool, duration: Duration) {
        let load = &mut self.entry.load;
        load.successful = Some(successful);
        load.duration = duration;
        if successful && let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) {
            load.last_success = Some(now.as_secs_f64());
        }
    }

    // === What is tried again ===

    /// After an attempt to put a version into service failed. `again`: it is what failed before,
    /// too. `object`: as far as its file could be read.
    pub(crate) fn try_version_later(
        &mut self,
        config: &UnitConfig,
        object: Option<Digest>,
        failure: &UnitFailure,
        again: Option<Retry>,
    ) {
        self.changed = true;
        // One on demand is tried again by the next request.
        let tried = self.is_running() || config.lifecycle == Lifecycle::Autostart;
        if !failure.retryable || !tried {
            self.entry.retry = None;
            self.entry.refused = None;
            return;
        }
        let now = Instant::now();
        let same = self
            .entry
            .refused
            .as_ref()
            .is_some_and(|(known, of)| known.digest == config.digest && *of == object);
        self.entry.retry = match (again, self.entry.retry) {
            (Some(retry), _) => Some(retry.next(now)),
            (None, Some(retry)) if same => Some(retry),
            _ => Some(Retry::first(What::Version, now)),
        };
        self.entry.refused = Some((Box::new(config.clone()), object));
    }

    /// Programs that are not attached are tried again, if there are any.
    pub(crate) fn attach_later(&mut self) {
        self.changed = true;
        let any = self.entry.serving.as_ref().is_some_and(Version::retryable);
        if any && self.entry.retry.is_none() {
            self.entry.retry = Some(Retry::first(What::Programs, Instant::now()));
        }
    }

    /// The attempt that is due, taken out; and the version that it is about.
    pub(crate) fn take_retry(&mut self) -> Option<(Retry, Option<UnitConfig>, Option<Digest>)> {
        self.changed = true;
        let retry = self.entry.retry.take()?;
        let (config, object) = match &self.entry.refused {
            Some((config, object)) => (Some((**config).clone()), *object),
            None => (None, None),
        };
        Some((retry, config, object))
    }

    /// An attempt to attach programs has been made. Gives the programs that are attached now.
    pub(crate) fn attach_missing(&mut self, retry: Retry) -> Vec<String> {
        self.changed = true;
        self.entry.restarts += 1;
        let Some(version) = &mut self.entry.serving else {
            return Vec::new();
        };
        let kernel = version.kernel.as_mut();
        let attached = kernel.map(KernelSide::attach_missing).unwrap_or_default();
        if version.retryable() {
            self.entry.retry = Some(retry.next(Instant::now()));
        }
        attached
    }

    /// An attempt to put a version into service is made again.
    pub(crate) fn count_restart(&mut self) {
        self.changed = true;
        self.entry.restarts += 1;
    }

    // === What is said of it ===

    /// Its figures have changed, or somebody waits to hear of it.
    pub(crate) fn changed(&mut self) {
        self.changed = true;
    }

    fn status(&self) -> UnitStatus {
        let entry = &*self.entry;
        let kernel = entry.serving.as_ref().and_then(|one| one.kernel.as_ref());
        let fingerprint = entry.serving.as_ref().map(Version::fingerprint);
        let config = fingerprint.map(|one| one.config);
        let known = entry
            .config
            .as_ref()
            .filter(|_| entry.on_demand.is_some() || entry.state == State::Skipped);
        let retry = entry.retry.map(|retry| retry.at);
        let degraded = entry.serving.as_ref().and_then(Version::degraded);
        UnitStatus {
            unit: self.name.clone(),
            phase: match (entry.state.phase(), degraded) {
                (UnitPhase::Running, Some(cause)) => UnitPhase::Degraded(cause),
                (phase, _) => phase,
            },
            diagnostic: entry.diagnostic.clone(),
            on_demand: entry.on_demand.clone(),
            next_try: retry.map(|at| at.saturating_duration_since(Instant::now())),
            config: config.or(known.map(|config| config.digest)),
            object: fingerprint.and_then(|one| one.object),
            preparation: fingerprint.map(|one| one.preparation),
            programs: kernel
                .map(|kernel| kernel.programs().to_vec())
                .unwrap_or_default(),
            maps: kernel
                .map(|kernel| kernel.object().layouts())
                .unwrap_or_default(),
            remarks: entry
                .serving
                .as_ref()
                .map(Version::remarks)
                .unwrap_or_default(),
            load: entry.load,
            restarts: entry.restarts,
            cgroup_errors: self.cgroup_errors(),
        }
    }

    fn cgroup_errors(&self) -> u64 {
        let kernel = self
            .entry
            .serving
            .as_ref()
            .and_then(|one| one.kernel.as_ref());
        kernel.map_or(0, KernelSide::cgroup_errors)
    }

    /// Says now how it is, before something that takes a while.
    fn say(&self) {
        self.audience.status(self.status());
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        if self.changed {
            self.entry.cgroup_errors = self.cgroup_errors();
            self.say();
        }
    }
}
