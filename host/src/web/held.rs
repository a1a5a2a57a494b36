//! Bodies on their way to clients, and what they hold: who reads slowly must not fill the memory
//! with series of long ago, nor keep others' places.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::exposition::{Family, Samples};
use crate::telemetry::give_memory_back;

/// Bytes of series that slow readers may hold, all together.
const MAX_HELD: usize = 64 << 20;
/// A reader is slow that has not taken a chunk for so long,
const STUCK: Duration = Duration::from_millis(300);
/// or for whom more than half of the time was spent waiting, after this,
const SLOW_AFTER: Duration = Duration::from_secs(3);
/// and who has taken less than this a second.
const SLOW: u64 = 1 << 20;
/// After a slow reader, until free memory is looked for.
const TRIM: Duration = Duration::from_millis(500);
/// What is smaller is not worth it.
const WORTH_TRIMMING: usize = 4 << 20;

#[derive(Debug, Default)]
pub(super) struct HeldBodies(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    bodies: BTreeMap<u64, HeldBody>,
    next: u64,
    will_trim: bool,
}

#[derive(Debug)]
struct HeldBody {
    /// What it holds: where it is, as several bodies may share it, and how many bytes.
    parts: Vec<(usize, usize)>,
    began: Instant,
    sent: u64,
    /// How long it has waited for its reader, up to the last chunk.
    waited: Duration,
    /// It has waited since then.
    waits: Option<Instant>,
    cut: Arc<Notify>,
    is_cut: bool,
}

/// One body's entry, until it is dropped.
#[derive(Debug)]
pub(super) struct HeldGuard {
    all: Arc<HeldBodies>,
    number: u64,
    pub(super) cut: Arc<Notify>,
}

impl HeldBodies {
    /// A body of these families is on its way.
    pub(super) fn add(self: &Arc<Self>, families: &[Family]) -> HeldGuard {
        let parts = families.iter().map(part).collect();
        let cut = Arc::new(Notify::new());
        let mut held = self.0.lock();
        let number = held.next;
        held.next += 1;
        let body = HeldBody {
            parts,
            began: Instant::now(),
            sent: 0,
            waited: Duration::ZERO,
            waits: None,
            cut: Arc::clone(&cut),
            is_cut: false,
        };
        held.bodies.insert(number, body);
        drop(held);
        HeldGuard {
            all: Arc::clone(self),
            number,
            cut,
        }
    }

    /// Cuts the slowest of the slow readers until those that are left hold no more than they may.
    pub(super) fn check(&self) {
        let mut held = self.0.lock();
        let now = Instant::now();
        while held.bytes_of_slow(now) > MAX_HELD && held.cut_slowest(now) {}
    }

    /// Cuts the slowest reader, so that somebody else has its place. False: nobody is slow.
    pub(super) fn cut_slowest(&self) -> bool {
        self.0.lock().cut_slowest(Instant::now())
    }

    fn remove(self: &Arc<Self>, number: u64) {
        let mut held = self.0.lock();
        let Some(body) = held.bodies.remove(&number) else {
            return;
        };
        let bytes: usize = body.parts.iter().map(|(_, bytes)| bytes).sum();
        if body.waited < STUCK || bytes < WORTH_TRIMMING || held.will_trim {
            return;
        }
        if let Ok(threads) = tokio::runtime::Handle::try_current() {
            held.will_trim = true;
            threads.spawn(Arc::clone(self).trim_soon());
        }
    }

    /// Once for all that end at about the same time.
    async fn trim_soon(self: Arc<Self>) {
        tokio::time::sleep(TRIM).await;
        self.0.lock().will_trim = false;
        // A runtime that ends has no need of it.
        let _ = tokio::task::spawn_blocking(give_memory_back).await;
    }
}

impl Held {
    fn bytes_of_slow(&self, now: Instant) -> usize {
        let slow = self.bodies.values().filter(|body| body.is_slow(now));
        let mut seen = HashSet::new();
        let parts = slow.flat_map(|body| &body.parts);
        let once = parts.filter(|(position, _)| seen.insert(*position));
        once.map(|(_, bytes)| bytes).sum()
    }

    fn cut_slowest(&mut self, now: Instant) -> bool {
        let slow = self.bodies.iter().filter(|(_, body)| body.is_slow(now));
        let rate = |body: &HeldBody| body.sent as f64 / (now - body.began).as_secs_f64();
        let slowest = slow.min_by(|(_, a), (_, b)| rate(a).total_cmp(&rate(b)));
        let slowest = slowest.map(|(number, _)| *number);
        let Some(body) = slowest.and_then(|number| self.bodies.get_mut(&number)) else {
            return false;
        };
        tracing::warn!(
            seconds = (now - body.began).as_secs(),
            bytes = body.sent,
            "a client that reads slowly is cut off, as others need the memory or the place"
        );
        body.cut.notify_one();
        body.is_cut = true;
        true
    }
}

impl HeldBody {
    /// It is its reader that it waits for.
    fn is_slow(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.began);
        let waits = self.waits.map(|since| now.saturating_duration_since(since));
        let waits = waits.unwrap_or_default();
        let little = self.sent < SLOW * age.as_secs();
        if self.is_cut {
            return false;
        }
        waits >= STUCK || (age >= SLOW_AFTER && little && (self.waited + waits) * 2 > age)
    }
}

impl HeldGuard {
    /// A chunk is ready and waits for its reader.
    pub(super) fn waits(&self) {
        self.change(|body| body.waits = Some(Instant::now()));
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.change(|body| {
            body.sent += bytes as u64;
            if let Some(since) = body.waits.take() {
                body.waited += since.elapsed();
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut HeldBody)) {
        if let Some(body) = self.all.0.lock().bodies.get_mut(&self.number) {
            change(body);
        }
    }
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        self.all.remove(self.number);
    }
}

/// Where the samples are, and about how many bytes.
fn part(family: &Family) -> (usize, usize) {
    match &family.samples {
        Samples::List(list) => (list.as_ptr().addr(), list.len() * 128),
        Samples::Columns(columns) => (Arc::as_ptr(columns).addr(), columns.held_bytes()),
    }
}
