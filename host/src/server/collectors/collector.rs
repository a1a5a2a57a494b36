//! One collector in service: every call of it, from wherever, goes through here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::outcome::{Outcome, Target};
use super::shared::SharedCalls;
use super::target_cache::TargetCache;
use crate::config::CollectorConfig;
use crate::plugin::Collector as Guest;
use crate::plugin::{
    Answer, CallError, CollectError, CollectRequest, FailureKind, LogCapture, Plugin,
};
use crate::repeats::Repeats;
use crate::telemetry::{CollectorStats, RateLimit};

/// A call of the background that has no `timeout` of its own ends after this, however long the
/// interval is: scrapes wait for the first one.
const MAX_POLL: Duration = Duration::from_secs(30);

pub(in crate::server) struct Collector {
    unit: Arc<str>,
    config: CollectorConfig,
    guest: Guest,
    /// What a scrape asks.
    targets: Vec<Target>,
    common: Arc<Common>,
    calls: SharedCalls<Key, Outcome>,
    target_cache: TargetCache,
    failures: Mutex<BTreeMap<&'static str, u64>>,
}

/// What all collectors share.
pub(super) struct Common {
    /// A place for each call at a time: each has a memory of its own.
    pub(super) permits: Semaphore,
    pub(super) max_calls: usize,
    pub(super) failed_probes: RateLimit,
    pub(super) failed_scrapes: Repeats,
    /// Where plugins run.
    pub(super) threads: Handle,
}

/// What a call asks: two that ask the same are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    target: Target,
    params: Vec<(String, String)>,
    /// By a scrape: the series carry the target's label.
    scrape: bool,
}

impl Collector {
    pub(super) fn new(
        unit: &Arc<str>,
        config: &CollectorConfig,
        guest: Guest,
        common: &Arc<Common>,
    ) -> Self {
        let mut targets: Vec<Target> = config
            .targets
            .iter()
            .map(|target| Some(Arc::from(target.as_str())))
            .collect();
        if targets.is_empty() {
            targets.push(None);
        }
        if !config.mode.scraped() {
            targets.clear();
        }
        Self {
            unit: Arc::clone(unit),
            config: config.clone(),
            guest,
            targets,
            common: Arc::clone(common),
            calls: SharedCalls::on(common.threads.clone()),
            target_cache: TargetCache::default(),
            failures: Mutex::default(),
        }
    }

    pub(in crate::server) fn unit(&self) -> &Arc<str> {
        &self.unit
    }

    pub(in crate::server) fn name(&self) -> &str {
        &self.config.name
    }

    pub(in crate::server) fn config(&self) -> &CollectorConfig {
        &self.config
    }

    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        self.guest.plugin()
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// What a scrape serves of a target: the last good answer where the background asks, else the
    /// answer to a call of now. None: there is nothing; why is in the log and in the host's own
    /// metrics.
    pub(super) async fn scrape(
        self: &Arc<Self>,
        target: &Target,
        deadline: Instant,
    ) -> Option<Arc<Answer>> {
        if let Some(interval) = self.config.interval
            && let Some(known) = self.target_cache.good(target, interval, Instant::now())
        {
            return known;
        }
        // The background's first call, too, if it is on its way.
        let outcome = self.call(self.scrape_key(target), deadline).await?;
        outcome.result.as_ref().ok().map(Arc::clone)
    }

    /// Starts the background's calls that are due. When there will be the next one; None: never.
    pub(super) fn poll(self: &Arc<Self>, now: Instant) -> Option<Instant> {
        let interval = self.config.interval?;
        let mut next = None;
        for target in &self.targets {
            let (due, look_again) = self.target_cache.due(target, interval, now);
            next = Some(next.map_or(look_again, |next: Instant| next.min(look_again)));
            if due {
                let (collector, key) = (Arc::clone(self), self.scrape_key(target));
                let until = now + interval.min(self.config.timeout.unwrap_or(MAX_POLL));
                tokio::spawn(async move { collector.call(key, until).await });
            }
        }
        next
    }

    /// A probe. With `capture` it is a call of its own, whose log lines are kept.
    pub(in crate::server) async fn probe(
        self: &Arc<Self>,
        target: Option<&str>,
        params: Vec<(String, String)>,
        deadline: Instant,
        capture: Option<Arc<LogCapture>>,
    ) -> Arc<Outcome> {
        let began = Instant::now();
        let key = Key {
            target: target.map(Arc::from),
            params,
            scrape: false,
        };
        let outcome = match capture {
            Some(capture) => {
                let deadline = self.deadline(deadline);
                let collector = Arc::clone(self);
                let run = async move { collector.run(&key, deadline, Some(capture)).await };
                self.common.threads.spawn(run).await.ok().map(Arc::new)
            }
            None => self.call(key, deadline).await,
        };
        outcome.unwrap_or_else(|| {
            Arc::new(Outcome {
                result: Err(if Instant::now() < deadline {
                    CollectError::Lost
                } else {
                    CallError::Late(began.elapsed()).into()
                }),
                took: began.elapsed(),
                at: Instant::now(),
            })
        })
    }

    fn scrape_key(&self, target: &Target) -> Key {
        Key {
            target: target.clone(),
            params: Vec::new(),
            scrape: true,
        }
    }

    /// Its own bound, where that is less.
    fn deadline(&self, given: Instant) -> Instant {
        let own = self.config.timeout.map(|timeout| Instant::now() + timeout);
        own.map_or(given, |own| own.min(given))
    }

    async fn call(self: &Arc<Self>, key: Key, deadline: Instant) -> Option<Arc<Outcome>> {
        let deadline = self.deadline(deadline);
        let call = || {
            let (collector, key) = (Arc::clone(self), key.clone());
            async move { collector.run(&key, deadline, None).await }
        };
        self.calls
            .call(&key, deadline, call, Outcome::is_cut_off)
            .await
    }

    async fn run(&self, key: &Key, deadline: Instant, capture: Option<Arc<LogCapture>>) -> Outcome {
        let began = Instant::now();
        let result = self.collect(key, deadline, capture).await.map(Arc::new);
        let outcome = Outcome {
            result,
            took: began.elapsed(),
            at: Instant::now(),
        };
        if key.scrape {
            let keep = self.config.interval.is_some();
            self.target_cache.record_call(&key.target, &outcome, keep);
        }
        if let Err(error) = &outcome.result {
            *self.failures.lock().entry(error.reason()).or_default() += 1;
            self.complain(key, error);
        }
        outcome
    }

    async fn collect(
        &self,
        key: &Key,
        deadline: Instant,
        capture: Option<Arc<LogCapture>>,
    ) -> Result<Answer, CollectError> {
        // First: calls that wait for their turn must not keep other plugins' from theirs.
        let _turn = self.guest.turn(deadline).await?;
        let until = tokio::time::Instant::from_std(deadline);
        let permit = tokio::time::timeout_at(until, self.common.permits.acquire()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(CollectError::Busy(self.common.max_calls));
        };
        let mut labels: Vec<(&str, &str)> = self
            .config
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if let Some(target) = &key.target
            && key.scrape
        {
            labels.push((&self.config.target_label, target));
        }
        let request = CollectRequest {
            target: key.target.as_deref(),
            params: &key.params,
            labels: &labels,
            deadline,
            capture,
        };
        let answer = self.guest.collect(&request).await;
        // Nobody asked but the config, which the collector took.
        answer.map_err(|error| match error {
            CollectError::Failed {
                kind: FailureKind::Request,
                message,
            } if key.scrape => CollectError::Failed {
                kind: FailureKind::Invalid,
                message,
            },
            other => other,
        })
    }

    fn complain(&self, key: &Key, error: &CollectError) {
        let (config, collector) = (&*self.unit, self.name());
        let target = key.target.as_deref().unwrap_or_default();
        if !key.scrape && !error.is_the_plugins() {
            // Whoever probes is told, and again every few seconds.
            tracing::debug!(config, collector, target, "probe failed: {error}");
            return;
        }
        let kind = format!("{config}/{collector}");
        let news = if key.scrape {
            let text = format!("{kind}/{target}: {error}");
            self.common.failed_scrapes.say(&text)
        } else {
            // A probe's target is anybody's text: as a kind of message it would have no end.
            self.common.failed_probes.allow(&kind)
        };
        if let Some(held_back) = news {
            let held_back = (held_back > 0).then_some(held_back);
            tracing::warn!(
                config,
                collector,
                target,
                held_back,
                "its families are left out: {error}"
            );
        }
    }

    /// For the host's own metrics.
    pub(super) fn stats(&self, now: Instant) -> CollectorStats {
        let targets = self.targets.iter();
        CollectorStats {
            config: self.unit.to_string(),
            collector: self.name().to_owned(),
            targets: targets
                .filter_map(|target| self.target_cache.report(target, now))
                .collect(),
            failures: self
                .failures
                .lock()
                .iter()
                .map(|(reason, count)| (*reason, *count))
                .collect(),
        }
    }
}
