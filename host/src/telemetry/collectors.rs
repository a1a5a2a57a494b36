//! Collectors: how their last calls went. Handed over as a whole for each scrape, so that what is gone leaves nothing.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

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

impl Collector for Collectors {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let collectors = self.0.lock().clone();
        let mut gauge = |name, help, value: fn(&CollectorTarget) -> Option<f64>| {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            each_target(&collectors, family, value)
        };
        gauge(
            "exporter_host_collector_success",
            "Whether the collector's last call succeeded.",
            |target| Some(f64::from(target.success)),
        )?;
        gauge(
            "exporter_host_collector_duration_seconds",
            "How long the collector's last call took, waiting included.",
            |target| Some(target.seconds),
        )?;
        gauge(
            "exporter_host_collector_samples",
            "Series returned by the collector's last call.",
            |target| Some(target.series as f64),
        )?;
        gauge(
            "exporter_host_collector_age_seconds",
            "Age of the last successful answer of a collector that is called in the background.",
            |target| target.age,
        )?;
        let mut failures = encoder.encode_descriptor(
            "exporter_host_collector_failures",
            "Failed calls of the collector, probes included, by reason.",
            None,
            MetricType::Counter,
        )?;
        for stats in &collectors {
            for (reason, count) in &stats.failures {
                let labels = [
                    ("config", stats.config.as_str()),
                    ("collector", &stats.collector),
                    ("reason", reason),
                ];
                ConstCounter::new(*count).encode(failures.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn each_target(
    collectors: &[CollectorStats],
    mut family: MetricEncoder<'_>,
    value: fn(&CollectorTarget) -> Option<f64>,
) -> fmt::Result {
    for stats in collectors {
        for target in &stats.targets {
            let Some(value) = value(target) else { continue };
            let mut labels = vec![
                ("config", stats.config.as_str()),
                ("collector", &stats.collector),
            ];
            if let Some(target) = &target.target {
                labels.push(("target", target));
            }
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}
