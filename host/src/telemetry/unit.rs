//! A unit's own metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::registry::{FloatGauge, Labelled, Registry, Seconds, Source, UintGauge, family, head};
use crate::exposition::{Family, FamilyMeta, Kind, Number, label_block};
use crate::link::{LoadFigures, ProgramCounts, UnitPhase};

/// Which part of a unit's scrape took the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Walking the maps.
    Read,
    /// Asking plugins what keys mean.
    Decode,
    /// Making samples of rows.
    Render,
}

/// The families that have series for each unit.
#[derive(Debug)]
pub(super) struct UnitFamilies {
    enabled: Labelled<Gauge>,
    state: Labelled<Gauge>,
    programs: Labelled<UintGauge>,
    load_successful: Labelled<Gauge>,
    load_success_time: Labelled<FloatGauge>,
    load_duration: Labelled<FloatGauge>,
    restarts: Labelled<Counter>,
    scrape_seconds: Labelled<Seconds>,
    rows: Labelled<UintGauge>,
    decodes: Labelled<Counter>,
    hits: Labelled<Counter>,
    evictions: Labelled<Counter>,
    errors: Labelled<Counter>,
    decoder_errors: Labelled<Counter>,
    all_decoder_errors: Labelled<Counter>,
    over_limit: Labelled<Counter>,
    out_of_range: Labelled<Counter>,
    metric_left_out: Labelled<Counter>,
    lost: Labelled<Counter>,
    entries: Labelled<UintGauge>,
    max_entries: Labelled<UintGauge>,
}

/// One unit's handle: updates are an atomic addition, except those by kind, decoder or map, which
/// look their series up.
#[derive(Debug)]
pub(crate) struct UnitTelemetry {
    config: String,
    families: Arc<UnitFamilies>,
    load_successful: Gauge,
    load_duration: FloatGauge,
    restarts: Counter,
    read: Seconds,
    decode: Seconds,
    render: Seconds,
    rows: UintGauge,
    decodes: Counter,
    hits: Counter,
    evictions: Counter,
    all_decoder_errors: Counter,
}

impl UnitFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        const CONFIG: &[&str] = &["config"];
        const MAP: &[&str] = &["config", "map"];
        let families = Self {
            enabled: registry.labelled("ebpf_exporter_enabled_configs", "The set of enabled configs", &["name"]),
            state: registry.labelled("exporter_host_unit_state", "What the unit does: 0 failed, 1 running, 2 starting, 3 stopping, 4 stopped until it is asked for, 5 skipped as it is not for this kernel, 6 degraded: it runs, but programs are not attached or metrics are left out", CONFIG),
            programs: registry.labelled("exporter_host_unit_programs", "Programs of the unit: attached, failed to attach, or disabled", &["config", "state"]),
            load_successful: registry.labelled("exporter_host_unit_last_load_successful", "Whether the unit's last load or reload succeeded; if not, its previous version stays in service where there is one", CONFIG),
            load_success_time: registry.detailed("exporter_host_unit_last_load_success_timestamp_seconds", "When the unit was last loaded successfully", CONFIG),
            load_duration: registry.detailed("exporter_host_unit_last_load_duration_seconds", "How long the unit's last load took, attaching included", CONFIG),
            restarts: registry.labelled("exporter_host_unit_restarts", "Retries of the unit, or of its programs that are not attached, after a failure", CONFIG),
            scrape_seconds: registry.detailed("exporter_host_unit_scrape_seconds", "Time spent on the unit in scrapes: reading maps, decoding keys in plugins, rendering samples", &["config", "stage"]),
            rows: registry.detailed("exporter_host_unit_rows", "Rows in the unit's caches: map keys with their rendered labels", CONFIG),
            decodes: registry.detailed("exporter_host_unit_decodes", "Keys passed to plugins for decoding", CONFIG),
            hits: registry.detailed("exporter_host_unit_row_cache_hits", "Keys whose row was in the cache, so that no plugin was called", CONFIG),
            evictions: registry.detailed("exporter_host_unit_row_cache_evictions", "Rows evicted from the cache because their keys were not seen for some scrapes or it was full", CONFIG),
            errors: registry.detailed("exporter_host_errors", "Errors of the unit, by kind; the log has the details", &["config", "kind"]),
            decoder_errors: registry.detailed("exporter_host_decoder_errors", "Keys that a decoder could not decode; their rows are left out", &["config", "decoder"]),
            all_decoder_errors: registry.labelled("ebpf_exporter_decoder_errors", "How many times has decoders encountered errors", CONFIG),
            over_limit: registry.detailed("exporter_host_series_over_limit", "Keys beyond the metric's max_series; their values are added to the series whose labels are all `other`", &["config", "metric"]),
            out_of_range: registry.detailed("exporter_host_histogram_keys_out_of_range", "Keys of a histogram's map that belong to none of its buckets, each counted when it is first seen; they are left out", &["config", "metric"]),
            metric_left_out: registry.labelled("exporter_host_metric_left_out", "Scrapes without a metric since a part of its numbers was not known, by reason: `waiting` (keys that were shown before are not decoded again yet), `incomplete-walk`, `read-error`", &["config", "metric", "reason"]),
            lost: registry.detailed("exporter_host_lost_samples", "Samples of a perf event array that the kernel dropped because its buffer was full", MAP),
            entries: registry.detailed("exporter_host_map_entries", "Entries in the BPF map when it was last read", MAP),
            max_entries: registry.detailed("exporter_host_map_max_entries", "Maximum number of entries of the BPF map", MAP),
        };
        let sum = |name, help, of: &[&Labelled<Counter>]| Sum {
            meta: head(name, help, Kind::Counter),
            units: families.state.clone(),
            of: of.iter().map(|&one| one.clone()).collect(),
        };
        registry.add(sum(
            "exporter_host_unit_errors_total",
            "Errors of the unit, and keys that no decoder could decode; --web.detailed-exporter-metrics and the log say which.",
            &[&families.errors, &families.decoder_errors],
        ));
        registry.add(sum(
            "exporter_host_unit_series_over_limit_total",
            "Keys beyond max_series of the unit's metrics.",
            &[&families.over_limit],
        ));
        registry.add(sum(
            "exporter_host_unit_lost_samples_total",
            "Samples of the unit that the kernel dropped because a buffer was full.",
            &[&families.lost],
        ));
        registry.add(FullestMap {
            meta: head(
                "exporter_host_unit_map_fill_ratio",
                "How full the fullest map of the unit was when it was last read, from 0 to 1.",
                Kind::Gauge,
            ),
            entries: families.entries.clone(),
            max_entries: families.max_entries.clone(),
        });
        families
    }

    /// The handle of a unit; its series start at 0, or go on if they are there.
    pub(super) fn unit(self: Arc<Self>, config: &str) -> UnitTelemetry {
        let of = [config];
        self.enabled.of(&of).set(1);
        UnitTelemetry {
            config: config.to_owned(),
            load_successful: self.load_successful.of(&of),
            load_duration: self.load_duration.of(&of),
            restarts: self.restarts.of(&of),
            read: self.scrape_seconds.of(&[config, "read"]),
            decode: self.scrape_seconds.of(&[config, "decode"]),
            render: self.scrape_seconds.of(&[config, "render"]),
            rows: self.rows.of(&of),
            decodes: self.decodes.of(&of),
            hits: self.hits.of(&of),
            evictions: self.evictions.of(&of),
            all_decoder_errors: self.all_decoder_errors.of(&of),
            families: self,
        }
    }

    pub(super) fn forget(&self, config: &str) {
        self.enabled.forget(config);
        self.state.forget(config);
        self.programs.forget(config);
        self.load_successful.forget(config);
        self.load_success_time.forget(config);
        self.load_duration.forget(config);
        self.restarts.forget(config);
        self.scrape_seconds.forget(config);
        self.rows.forget(config);
        self.decodes.forget(config);
        self.hits.forget(config);
        self.evictions.forget(config);
        self.errors.forget(config);
        self.decoder_errors.forget(config);
        self.all_decoder_errors.forget(config);
        self.over_limit.forget(config);
        self.out_of_range.forget(config);
        self.metric_left_out.forget(config);
        self.lost.forget(config);
        self.forget_maps(config);
    }

    fn forget_maps(&self, config: &str) {
        self.entries.forget(config);
        self.max_entries.forget(config);
    }
}

/// Of each unit, what these families count together.
#[derive(Debug)]
struct Sum {
    meta: Arc<FamilyMeta>,
    /// Has all of them.
    units: Labelled<Gauge>,
    of: Vec<Labelled<Counter>>,
}

impl Source for Sum {
    fn families(&self) -> Vec<Family> {
        let units = self.units.by_owner(|unit, _| (unit.to_owned(), 0));
        let mut sums: BTreeMap<String, u64> = units.into_iter().collect();
        for family in &self.of {
            let sums_of = |owner: &str, metrics: &BTreeMap<Arc<str>, Counter>| {
                let sum: u64 = metrics.values().map(Counter::get).sum();
                (owner.to_owned(), sum)
            };
            for (owner, sum) in family.by_owner(sums_of) {
                *sums.entry(owner).or_default() += sum;
            }
        }
        let samples = sums
            .iter()
            .map(|(unit, sum)| (label_block(&[("config", unit)]), Number::Unsigned(*sum)));
        vec![family(Arc::clone(&self.meta), samples)]
    }
}

#[derive(Debug)]
struct FullestMap {
    meta: Arc<FamilyMeta>,
    entries: Labelled<UintGauge>,
    max_entries: Labelled<UintGauge>,
}

impl Source for FullestMap {
    fn families(&self) -> Vec<Family> {
        type Maps = BTreeMap<Arc<str>, UintGauge>;
        let rooms: BTreeMap<Arc<str>, u64> = self
            .max_entries
            .by_owner(|_, maps: &Maps| -> Vec<(Arc<str>, u64)> {
                let rooms = maps.iter();
                rooms
                    .map(|(map, room)| (Arc::clone(map), room.get()))
                    .collect()
            })
            .into_iter()
            .flatten()
            .collect();
        let samples = self.entries.by_owner(|unit, maps: &Maps| {
            let fills = maps.iter().filter_map(|(map, entries)| {
                let room = rooms.get(map).filter(|room| **room > 0)?;
                Some(entries.get() as f64 / *room as f64)
            });
            let fullest = fills.fold(0.0, f64::max);
            (label_block(&[("config", unit)]), Number::Float(fullest))
        });
        vec![family(Arc::clone(&self.meta), samples)]
    }
}

impl UnitTelemetry {
    pub(crate) fn set_phase(&self, phase: UnitPhase) {
        let series = self.families.state.of(&[&self.config]);
        series.set(phase.number());
    }

    /// Of the version in service.
    pub(crate) fn set_programs(&self, counts: ProgramCounts) {
        for (state, programs) in [
            ("attached", counts.attached),
            ("failed", counts.failed),
            ("disabled", counts.disabled),
        ] {
            let series = self.families.programs.of(&[&self.config, state]);
            series.set(programs);
        }
    }

    /// How the last load or reload went.
    pub(crate) fn set_load(&self, load: &LoadFigures) {
        let Some(successful) = load.successful else {
            return;
        };
        self.load_successful.set(successful.into());
        self.load_duration.set(load.duration.as_secs_f64());
        if let Some(time) = load.last_success {
            let series = self.families.load_success_time.of(&[&self.config]);
            series.set(time);
        }
    }

    /// Attempts after failures so far. The total is the loader's, which counts them.
    pub(crate) fn set_restarts(&self, total: u64) {
        self.restarts.inner().store(total, Ordering::Relaxed);
    }

    /// Nothing of the unit is in the kernel any more. Its counters stay: they go on when it comes
    /// back.
    pub(crate) fn emptied(&self) {
        self.rows.set(0);
        self.families.forget_maps(&self.config);
    }

    pub(crate) fn spent(&self, stage: Stage, time: Duration) {
        let series = match stage {
            Stage::Read => &self.read,
            Stage::Decode => &self.decode,
            Stage::Render => &self.render,
        };
        series.inc_by(time.as_secs_f64());
    }

    pub(crate) fn set_rows(&self, rows: u64) {
        self.rows.set(rows);
    }

    /// Keys that a plugin was asked about.
    pub(crate) fn decoded(&self, keys: u64) {
        self.decodes.inc_by(keys);
    }

    /// Keys whose row was known.
    pub(crate) fn cache_hits(&self, keys: u64) {
        self.hits.inc_by(keys);
    }

    pub(crate) fn cache_evictions(&self, rows: u64) {
        self.evictions.inc_by(rows);
    }

    /// `kind` is one of a few fixed words, never text from outside.
    pub(crate) fn errors(&self, kind: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        self.families.errors.of(&[&self.config, kind]).inc_by(count);
    }

    /// Counts in `ebpf_exporter_decoder_errors_total` as well.
    pub(crate) fn decoder_errors(&self, decoder: &str, keys: u64) {
        self.families
            .decoder_errors
            .of(&[&self.config, decoder])
            .inc_by(keys);
        self.all_decoder_errors.inc_by(keys);
    }

    /// Keys over a metric's `max_series`.
    pub(crate) fn over_limit(&self, metric: &str, keys: u64) {
        let series = self.families.over_limit.of(&[&self.config, metric]);
        series.inc_by(keys);
    }

    /// New keys that belong to no bucket of a histogram.
    pub(crate) fn out_of_range(&self, metric: &str, keys: u64) {
        let series = self.families.out_of_range.of(&[&self.config, metric]);
        series.inc_by(keys);
    }

    /// A metric is not part of a scrape. `reason` is one of a few fixed words.
    pub(crate) fn metric_left_out(&self, metric: &str, reason: &'static str) {
        let of = [self.config.as_str(), metric, reason];
        self.families.metric_left_out.of(&of).inc();
    }

    pub(crate) fn lost_samples(&self, map: &str, samples: u64) {
        self.families.lost.of(&[&self.config, map]).inc_by(samples);
    }

    pub(crate) fn map_fill(&self, map: &str, entries: u64, max_entries: u64) {
        self.families.entries.of(&[&self.config, map]).set(entries);
        self.families
            .max_entries
            .of(&[&self.config, map])
            .set(max_entries);
    }
}
