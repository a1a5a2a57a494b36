//! Entering what a scrape did into the host's own metrics and log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::bpf::Attached;
use crate::telemetry::{ProgramStats, RateLimit, Stage, UnitTelemetry};
use crate::unit::{Running, UnitScrape};

/// Between two log lines about the same thing.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What was entered of a unit so far, where totals are given.
pub(super) struct Account {
    name: Arc<str>,
    /// What was entered so far, where the kernel or a thread gives totals: by map and kind.
    entered: HashMap<(Arc<str>, &'static str), u64>,
}

impl Account {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            entered: HashMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn enter(&mut self, scrape: &UnitScrape, unit: &UnitTelemetry, limit: &RateLimit) {
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
                self.complain(limit, decoder, || {
                    format!(
                        "metric {}: {decoder} leaves rows out: {message}",
                        metric.metric
                    )
                });
            }
            if walked.postponed > 0 {
                unit.errors("postponed", walked.postponed);
                self.complain(limit, "postponed", || {
                    format!(
                        "metric {}: decoding took too long for the scrape's deadline: {} new rows wait for the next scrape",
                        metric.metric, walked.postponed
                    )
                });
            }
            for (decoder, error) in &walked.failed {
                unit.errors("plugin", 1);
                self.complain(limit, decoder, || {
                    format!(
                        "metric {}: {decoder} gave no answer, new rows are left out: {error}",
                        metric.metric
                    )
                });
            }
        }
        unit.set_rows(rows as u64);
        for (map, error) in &scrape.read_errors {
            unit.errors("read", 1);
            self.complain(limit, map, || error.to_string());
        }
        for fill in &scrape.maps {
            if let Some(max_entries) = fill.max_entries {
                unit.map_fill(&fill.map, fill.entries as u64, max_entries as u64);
            }
            if !fill.complete {
                unit.errors("incomplete-walk", 1);
                self.complain(limit, &fill.map, || {
                    format!("map {} changes faster than it can be walked", fill.map)
                });
            }
            if let Some(samples) = fill.samples {
                let lost = self.new_since(&fill.map, "lost", samples.lost);
                unit.lost_samples(&fill.map, lost);
                let short = self.new_since(&fill.map, "short-sample", samples.short);
                unit.errors("short-sample", short);
                let over = self.new_since(&fill.map, "sample-overflow", samples.overflowed);
                unit.errors("sample-overflow", over);
            }
        }
        let refused = self.new_since(&Arc::from(""), "cgroup-id-map", scrape.cgroup_errors);
        unit.errors("cgroup-id-map", refused);
    }

    fn new_since(&mut self, map: &Arc<str>, kind: &'static str, total: u64) -> u64 {
        let before = self.entered.insert((Arc::clone(map), kind), total);
        total.saturating_sub(before.unwrap_or(0))
    }

    /// The unit did not answer in time.
    pub(super) fn late(&self, unit: &UnitTelemetry, limit: &RateLimit) {
        unit.errors("deadline", 1);
        self.complain(limit, "deadline", || {
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
        self.complain(limit, "clash", || sentence.to_owned());
    }

    fn complain(&self, limit: &RateLimit, kind: &str, sentence: impl FnOnce() -> String) {
        if let Some(held_back) = limit.allow(&format!("{} {kind}", self.name)) {
            tracing::warn!(config = &*self.name, held_back, "{}", sentence());
        }
    }
}

pub(super) fn log_limit() -> RateLimit {
    RateLimit::every(LOG_INTERVAL)
}

/// The programs of a unit as the kernel has them now.
pub(super) fn programs(config: &str, unit: &Running, counted: bool) -> Vec<ProgramStats> {
    let stats = if counted {
        unit.run_stats()
    } else {
        Vec::new()
    };
    let program = |program: &crate::bpf::ProgramStatus| {
        let id = program.id?;
        let run = stats.iter().find(|stats| stats.id == id);
        Some(ProgramStats {
            config: config.to_owned(),
            program: program.name.clone(),
            tag: program.tag.clone().unwrap_or_default(),
            id,
            attached: program.attached == Attached::Yes,
            run_time_ns: run.map(|stats| stats.run_time_ns),
            run_count: run.map(|stats| stats.run_cnt),
        })
    };
    unit.programs().iter().filter_map(program).collect()
}

/// Whether the kernel counts what programs cost (`sysctl kernel.bpf_stats_enabled`).
pub(super) fn kernel_counts() -> bool {
    std::fs::read("/proc/sys/kernel/bpf_stats_enabled")
        .is_ok_and(|text| text.first() == Some(&b'1'))
}
