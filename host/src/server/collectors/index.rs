//! The collectors of all units in service: found by name, by path, and asked all at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::collector::{Collector, Common};
use super::selection::Selection;
use crate::exposition::{Family, FamilyMeta, Sample};
use crate::near::nearest;
use crate::paths::is_below;
use crate::repeats::Repeats;
use crate::telemetry::{CollectorStats, RateLimit};

/// Calls at a time, of all collectors together: each has an instance with a memory of its own.
const MAX_CALLS: usize = 128;
/// Between two log lines about the same thing.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// What is kept of a scrape's time for what comes after the calls: this part of what is left, and
/// no more than the second.
const RESERVE_PART: u32 = 20;
const MAX_RESERVE: Duration = Duration::from_millis(100);

type List = Vec<Arc<Collector>>;

pub(in crate::server) struct Index {
    /// By unit, the newest version last. They are there as long as their unit has them.
    units: Mutex<BTreeMap<String, Vec<Weak<List>>>>,
    changed: Notify,
    common: Arc<Common>,
    /// No collector has a path at it or below.
    telemetry_path: String,
}

/// Why a probe has no collector. The texts are for whoever asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::server) enum FindError {
    #[error("Unknown module {name:?}{hint}")]
    Unknown { name: String, hint: String },
    #[error("Several units have a module {name:?}: say {choices}")]
    Ambiguous { name: String, choices: String },
    #[error("Module {0:?} is not for probes: it says `mode: scrape`")]
    NotProbed(String),
}

impl Index {
    /// `threads`: where plugins run.
    pub(in crate::server) fn new(telemetry_path: String, threads: Handle) -> Arc<Self> {
        Arc::new(Self {
            units: Mutex::default(),
            changed: Notify::new(),
            common: Arc::new(Common {
                permits: Semaphore::new(MAX_CALLS),
                max_calls: MAX_CALLS,
                threads,
                failed_probes: RateLimit::every(LOG_INTERVAL),
                failed_scrapes: Repeats::default(),
            }),
            telemetry_path,
        })
    }

    pub(super) fn common(&self) -> &Arc<Common> {
        &self.common
    }

    /// Why no collector can have this path.
    pub(super) fn reserved(&self, path: &str) -> Option<String> {
        let telemetry = &self.telemetry_path;
        if path == telemetry {
            return Some("is the path of the metrics".to_owned());
        }
        is_below(path, telemetry)
            .then(|| format!("is below the path of the metrics, `{telemetry}`"))
    }

    /// From now on these are the unit's, until `list` is dropped elsewhere.
    pub(super) fn add(&self, unit: &str, list: &Arc<List>) {
        for collector in &**list {
            let other = collector
                .config()
                .probe_path
                .as_deref()
                .and_then(|path| self.by_path(path));
            if let Some(other) = other
                && **other.unit() != *unit
            {
                tracing::warn!(
                    config = unit,
                    collector = collector.name(),
                    "unit {} has its `probe_path` too: one of the two is not reached by it",
                    other.unit()
                );
            }
        }
        let mut units = self.units.lock();
        let versions = units.entry(unit.to_owned()).or_default();
        versions.retain(|version| version.strong_count() > 0);
        versions.push(Arc::downgrade(list));
        drop(units);
        self.changed.notify_one();
    }

    /// Resolves once a unit has other collectors.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn of_unit(&self, unit: &str) -> Vec<Arc<Collector>> {
        let units = self.units.lock();
        let newest = units.get(unit).and_then(|versions| newest(versions));
        newest.map(|list| list.to_vec()).unwrap_or_default()
    }

    /// In the order of the units' names, then of their config.
    fn all(&self) -> Vec<Arc<Collector>> {
        let mut units = self.units.lock();
        units.retain(|_, versions| {
            versions.retain(|version| version.strong_count() > 0);
            !versions.is_empty()
        });
        let lists = units.values().filter_map(|versions| newest(versions));
        lists.flat_map(|list| list.to_vec()).collect()
    }

    /// Every collector's `name` and `unit/name`.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for collector in self.all() {
            names.push(collector.name().to_owned());
            names.push(full_name(&collector));
        }
        names
    }

    /// What `collect[]=` and `exclude[]=` mean. `Err`: why they mean nothing. `units`: the names of
    /// all units.
    pub(in crate::server) fn select(
        &self,
        collect: &[String],
        exclude: &[String],
        units: &[Arc<str>],
    ) -> Result<Selection, String> {
        let (wanted, selection) = match (collect, exclude) {
            ([], []) => return Ok(Selection::All),
            (collect, []) => (collect, Selection::Only(collect.to_vec())),
            ([], exclude) => (exclude, Selection::Without(exclude.to_vec())),
            _ => return Err("Combined collect and exclude queries are not allowed.".to_owned()),
        };
        let mut known = self.names();
        known.extend(units.iter().map(ToString::to_string));
        match wanted.iter().find(|name| !known.contains(name)) {
            Some(unknown) => {
                let hint = hint(unknown, &known);
                Err(format!("missing collector: {unknown}{hint}"))
            }
            None => Ok(selection),
        }
    }

    /// The collector of a probe's `module`: its name, or `unit/name`.
    pub(in crate::server) fn probed(&self, module: &str) -> Result<Arc<Collector>, FindError> {
        let all = self.all();
        let named = |collector: &&Arc<Collector>| {
            collector.name() == module || full_name(collector) == module
        };
        let found: Vec<&Arc<Collector>> = all.iter().filter(named).collect();
        let probed = found.iter().filter(|one| one.config().mode.probed());
        let probed: Vec<&&Arc<Collector>> = probed.collect();
        match (probed.as_slice(), found.as_slice()) {
            ([one], _) => Ok(Arc::clone(one)),
            ([], []) => {
                let probed = all.iter().filter(|one| one.config().mode.probed());
                let names: Vec<String> = probed.map(|one| one.name().to_owned()).collect();
                Err(FindError::Unknown {
                    hint: hint(module, &names),
                    name: module.to_owned(),
                })
            }
            ([], _) => Err(FindError::NotProbed(module.to_owned())),
            (several, _) => {
                let choices: Vec<String> = several.iter().map(|one| full_name(one)).collect();
                Err(FindError::Ambiguous {
                    name: module.to_owned(),
                    choices: choices.join(" or "),
                })
            }
        }
    }

    /// The collector that is probed under a path of its own.
    pub(in crate::server) fn by_path(&self, path: &str) -> Option<Arc<Collector>> {
        let all = self.all();
        let has_path = |one: &&Arc<Collector>| one.config().probe_path.as_deref() == Some(path);
        all.iter().find(has_path).map(Arc::clone)
    }

    /// Those that can be probed.
    pub(in crate::server) fn probes(&self) -> Vec<Arc<Collector>> {
        let mut all = self.all();
        all.retain(|collector| collector.config().mode.probed());
        all
    }

    /// Calls all collectors that are in /metrics, side by side, and gives each unit's families.
    /// What is not there at the deadline is left out.
    pub(in crate::server) async fn scrape(
        &self,
        deadline: Instant,
        selection: &Selection,
    ) -> Vec<(Arc<str>, Vec<Family>)> {
        let now = Instant::now();
        let reserve = deadline.saturating_duration_since(now) / RESERVE_PART;
        let deadline = deadline
            .checked_sub(reserve.min(MAX_RESERVE))
            .unwrap_or(deadline);
        let mut collectors = self.all();
        collectors.retain(|one| selection.has_collector(one.unit(), one.name()));
        let mut calls = JoinSet::new();
        for (index, collector) in collectors.iter().enumerate() {
            for (target_index, target) in collector.targets().iter().enumerate() {
                let (collector, target) = (Arc::clone(collector), target.clone());
                calls.spawn(async move {
                    let answer = collector.scrape(&target, deadline).await;
                    (index, target_index, answer)
                });
            }
        }
        let mut answers = Vec::new();
        while let Some(ended) = calls.join_next().await {
            if let Ok((index, target_index, Some(answer))) = ended {
                answers.push((index, target_index, answer));
            }
        }
        answers.sort_by_key(|(index, target_index, _)| (*index, *target_index));
        let mut parts = Vec::new();
        for (index, collector) in collectors.iter().enumerate() {
            let of_this = answers.iter().filter(|(of, ..)| *of == index);
            let families = joined(of_this.flat_map(|(.., answer)| &answer.families));
            if !families.is_empty() {
                parts.push((Arc::clone(collector.unit()), families));
            }
        }
        parts
    }

    /// Starts the background calls that are due. When there will be the next one; None: never.
    pub(super) fn poll(&self, now: Instant) -> Option<Instant> {
        let all = self.all();
        all.iter().filter_map(|one| one.poll(now)).min()
    }

    /// For the host's own metrics.
    pub(in crate::server) fn stats(&self) -> Vec<CollectorStats> {
        let now = Instant::now();
        self.all().iter().map(|one| one.stats(now)).collect()
    }
}

fn newest(versions: &[Weak<List>]) -> Option<Arc<List>> {
    versions.iter().rev().find_map(Weak::upgrade)
}

fn full_name(collector: &Collector) -> String {
    format!("{}/{}", collector.unit(), collector.name())
}

fn hint(name: &str, known: &[String]) -> String {
    nearest(name, known.iter().map(String::as_str))
        .map(|near| format!(", did you mean `{near}`?"))
        .unwrap_or_default()
}

/// One collector's families from several targets: those of one name become one. What cannot be
/// joined stays beside it, for `merge` to report.
fn joined<'a>(families: impl Iterator<Item = &'a Family>) -> Vec<Family> {
    let mut by_name: BTreeMap<&str, (&Arc<FamilyMeta>, Vec<Sample>)> = BTreeMap::new();
    let mut other = Vec::new();
    for family in families {
        let samples = || family.samples.clone().into_list();
        match by_name.get_mut(family.meta.name.as_str()) {
            None => {
                by_name.insert(&family.meta.name, (&family.meta, samples()));
            }
            Some((meta, joined)) if **meta == family.meta => joined.append(&mut samples()),
            Some(_) => other.push(family.clone()),
        }
    }
    let joined = by_name.into_values().map(|(meta, mut samples)| {
        // The labels of two targets differ in the target's.
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        Family {
            meta: Arc::clone(meta),
            samples: samples.into(),
        }
    });
    joined.chain(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_probe_is_at_or_below_the_metrics() {
        let index = Index::new("/m".to_owned(), Handle::current());
        let below = "is below the path of the metrics, `/m`".to_owned();
        assert_eq!(index.reserved("/m/cpu"), Some(below));
        assert!(index.reserved("/m").is_some());
        assert_eq!(index.reserved("/mm"), None);
        assert_eq!(index.reserved("/a/m"), None);
    }
}
