//! A plugin's metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;

use super::registry::{Labelled, Registry, Seconds, UintGauge};

#[derive(Debug)]
pub(super) struct PluginFamilies {
    calls: Labelled<Counter>,
    seconds: Labelled<Seconds>,
    rows: Labelled<Counter>,
    traps: Labelled<Counter>,
    restarts: Labelled<Counter>,
    memory: Labelled<UintGauge>,
    breakers: Labelled<UintGauge>,
    denied: Labelled<Counter>,
    suppressed_lines: Labelled<Counter>,
}

/// What a plugin has cost over some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct PluginCosts {
    pub(crate) calls: u64,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) restarts: u64,
    /// Bytes of linear memory: the most that one instance has had.
    pub(crate) memory_peak: u64,
    /// Calls without an answer by reason, which is one of a few fixed words.
    pub(crate) traps: Vec<(&'static str, u64)>,
    /// What it asked for and was not granted, by interface.
    pub(crate) denied: Vec<(&'static str, u64)>,
    /// Circuit breakers that are open now.
    pub(crate) open_breakers: u64,
    pub(crate) suppressed_lines: u64,
}

/// One plugin's handle.
#[derive(Debug)]
pub(crate) struct PluginTelemetry {
    plugin: String,
    families: Arc<PluginFamilies>,
    calls: Counter,
    seconds: Seconds,
    rows: Counter,
    restarts: Counter,
    memory: UintGauge,
    breakers: UintGauge,
    suppressed_lines: Counter,
}

impl PluginFamilies {
    pub(super) fn register(registry: &mut Registry) -> Self {
        const PLUGIN: &[&str] = &["plugin"];
        Self {
            calls: registry.detailed(
                "exporter_host_plugin_calls",
                "Calls into the plugin's component",
                PLUGIN,
            ),
            seconds: registry.detailed(
                "exporter_host_plugin_call_seconds",
                "Time spent in calls into the plugin's component",
                PLUGIN,
            ),
            rows: registry.detailed(
                "exporter_host_plugin_rows",
                "Rows passed to the plugin's component; equal cells are often passed once",
                PLUGIN,
            ),
            traps: registry.labelled(
                "exporter_host_plugin_traps",
                "Calls that ended in a trap or were stopped for a budget, by reason",
                &["plugin", "reason"],
            ),
            restarts: registry.labelled(
                "exporter_host_plugin_restarts",
                "Instances created to replace a discarded one",
                PLUGIN,
            ),
            memory: registry.detailed(
                "exporter_host_plugin_memory_peak_bytes",
                "Peak linear memory of an instance of the plugin",
                PLUGIN,
            ),
            breakers: registry.labelled(
                "exporter_host_plugin_open_breakers",
                "Circuit breakers currently open, at most one per unit",
                PLUGIN,
            ),
            denied: registry.labelled(
                "exporter_host_plugin_denied",
                "Accesses that the plugin attempted and its sidecar does not grant, by interface; the log names each once",
                &["plugin", "interface"],
            ),
            suppressed_lines: registry.labelled(
                "exporter_host_plugin_log_lines_suppressed",
                "Log lines of the plugin that were not written: a warning is written once until it changes, and there are limits",
                PLUGIN,
            ),
        }
    }

    /// Drops all series of a plugin.
    pub(super) fn forget(&self, plugin: &str) {
        let Self {
            calls,
            seconds,
            rows,
            traps,
            restarts,
            memory,
            breakers,
            denied,
            suppressed_lines,
        } = self;
        for counter in [calls, rows, traps, restarts, denied, suppressed_lines] {
            counter.forget(plugin);
        }
        for gauge in [memory, breakers] {
            gauge.forget(plugin);
        }
        seconds.forget(plugin);
    }

    pub(super) fn plugin(self: Arc<Self>, plugin: &str) -> PluginTelemetry {
        let of = [plugin];
        PluginTelemetry {
            plugin: plugin.to_owned(),
            calls: self.calls.of(&of),
            seconds: self.seconds.of(&of),
            rows: self.rows.of(&of),
            restarts: self.restarts.of(&of),
            memory: self.memory.of(&of),
            breakers: self.breakers.of(&of),
            suppressed_lines: self.suppressed_lines.of(&of),
            families: self,
        }
    }
}

impl PluginTelemetry {
    /// Adds what the plugin has cost since the last time.
    pub(crate) fn add(&self, costs: &PluginCosts) {
        self.calls.inc_by(costs.calls);
        self.rows.inc_by(costs.rows);
        self.seconds.inc_by(costs.seconds);
        self.restarts.inc_by(costs.restarts);
        self.memory
            .inner()
            .fetch_max(costs.memory_peak, Ordering::Relaxed);
        for (reason, count) in &costs.traps {
            self.families
                .traps
                .of(&[&self.plugin, reason])
                .inc_by(*count);
        }
        self.breakers.set(costs.open_breakers);
        self.suppressed_lines.inc_by(costs.suppressed_lines);
        for (interface, count) in &costs.denied {
            self.families
                .denied
                .of(&[&self.plugin, interface])
                .inc_by(*count);
        }
    }
}
