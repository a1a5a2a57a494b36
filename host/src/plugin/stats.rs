//! What a plugin costs, counted where it is called and read by the telemetry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::error::CallError;
use super::grants::Interface;

/// One plugin's counters, shared by all its instances.
#[derive(Debug, Default)]
pub(crate) struct PluginStats {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    rows: AtomicU64,
    restarts: AtomicU64,
    memory_high_water: AtomicU64,
    open_breakers: AtomicU64,
    suppressed_lines: AtomicU64,
    failures: Mutex<Vec<(&'static str, u64)>>,
    denied: Mutex<Vec<(&'static str, u64)>>,
}

/// A use of the plugin that is left alone for a while, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenBreaker(Arc<PluginStats>);

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) calls: u64,
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    /// Instances made after the first was thrown away.
    pub(crate) restarts: u64,
    /// Largest linear memory that one instance has had, in bytes.
    pub(crate) memory_high_water: u64,
    /// Uses of the plugin that are left alone for a while, now.
    pub(crate) open_breakers: u64,
    /// Log lines that were not written: they repeat a warning, or are too many.
    pub(crate) suppressed_lines: u64,
    /// Calls without an answer, by reason.
    pub(crate) failures: Vec<(&'static str, u64)>,
    /// What it asked for and was not granted, by interface.
    pub(crate) denied: Vec<(&'static str, u64)>,
}

impl PluginStats {
    pub(super) fn called(&self, took: Duration, rows: usize, memory: usize) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(
            u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.memory_high_water
            .fetch_max(memory as u64, Ordering::Relaxed);
    }

    pub(super) fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn line_suppressed(&self) {
        self.suppressed_lines.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &CallError) {
        count(&self.failures, error.reason());
    }

    pub(super) fn denied(&self, interface: Interface) {
        count(&self.denied, interface.as_str());
    }

    /// Counts a breaker as open until what this gives is dropped.
    pub(super) fn breaker_opened(self: &Arc<Self>) -> OpenBreaker {
        self.open_breakers.fetch_add(1, Ordering::Relaxed);
        OpenBreaker(Arc::clone(self))
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            calls: self.calls.load(Ordering::Relaxed),
            seconds: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
            rows: self.rows.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            memory_high_water: self.memory_high_water.load(Ordering::Relaxed),
            open_breakers: self.open_breakers.load(Ordering::Relaxed),
            suppressed_lines: self.suppressed_lines.load(Ordering::Relaxed),
            failures: self.failures.lock().clone(),
            denied: self.denied.lock().clone(),
        }
    }
}

impl Drop for OpenBreaker {
    fn drop(&mut self) {
        self.0.open_breakers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn count(counts: &Mutex<Vec<(&'static str, u64)>>, what: &'static str) {
    let mut counts = counts.lock();
    match counts.iter_mut().find(|(known, _)| *known == what) {
        Some((_, count)) => *count += 1,
        None => counts.push((what, 1)),
    }
}

impl Snapshot {
    /// What has come since an earlier snapshot of the plugin of that name. A plugin that was
    /// removed and comes back counts from 0 again: what is lower than before then has come since as
    /// a whole. What is not a count stays what it is.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        type Counts = Vec<(&'static str, u64)>;
        let each_since = |now: &Counts, earlier: &Counts| -> Counts {
            let one = |&(what, count): &(&'static str, u64)| {
                let before = earlier.iter().find(|known| known.0 == what);
                (what, since(count, before.map_or(0, |known| known.1)))
            };
            now.iter().map(one).collect()
        };
        Self {
            calls: since(self.calls, earlier.calls),
            seconds: if self.seconds < earlier.seconds {
                self.seconds
            } else {
                self.seconds - earlier.seconds
            },
            rows: since(self.rows, earlier.rows),
            restarts: since(self.restarts, earlier.restarts),
            memory_high_water: self.memory_high_water,
            open_breakers: self.open_breakers,
            suppressed_lines: since(self.suppressed_lines, earlier.suppressed_lines),
            failures: each_since(&self.failures, &earlier.failures),
            denied: each_since(&self.denied, &earlier.denied),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_that_begin_anew_are_no_underflow() {
        let snapshot = |calls, seconds, traps| Snapshot {
            calls,
            seconds,
            rows: calls,
            restarts: calls,
            memory_high_water: 7,
            open_breakers: 1,
            suppressed_lines: calls,
            failures: vec![("trap", traps)],
            denied: vec![("files", traps)],
        };
        assert_eq!(
            snapshot(5, 2.5, 3).since(&snapshot(3, 1.5, 3)),
            Snapshot {
                memory_high_water: 7,
                ..snapshot(2, 1.0, 0)
            }
        );
        // The plugin's file was deleted and dropped in again.
        assert_eq!(
            snapshot(2, 0.5, 1).since(&snapshot(5, 2.5, 3)),
            snapshot(2, 0.5, 1)
        );
    }
}
