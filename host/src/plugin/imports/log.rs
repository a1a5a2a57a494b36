//! The lines that a plugin writes into the host's log.

use super::HostState;
use crate::plugin::bindings::exporter::plugin::log;

/// Longest log line taken from a plugin, in bytes.
const MAX_LINE: usize = 4096;

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) {
        if let Some(capture) = &self.capture {
            capture.push(name(level), &cut(&message));
        }
        // Lines that nobody will see must not use up the budget of those that count.
        let wanted = match level {
            log::Level::Error => tracing::enabled!(tracing::Level::ERROR),
            log::Level::Warn => tracing::enabled!(tracing::Level::WARN),
            log::Level::Info => tracing::enabled!(tracing::Level::INFO),
            log::Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            log::Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        };
        if !wanted {
            return;
        }
        let Some(suppressed) = self.log_budget.take() else {
            return;
        };
        let message = cut(&message);
        let plugin = &*self.plugin;
        match level {
            log::Level::Error => tracing::error!(plugin, suppressed, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, suppressed, "{message}"),
            log::Level::Info => tracing::info!(plugin, suppressed, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, suppressed, "{message}"),
            log::Level::Trace => tracing::trace!(plugin, suppressed, "{message}"),
        }
    }
}

/// Bounded, and such that a plugin cannot forge log lines.
fn cut(message: &str) -> String {
    let mut end = message.len().min(MAX_LINE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].escape_debug().to_string()
}

fn name(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warn",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}
