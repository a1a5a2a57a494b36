//! Recording what a scrape did in the host's own metrics and log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::units::UnitScrape;
use crate::telemetry::{RateLimit, Stage, UnitTelemetry};

/// Between two log lines about the same thing.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What was recorded of a unit so far, where totals are given.
pub(super) struct ScrapeRecorder {
    name: Arc<str>,
    /// When the newest of the scrapes that were recorded has begun.
    newest: Option<Instant>,
    /// What was recorded so far, where a thread gives totals: by map and kind.
    recorded: HashMap<(Arc<str>, &'static str), u64>,
    /// Families of which it was said that an earlier unit has another help text.
    other_help: BTreeSet<String>,
}

impl ScrapeRecorder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            newest: None,
            recorded: HashMap::new(),
            other_help: BTreeSet::new(),
        }
    }

    /// The unit counts into other maps from now on: totals begin anew.
    pub(super) fn begin_anew(&mut self) {
        self.newest = Some(Instant::now());
        self.recorded.clear();
    }

    /// In any order: requests that overlap end as they like.
    pub(super) fn record(&mut self, scrape: &UnitScrape, unit: &UnitTelemetry, limit: &RateLimit) {
        let overtaken = self.newest.is_some_and(|newest| newest > scrape.begun);
        unit.spent(Stage::Read, scrape.read);
        unit.spent(Stage::Decode, scrape.decode);
        unit.spent(Stage::Render, scrape.render);
        let mut rows = 0;
        for metric in &scrape.metrics {
            let walked = &metric.walked;
            rows += metric.remembered;
            unit.decoded(walked.decoded);
            unit.cache_hits(walked.hits);
            unit.cache_evictions(walked.evicted);
            for (decoder, count) in &walked.left_out {
                unit.decoder_errors(decoder, *count);
            }
            for (decoder, message) in &walked.rejected {
                self.warn(limit, decoder, || {
                    format!(
                        "metric {}: {decoder} leaves rows out: {message}",
                        metric.metric
                    )
                });
            }
            if walked.over_limit > 0 {
                unit.over_limit(&metric.metric, walked.over_limit);
                self.warn(limit, "over limit", || {
                    format!(
                        "metric {}: more series than its max_series: those of {} further keys are added up under `other`",
                        metric.metric, walked.over_limit
                    )
                });
            }
            if walked.out_of_range > 0 {
                unit.out_of_range(&metric.metric, walked.out_of_range);
            }
            for misfit in &walked.misfits {
                tracing::warn!(config = &*self.name, "metric {}: {misfit}", metric.metric);
            }
            if let Some(why) = walked.unshown {
                let why = why.as_str();
                unit.metric_left_out(&metric.metric, why);
                self.warn(limit, why, || {
                    format!("metric {} is left out of this scrape: {why}", metric.metric)
                });
            }
            if walked.has_less {
                self.warn(limit, "less", || {
                    format!(
                        "metric {}: the value of a key has become less than it was, and is added to what the key had before: if the program decrements it, the metric is one of `gauges`, or wants `departed: drop`",
                        metric.metric
                    )
                });
            }
            if walked.postponed > 0 {
                unit.errors("postponed", walked.postponed);
                self.warn(limit, "postponed", || {
                    format!(
                        "metric {}: decoding took too long for the scrape's deadline, or failed too often: {} new rows wait for the next scrape",
                        metric.metric, walked.postponed
                    )
                });
            }
            for (decoder, error) in &walked.failed {
                unit.errors("plugin", 1);
                self.warn(limit, &format!("{decoder} fails"), || {
                    format!(
                        "metric {}: {decoder} gave no answer, new rows are left out: {error}",
                        metric.metric
                    )
                });
            }
        }
        if !overtaken {
            self.newest = Some(scrape.begun);
            unit.set_rows(rows as u64);
        }
        for (map, error) in &scrape.read_errors {
            unit.errors("read", 1);
            self.warn(limit, map, || error.to_string());
        }
        for fill in &scrape.maps {
            if let Some(max_entries) = fill.max_entries
                && !overtaken
            {
                unit.map_fill(&fill.map, fill.entries as u64, max_entries as u64);
            }
            if !fill.complete {
                unit.errors("incomplete-walk", 1);
                self.warn(limit, &fill.map, || {
                    format!("map {} changes faster than it can be walked", fill.map)
                });
            }
            if let Some(samples) = fill.samples
                && !overtaken
            {
                if let Some(lost) = samples.lost {
                    let lost = self.new_since(&fill.map, "lost", lost);
                    unit.lost_samples(&fill.map, lost);
                }
                let short = self.new_since(&fill.map, "short-sample", samples.short);
                unit.errors("short-sample", short);
                let over = self.new_since(&fill.map, "sample-overflow", samples.overflowed);
                unit.errors("sample-overflow", over);
                let damaged = self.new_since(&fill.map, "damaged-buffer", samples.damaged);
                unit.errors("damaged-buffer", damaged);
            }
        }
    }

    /// What a total has in it that was not recorded. One that is less than before began anew.
    fn new_since(&mut self, map: &Arc<str>, kind: &'static str, total: u64) -> u64 {
        let before = self.recorded.insert((Arc::clone(map), kind), total);
        match before {
            Some(before) if before <= total => total - before,
            _ => total,
        }
    }

    /// The unit did not answer in time.
    pub(super) fn late(&self, unit: &UnitTelemetry, limit: &RateLimit) {
        unit.errors("deadline", 1);
        self.warn(limit, "deadline", || {
            "the scrape's deadline passed before its maps were read: its series are left out"
                .to_owned()
        });
    }

    /// Some of its series are another unit's already.
    pub(super) fn clash(
        &self,
        unit: &UnitTelemetry,
        limit: &RateLimit,
        dropped: usize,
        sentence: &str,
    ) {
        unit.errors("clash", dropped as u64);
        self.warn(limit, "clash", || sentence.to_owned());
    }

    /// A family has another help text than that of an earlier unit. Said once.
    pub(super) fn other_help(&mut self, family: &str, earlier: &str) {
        if !self.other_help.contains(family) {
            self.other_help.insert(family.to_owned());
            tracing::warn!(
                config = &*self.name,
                "the help of {family} is another one in the unit {earlier}, whose is shown"
            );
        }
    }

    fn warn(&self, limit: &RateLimit, kind: &str, sentence: impl FnOnce() -> String) {
        if let Some(held_back) = limit.allow(&format!("{} {kind}", self.name)) {
            let held_back = (held_back > 0).then_some(held_back);
            tracing::warn!(config = &*self.name, held_back, "{}", sentence());
        }
    }
}

pub(super) fn log_limit() -> RateLimit {
    RateLimit::every(LOG_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::SampleStats;
    use crate::server::units::MapFill;
    use crate::telemetry::{BuildInfo, Telemetry};

    #[test]
    fn totals_are_counted_once_in_whatever_order_they_come() {
        let telemetry = Telemetry::new(BuildInfo::THIS);
        let (unit, limit) = (telemetry.unit("u"), log_limit());
        let mut recorder = ScrapeRecorder::new("u".into());
        let start = Instant::now();
        let mut record = |second: u64, lost: u64| {
            let mut scrape = UnitScrape::new(start + Duration::from_secs(second));
            scrape.maps.push(MapFill {
                map: "events".into(),
                entries: 0,
                complete: true,
                max_entries: None,
                samples: Some(SampleStats {
                    lost: Some(lost),
                    ..SampleStats::default()
                }),
            });
            recorder.record(&scrape, &unit, &limit);
            let mut text = String::new();
            let families = telemetry.families(true);
            crate::exposition::write(&mut text, &families, crate::exposition::Format::Text004);
            let series = "exporter_host_lost_samples_total{config=\"u\",map=\"events\"}";
            let value = text.lines().find_map(|line| line.strip_prefix(series));
            value.map_or(0, |value| value.trim().parse::<u64>().unwrap())
        };
        assert_eq!(record(1, 5), 5);
        assert_eq!(record(3, 12), 12);
        assert_eq!(record(2, 8), 12, "what the newer one had in it");
        assert_eq!(record(4, 13), 13);
        assert_eq!(record(5, 1), 14, "a new perf buffer");
    }
}
