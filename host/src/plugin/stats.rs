//! What a plugin costs, counted where it is called and read by the telemetry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::error::CallError;

/// One plugin's counters, shared by all its instances.
#[derive(Debug, Default)]
pub(crate) struct PluginStats {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    rows: AtomicU64,
    restarts: AtomicU64,
    memory_high_water: AtomicU64,
    failures: Mutex<Vec<(&'static str, u64)>>,
}

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
    /// Calls without an answer, by reason.
    pub(crate) failures: Vec<(&'static str, u64)>,
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

    pub(super) fn failed(&self, error: &CallError) {
        let mut failures = self.failures.lock();
        match failures
            .iter_mut()
            .find(|(reason, _)| *reason == error.reason())
        {
            Some((_, count)) => *count += 1,
            None => failures.push((error.reason(), 1)),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            calls: self.calls.load(Ordering::Relaxed),
            seconds: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(),
            rows: self.rows.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
            memory_high_water: self.memory_high_water.load(Ordering::Relaxed),
            failures: self.failures.lock().clone(),
        }
    }
}

impl Snapshot {
    /// What has come since an earlier snapshot of the same plugin. The high-water mark stays what it is.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let failures = self.failures.iter().map(|&(reason, count)| {
            let before = earlier
                .failures
                .iter()
                .find(|(known, _)| *known == reason)
                .map_or(0, |(_, count)| *count);
            (reason, count - before)
        });
        Self {
            calls: self.calls - earlier.calls,
            seconds: self.seconds - earlier.seconds,
            rows: self.rows - earlier.rows,
            restarts: self.restarts - earlier.restarts,
            memory_high_water: self.memory_high_water,
            failures: failures.collect(),
        }
    }
}
