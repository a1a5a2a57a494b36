//! One unit, for the one who changes it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::load::KernelSide;
use super::plan::Current;
use super::retry::{Retry, What};
use super::state::{Event, State};
use super::{Audience, Entry, LeftOut, UnitFailure, Version};
use crate::config::{Lifecycle, UnitConfig};
use crate::digest::Digest;
use crate::link::{OnDemand, UnitPhase, UnitStatus};
use crate::rows::MetricSpec;

/// One unit, for whoever starts, changes or stops it. While there is one, nobody else can.
pub(crate) struct Exclusive<'a> {
    pub(super) name: String,
    pub(super) entry: &'a mut Entry,
    pub(super) audience: &'a (dyn Audience + Send + Sync),
    pub(super) keepalive: Duration,
    /// The audience has to hear of it.
    pub(super) changed: bool,
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

    pub(super) fn cgroup_errors(&self) -> u64 {
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
