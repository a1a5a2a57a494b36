//! The host's own families: metrics that anybody can update at any time, read into the family model
//! by each scrape.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use crate::exposition::{Family, FamilyMeta, Kind, LabelTemplate, Number, Sample, Value};

pub(super) type Seconds = Counter<f64, AtomicU64>;
pub(super) type FloatGauge = Gauge<f64, AtomicU64>;
/// For sizes and counts.
pub(super) type UintGauge = Gauge<u64, AtomicU64>;

/// A metric whose clones are handles of the same number.
pub(super) trait Metric: Default + Clone + Debug + Send + Sync + 'static {
    const KIND: Kind;
    fn number(&self) -> Number;
}

/// Gives families as of now; those without samples are left out of a scrape.
pub(super) trait Source: Debug + Send + Sync + 'static {
    fn families(&self) -> Vec<Family>;
}

#[derive(Debug, Default)]
pub(super) struct Registry(Vec<(Detail, Box<dyn Source>)>);

/// Whether a family is for everybody, or only with `--web.detailed-exporter-metrics`: what a unit
/// or a plugin costs, and of which part of it, is of interest to whoever looks for a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Always,
    Detailed,
}

/// A family by label values; the first label says whose a series is, and its series can be dropped
/// when that is gone.
#[derive(Debug, Clone)]
pub(super) struct Labelled<M>(Arc<Store<M>>);

#[derive(Debug)]
struct Store<M> {
    meta: Arc<FamilyMeta>,
    labels: LabelTemplate,
    /// By the first label's value, then by label block.
    series: RwLock<BTreeMap<String, BTreeMap<Arc<str>, M>>>,
}

/// A family of one series without labels.
#[derive(Debug)]
struct Single<M> {
    meta: Arc<FamilyMeta>,
    metric: M,
}

/// A family of these samples.
pub(super) fn family(
    meta: Arc<FamilyMeta>,
    samples: impl IntoIterator<Item = (Arc<str>, Number)>,
) -> Family {
    let samples = samples
        .into_iter()
        .map(|(labels, number)| Sample::new(labels, Value::Number(number)));
    let mut samples: Vec<Sample> = samples.collect();
    samples.sort_by(|a, b| a.labels.cmp(&b.labels));
    samples.dedup_by(|a, b| a.labels == b.labels);
    Family {
        meta,
        samples: samples.into(),
    }
}

/// The head of a family, by its full name.
pub(super) fn head(name: &str, help: &str, kind: Kind) -> Arc<FamilyMeta> {
    Arc::new(FamilyMeta {
        name: name.to_owned(),
        help: help.to_owned(),
        unit: String::new(),
        kind,
    })
}

// === impl Registry ===

impl Registry {
    /// `name` without `_total`, which counters get; `help` without the full stop. The unit is read
    /// off the name.
    pub(super) fn labelled<M: Metric>(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
    ) -> Labelled<M> {
        let labelled = Labelled(Arc::new(Store {
            meta: head_of::<M>(name, help),
            labels: LabelTemplate::new(labels),
            series: RwLock::default(),
        }));
        self.add(labelled.clone());
        labelled
    }

    /// See `labelled`, of a detail.
    pub(super) fn detailed<M: Metric>(
        &mut self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
    ) -> Labelled<M> {
        let labelled = self.labelled(name, help, labels);
        if let Some((detail, _)) = self.0.last_mut() {
            *detail = Detail::Detailed;
        }
        labelled
    }

    /// See `labelled`.
    pub(super) fn single<M: Metric>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.add(Single {
            meta: head_of::<M>(name, help),
            metric: metric.clone(),
        });
        metric
    }

    pub(super) fn add(&mut self, source: impl Source) {
        self.0.push((Detail::Always, Box::new(source)));
    }

    pub(super) fn add_detail(&mut self, source: impl Source) {
        self.0.push((Detail::Detailed, Box::new(source)));
    }

    /// `detailed`: those that are a detail, too.
    pub(super) fn families(&self, detailed: bool) -> Vec<Family> {
        let shown = self
            .0
            .iter()
            .filter(|(detail, _)| detailed || *detail == Detail::Always);
        let families = shown.flat_map(|(_, source)| source.families());
        families
            .filter(|family| !family.samples.is_empty())
            .collect()
    }
}

fn head_of<M: Metric>(name: &str, help: &str) -> Arc<FamilyMeta> {
    let units = ["seconds", "bytes"].into_iter();
    let mut units = units.filter(|unit| {
        let rest = name.strip_suffix(unit);
        rest.is_some_and(|rest| rest.ends_with('_'))
    });
    let suffix = match M::KIND {
        Kind::Counter => "_total",
        _ => "",
    };
    Arc::new(FamilyMeta {
        name: format!("{name}{suffix}"),
        // ebpf_exporter's have none.
        help: if name.starts_with("ebpf_exporter_") {
            help.to_owned()
        } else {
            format!("{help}.")
        },
        unit: units.next().unwrap_or_default().to_owned(),
        kind: M::KIND,
    })
}

// === impl Labelled ===

impl<M: Metric> Labelled<M> {
    /// The series of these label values, made at 0 if it is new. The handle stays valid, and cheap,
    /// as long as it is kept.
    pub(super) fn of(&self, values: &[&str]) -> M {
        let store = &*self.0;
        let value = |index| values.get(index).copied().unwrap_or_default();
        let mut block = String::new();
        store.labels.render_into(&mut block, value);
        let owner = value(0);
        if let Some(known) = store
            .series
            .read()
            .get(owner)
            .and_then(|of_owner| of_owner.get(block.as_str()))
        {
            return known.clone();
        }
        let mut series = store.series.write();
        let of_owner = series.entry(owner.to_owned()).or_default();
        of_owner.entry(block.into()).or_default().clone()
    }

    /// The metrics by the first label's value, and by label block.
    pub(super) fn by_owner<T>(&self, look: impl Fn(&str, &BTreeMap<Arc<str>, M>) -> T) -> Vec<T> {
        let series = self.0.series.read();
        let owners = series.iter();
        owners
            .map(|(owner, metrics)| look(owner, metrics))
            .collect()
    }

    /// Drops all series whose first label has this value.
    pub(super) fn forget(&self, owner: &str) {
        self.0.series.write().remove(owner);
    }
}

impl<M: Metric> Source for Labelled<M> {
    fn families(&self) -> Vec<Family> {
        let series = self.0.series.read();
        let samples = series
            .values()
            .flatten()
            .map(|(labels, metric)| (Arc::clone(labels), metric.number()));
        vec![family(Arc::clone(&self.0.meta), samples)]
    }
}

impl<M: Metric> Source for Single<M> {
    fn families(&self) -> Vec<Family> {
        let sample = ("".into(), self.metric.number());
        vec![family(Arc::clone(&self.meta), [sample])]
    }
}

/// One that never changes.
impl Source for Family {
    fn families(&self) -> Vec<Family> {
        vec![self.clone()]
    }
}

impl Metric for Counter {
    const KIND: Kind = Kind::Counter;

    fn number(&self) -> Number {
        Number::Unsigned(self.get())
    }
}

impl Metric for Seconds {
    const KIND: Kind = Kind::Counter;

    fn number(&self) -> Number {
        Number::Float(self.get())
    }
}

impl Metric for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn number(&self) -> Number {
        Number::Signed(self.get())
    }
}

impl Metric for FloatGauge {
    const KIND: Kind = Kind::Gauge;

    fn number(&self) -> Number {
        Number::Float(self.get())
    }
}

impl Metric for UintGauge {
    const KIND: Kind = Kind::Gauge;

    fn number(&self) -> Number {
        Number::Unsigned(self.get())
    }
}
