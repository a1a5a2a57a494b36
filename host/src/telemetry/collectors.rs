//! Collectors: how their last calls went. Handed over as a whole for each scrape, so that what is
//! gone leaves nothing.

use std::sync::Arc;

use parking_lot::Mutex;

use super::registry::{Source, family, head};
use crate::exposition::{Family, Kind, Number, label_block};

/// One collector as of now.
#[derive(Debug, Clone)]
pub(crate) struct CollectorStats {
    pub(crate) config: String,
    pub(crate) collector: String,
    /// Those of the config; a probe's target is anybody's text and no label.
    pub(crate) targets: Vec<CollectorTarget>,
    /// Calls without an answer since the start by reason, which is one of a few fixed words.
    pub(crate) failures: Vec<(&'static str, u64)>,
}

/// The last call of a target.
#[derive(Debug, Clone)]
pub(crate) struct CollectorTarget {
    /// None: the collector has no targets.
    pub(crate) target: Option<String>,
    pub(crate) success: bool,
    pub(crate) seconds: f64,
    pub(crate) series: u64,
    /// Of the last good answer, in seconds, where the background asks.
    pub(crate) age: Option<f64>,
}

/// The collectors as of the last scrape.
#[derive(Debug, Clone, Default)]
pub(super) struct Collectors(pub(super) Arc<Mutex<Vec<CollectorStats>>>);

/// What their calls took and brought.
#[derive(Debug)]
pub(super) struct CollectorCosts(pub(super) Collectors);

type Targets<'a> = Vec<(Arc<str>, &'a CollectorTarget)>;

fn targets(collectors: &[CollectorStats]) -> Targets<'_> {
    let each = collectors
        .iter()
        .flat_map(|stats| stats.targets.iter().map(move |target| (stats, target)));
    each.map(|(stats, target)| (target_labels(stats, target), target))
        .collect()
}

fn gauge(
    targets: &[(Arc<str>, &CollectorTarget)],
    name: &str,
    help: &str,
    value: fn(&CollectorTarget) -> Option<Number>,
) -> Family {
    let samples = targets.iter().filter_map(|(labels, target)| {
        let value = value(target)?;
        Some((Arc::clone(labels), value))
    });
    family(head(name, help, Kind::Gauge), samples)
}

impl Source for CollectorCosts {
    fn families(&self) -> Vec<Family> {
        let collectors = self.0.0.lock().clone();
        let targets = targets(&collectors);
        vec![
            gauge(
                &targets,
                "exporter_host_collector_duration_seconds",
                "How long the collector's last call took, waiting included.",
                |target| Some(Number::Float(target.seconds)),
            ),
            gauge(
                &targets,
                "exporter_host_collector_samples",
                "Series returned by the collector's last call.",
                |target| Some(Number::Float(target.series as f64)),
            ),
        ]
    }
}

impl Source for Collectors {
    fn families(&self) -> Vec<Family> {
        let collectors = self.0.lock().clone();
        let targets = targets(&collectors);
        let failures = collectors.iter().flat_map(|stats| {
            let failures = stats.failures.iter();
            failures.map(move |(reason, count)| {
                let labels = [
                    ("config", stats.config.as_str()),
                    ("collector", &stats.collector),
                    ("reason", reason),
                ];
                (label_block(&labels), Number::Unsigned(*count))
            })
        });
        vec![
            gauge(
                &targets,
                "exporter_host_collector_success",
                "Whether the collector's last call succeeded.",
                |target| Some(Number::Float(target.success.into())),
            ),
            gauge(
                &targets,
                "exporter_host_collector_age_seconds",
                "Age of the last successful answer of a collector that is called in the background.",
                |target| target.age.map(Number::Float),
            ),
            family(
                head(
                    "exporter_host_collector_failures_total",
                    "Failed calls of the collector, probes included, by reason.",
                    Kind::Counter,
                ),
                failures,
            ),
        ]
    }
}

fn target_labels(stats: &CollectorStats, target: &CollectorTarget) -> Arc<str> {
    let mut labels = vec![
        ("config", stats.config.as_str()),
        ("collector", &stats.collector),
    ];
    if let Some(target) = &target.target {
        labels.push(("target", target));
    }
    label_block(&labels)
}
