//! The lines that a plugin writes into the host's log.

use std::sync::Arc;

use super::HostState;
use crate::plugin::bindings::exporter::plugin::log::{Host, Level};
use crate::plugin::budget::LogBudget;
use crate::plugin::capture::LogCapture;
use crate::plugin::stats::PluginStats;

/// Longest log line taken from a plugin, in bytes.
pub(super) const MAX_LINE: usize = 4096;

/// Where the lines of one instance go.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    pub(super) plugin: Arc<str>,
    pub(super) budget: Arc<LogBudget>,
    pub(super) stats: Arc<PluginStats>,
    /// Gets them all besides the log.
    pub(super) capture: Option<Arc<LogCapture>>,
}

impl Host for HostState {
    fn write(&mut self, level: Level, message: String) {
        self.lines.write(level, &message);
    }
}

impl Lines {
    /// Writes one line, unless it repeats a warning or the budget has none left.
    pub(super) fn write(&self, level: Level, message: &str) {
        if let Some(capture) = &self.capture {
            capture.push(name(level), &bounded(message).escape_debug().to_string());
        }
        // Lines that nobody will see must not use up the budget of those that count.
        let wanted = match level {
            Level::Error => tracing::enabled!(tracing::Level::ERROR),
            Level::Warn => tracing::enabled!(tracing::Level::WARN),
            Level::Info => tracing::enabled!(tracing::Level::INFO),
            Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        };
        if !wanted {
            return;
        }
        let repeats = matches!(level, Level::Error | Level::Warn) && !self.budget.is_news(message);
        let taken = if repeats { None } else { self.budget.take() };
        let Some(suppressed) = taken else {
            self.stats.line_suppressed();
            return;
        };
        let message = bounded(message);
        let plugin = &*self.plugin;
        let suppressed = (suppressed > 0).then_some(suppressed);
        match level {
            Level::Error => tracing::error!(plugin, suppressed, "{message}"),
            Level::Warn => tracing::warn!(plugin, suppressed, "{message}"),
            Level::Info => tracing::info!(plugin, suppressed, "{message}"),
            Level::Debug => tracing::debug!(plugin, suppressed, "{message}"),
            Level::Trace => tracing::trace!(plugin, suppressed, "{message}"),
        }
    }
}

/// The log escapes what could forge a line.
fn bounded(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_LINE)]
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}
