//! Families with labels whose series can be dropped again when what they are about is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

pub(super) type Seconds = Counter<f64, AtomicU64>;
pub(super) type FloatGauge = Gauge<f64, AtomicU64>;
/// For sizes and counts.
pub(super) type UintGauge = Gauge<u64, AtomicU64>;

type LabelSet = Vec<(&'static str, String)>;

/// A family by label values; the first label says whose a series is.
#[derive(Debug)]
pub(super) struct Labelled<M> {
    family: Family<LabelSet, M>,
    names: &'static [&'static str],
    /// First label's value -> all its label sets: the family itself cannot be asked.
    owners: Arc<Mutex<HashMap<String, Vec<LabelSet>>>>,
}

impl<M: Default + Clone> Labelled<M> {
    fn new(names: &'static [&'static str]) -> Self {
        Self {
            family: Family::default(),
            names,
            owners: Arc::default(),
        }
    }

    /// The series of these label values, made at 0 if it is new. The handle stays valid, and cheap, as long as it is kept.
    pub(super) fn of(&self, values: &[&str]) -> M {
        let values = values.iter().map(|value| (*value).to_owned());
        let labels: LabelSet = self.names.iter().copied().zip(values).collect();
        if let Some(known) = self.family.get(&labels) {
            return known.clone();
        }
        let owner = labels
            .first()
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        let mut owners = self.owners.lock();
        let owned = owners.entry(owner).or_default();
        if !owned.contains(&labels) {
            owned.push(labels.clone());
        }
        self.family.get_or_create_owned(&labels)
    }

    /// Drops all series whose first label has this value.
    pub(super) fn forget(&self, owner: &str) {
        let mut owners = self.owners.lock();
        for labels in owners.remove(owner).unwrap_or_default() {
            self.family.remove(&labels);
        }
    }
}

/// Registers metrics under their full names; the unit is read off the name.
pub(super) struct Registrar<'a>(pub(super) &'a mut Registry);

impl Registrar<'_> {
    /// `name` without `_total`; `help` without the full stop: prometheus-client adds both.
    pub(super) fn labelled<M>(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
    ) -> Labelled<M>
    where
        M: Default + Clone + EncodeMetric + TypedMetric + std::fmt::Debug + Send + Sync + 'static,
    {
        let labelled = Labelled::new(labels);
        self.add(name, help, labelled.family.clone());
        labelled
    }

    pub(super) fn single<M>(&mut self, name: &str, help: &str) -> M
    where
        M: Default + Clone + EncodeMetric + TypedMetric + std::fmt::Debug + Send + Sync + 'static,
    {
        let metric = M::default();
        self.add(name, help, metric.clone());
        metric
    }

    fn add(&mut self, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
        let units = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
        let unit = units.into_iter().find_map(|(suffix, unit)| {
            name.strip_suffix(suffix)
                .map(|without_unit| (without_unit, unit))
        });
        match unit {
            Some((name, unit)) => self.0.register_with_unit(name, help, unit, metric),
            None => self.0.register(name, help, metric),
        }
    }
}
