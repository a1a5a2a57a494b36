//! One metric of a unit: feeds on batches of map entries, remembers every key, gives families.

mod descriptions;

use std::sync::Arc;
use std::time::Instant;

use super::buckets::{BucketCheck, BucketKeys};
use super::key::{Again, CachedKey, EntryId, KeyBinding, KeyTable, Layout, Numbers};
use super::resolve::{BATCH, Complaints, Label, Outcome, Outcomes, Pipeline, Plugins, Shaper};
use super::series::SeriesSet;
use super::stats::MetricScrapeStats;
use crate::config::SeriesBounds;
use crate::exposition::Family;
use crate::map_batch::MapBatch;
use crate::plugin::Cells;
use descriptions::Descriptions;

/// A key that no scrape has seen for so many scrapes leaves the table.
const KEEP_SCRAPES: u32 = 10;
/// Unseen keys are swept out together once there are this many and they are as many as the others.
const SWEEP_AT: usize = 1024;

/// Keys that make a plugin fail and are asked about again in one scrape.
const MAX_SUSPECTS: usize = 64;

/// Rows for which room is reserved in a first scrape.
const MAX_RESERVED: usize = 1 << 20;

/// What a metric is made of.
pub(crate) struct MetricParts {
    pub(crate) name: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) layout: Layout,
    pub(crate) labels: Vec<Label>,
    /// Labels of all series, with their values.
    pub(crate) constants: Vec<(String, String)>,
    pub(crate) shaper: Shaper,
    pub(crate) bounds: SeriesBounds,
    /// Of a histogram of the standard plugin.
    pub(crate) bucket_keys: Option<BucketKeys>,
}

pub(crate) struct Metric {
    name: Arc<str>,
    pipeline: Pipeline,
    table: KeyTable<CachedKey>,
    series: SeriesSet,
    /// Number of the running scrape, from 1.
    scrape: u32,
    /// How many entries may come for which no room has been made yet.
    expected: usize,
    scrape_stats: MetricScrapeStats,
    /// The walk of the running scrape did not get to all entries.
    incomplete: bool,
    pending: Pending,
    /// Of these, each has made a plugin fail before.
    suspects: Pending,
    /// So many were asked about in the running scrape.
    suspected: usize,
    bucket_check: BucketCheck,
    row_key: Vec<u8>,
}

/// Rows of a batch that wait for their meaning.
#[derive(Default)]
struct Pending {
    keys: Cells,
    /// Offset of the row's value in the batch and how many bytes belong to it; and the entry if the
    /// key has one.
    rows: Vec<PendingRow>,
}

#[derive(Clone, Copy)]
struct PendingRow {
    value: usize,
    length: usize,
    entry: Option<EntryId>,
}

/// Under which name rows are left out whose key is not the zero key.
const ZERO_KEY: &str = "zero key";

impl Metric {
    pub(crate) fn new(parts: MetricParts) -> Self {
        let pipeline = Pipeline::new(parts.layout, parts.labels, &parts.constants, parts.shaper);
        let series = SeriesSet::new(pipeline.family_shapes(&parts.namespace), parts.bounds);
        let table = KeyTable::new(pipeline.layout().row_key_size);
        Self {
            name: parts.name,
            pipeline,
            table,
            series,
            scrape: 0,
            expected: 0,
            scrape_stats: MetricScrapeStats::default(),
            incomplete: false,
            pending: Pending::default(),
            suspects: Pending::default(),
            suspected: 0,
            bucket_check: BucketCheck::new(parts.bucket_keys),
            row_key: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Shows counters and histograms as if they began now: see `Baseline`.
    pub(crate) fn show_from_zero(&mut self) {
        self.series.show_from_zero();
    }

    /// Of the scrape that is about to end: entries may be missing in it.
    pub(crate) fn walk_was_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Begins a scrape. `max_entries`: how many entries there may be, for a first one to make room;
    /// 0 if that is not known.
    pub(crate) fn begin(&mut self, max_entries: usize) {
        self.scrape += 1;
        self.scrape_stats = MetricScrapeStats::default();
        self.incomplete = false;
        self.suspected = 0;
        self.table.rewind();
        self.series.reset();
        self.expected = if self.table.len() == 0 {
            max_entries
        } else {
            0
        };
    }

    /// Takes a batch of entries. What it costs for each, beside some 300 ns for the kernel's walk
    /// (2.5 GHz, all in the cache):
    ///
    /// - 5 ns to compare the key with the one that came next last time; some 25 if it is not that
    ///   one and has to be looked up,
    /// - 5 ns to read the number and add it to its accumulator,
    /// - later some 5 ns to take the number out of the accumulator, and 15 to 30 to copy the labels
    ///   and print it (`exposition::BodyWriter`).
    ///
    /// Keys that are not known go to the plugins together, at some 150 ns each with three labels: a
    /// fifth of it in Wasm, a fourth for new memory, the rest to render the labels, to remember key
    /// and series, and to sort.
    pub(crate) fn take(&mut self, plugins: &mut Plugins, entries: MapBatch<'_>) {
        if entries.key_size == 0 || entries.value_stride == 0 {
            return;
        }
        let layout = self.pipeline.layout();
        let (split, zero_key, row_key_size) =
            (layout.split_cpus, layout.zero_key, layout.row_key_size);
        if self.expected > 0 {
            let cpus = entries.value_stride / entries.cpu_stride.max(1);
            let rows = std::mem::take(&mut self.expected) * if split { cpus } else { 1 };
            let rows = rows.min(MAX_RESERVED);
            self.table.reserve(rows);
            self.series.expect(rows);
        }
        let rows = entries
            .keys
            .chunks_exact(entries.key_size)
            .zip((0..).step_by(entries.value_stride));
        for (key, value) in rows {
            if zero_key && key.iter().any(|byte| *byte != 0) {
                self.scrape_stats.rows += 1;
                self.scrape_stats.leave_out(ZERO_KEY);
                continue;
            }
            if split {
                let mut row_key = std::mem::take(&mut self.row_key);
                for (cpu, offset) in (0..entries.value_stride)
                    .step_by(entries.cpu_stride.max(1))
                    .enumerate()
                {
                    row_key.clear();
                    row_key.extend_from_slice(key);
                    let number = self.pipeline.layout().cpu_number(cpu);
                    row_key.extend_from_slice(&number.to_ne_bytes());
                    self.row(
                        plugins,
                        entries,
                        &row_key,
                        value + offset,
                        entries.cpu_stride,
                    );
                }
                self.row_key = row_key;
            } else if let Some(key) = key.get(..row_key_size) {
                self.row(plugins, entries, key, value, entries.value_stride);
            }
        }
        self.resolve(plugins, entries);
    }

    #[inline]
    fn row(
        &mut self,
        plugins: &mut Plugins,
        entries: MapBatch<'_>,
        key: &[u8],
        value: usize,
        length: usize,
    ) {
        self.scrape_stats.rows += 1;
        let bytes = entries.values.get(value..value + length);
        let numbers = Numbers {
            sources: self.pipeline.numbers(),
            bytes: bytes.unwrap_or_default(),
            cpu_stride: entries.cpu_stride,
        };
        let found = self.table.find(key);
        let mut is_suspect = false;
        if let Some(entry) = found.and_then(|id| self.table.get_mut(id)) {
            entry.seen = self.scrape;
            let again = match entry.key_binding.again() {
                Again::Never => false,
                Again::EachScrape => true,
                Again::At { time, .. } => {
                    is_suspect = self.suspected < MAX_SUSPECTS && time <= Instant::now();
                    is_suspect
                }
            };
            if !again {
                self.scrape_stats.hits += 1;
                if let KeyBinding::Failed(failure) = &entry.key_binding {
                    self.scrape_stats.leave_out(&failure.by);
                }
                numbers.add(&mut self.series, &entry.key_binding);
                return;
            }
        }
        let queue = if is_suspect {
            self.suspected += 1;
            &mut self.suspects
        } else {
            &mut self.pending
        };
        queue.keys.push(key);
        queue.rows.push(PendingRow {
            value,
            length,
            entry: found,
        });
        if self.pending.rows.len() >= BATCH {
            self.resolve(plugins, entries);
        }
    }

    /// Has the plugins answer what is pending and adds those rows' numbers.
    fn resolve(&mut self, plugins: &mut Plugins, entries: MapBatch<'_>) {
        for suspects in [false, true] {
            let queue = if suspects {
                &mut self.suspects
            } else {
                &mut self.pending
            };
            if queue.rows.is_empty() {
                continue;
            }
            let mut pending = std::mem::take(queue);
            self.answer(plugins, entries, &pending, suspects);
            pending.keys.clear();
            pending.rows.clear();
            *(if suspects {
                &mut self.suspects
            } else {
                &mut self.pending
            }) = pending;
        }
    }

    fn answer(
        &mut self,
        plugins: &mut Plugins,
        entries: MapBatch<'_>,
        pending: &Pending,
        suspects: bool,
    ) {
        let started = Instant::now();
        let mut complaints = Complaints::default();
        let outcomes = if plugins.out_of_time() {
            self.scrape_stats.postponed += pending.rows.len() as u64;
            Outcomes::none(pending.rows.len())
        } else {
            self.scrape_stats.decoded += pending.rows.len() as u64;
            let (keys, series) = (&pending.keys, &mut self.series);
            self.pipeline
                .resolve(plugins, keys, suspects, series, &mut complaints)
        };
        let out_of_range = std::mem::take(&mut complaints.out_of_range);
        self.bucket_check.keys(out_of_range, &mut self.scrape_stats);
        self.scrape_stats.complain(complaints);
        for (index, (outcome, row)) in outcomes.iter().zip(&pending.rows).enumerate() {
            let key_binding = match outcome {
                Outcome::Dropped => KeyBinding::Dropped,
                Outcome::Failed { by, provisional } => {
                    self.scrape_stats.leave_out(by);
                    if provisional {
                        KeyBinding::of(&[], true)
                    } else {
                        KeyBinding::failed(by)
                    }
                }
                Outcome::Culprit { by } => {
                    self.scrape_stats.leave_out(by);
                    let before = row.entry.and_then(|id| self.table.get(id));
                    let before = before.map(|entry| &entry.key_binding);
                    KeyBinding::culprit(by, before, Instant::now())
                }
                Outcome::Unanswered => match row.entry.and_then(|id| self.table.get(id)) {
                    // The last answer stands until there is a new one.
                    Some(entry) => {
                        if let KeyBinding::Failed(failure) = &entry.key_binding {
                            self.scrape_stats.leave_out(&failure.by);
                        }
                        entry.key_binding.clone()
                    }
                    None => continue,
                },
                Outcome::Placed {
                    contributions,
                    provisional,
                } => KeyBinding::of(contributions, provisional),
            };
            let bytes = entries.values.get(row.value..row.value + row.length);
            let numbers = Numbers {
                sources: self.pipeline.numbers(),
                bytes: bytes.unwrap_or_default(),
                cpu_stride: entries.cpu_stride,
            };
            numbers.add(&mut self.series, &key_binding);
            let entry = CachedKey {
                key_binding,
                seen: self.scrape,
            };
            match row.entry.and_then(|id| self.table.get_mut(id)) {
                Some(known) => *known = entry,
                None => self.table.put(pending.keys.get(index), entry),
            }
        }
        self.scrape_stats.decode_time += started.elapsed();
    }

    /// Ends a scrape: its families, and what it did. `now`: its time, for series that expire.
    pub(crate) fn finish(&mut self, now: Instant) -> (Vec<Family>, MetricScrapeStats) {
        if self.table.is_filling() {
            self.table.shrink();
            self.series.shrink();
            self.pipeline.shrink();
        }
        if let Some(moved) = self.series.sort() {
            self.table.retain(|entry| entry.key_binding.remap(&moved));
        }
        let families = self.series.families(self.scrape, now, !self.incomplete);
        self.scrape_stats.over_limit = self.series.refused();
        if !self.incomplete {
            let stats = &mut self.scrape_stats;
            self.bucket_check.sums(self.scrape, &families, stats);
        }
        self.sweep();
        (families, std::mem::take(&mut self.scrape_stats))
    }

    /// Forgets removed keys and series that nothing adds to, in bulk: when no scrape has seen them
    /// for long, or at once when the keys outnumber the others.
    fn sweep(&mut self) {
        let seen = self.scrape_stats.rows as usize;
        let unseen = self.table.len().saturating_sub(seen);
        let crowded = unseen > SWEEP_AT.max(seen);
        if !crowded && !self.scrape.is_multiple_of(KEEP_SCRAPES) {
            return;
        }
        let oldest = if crowded {
            self.scrape
        } else {
            self.scrape.saturating_sub(KEEP_SCRAPES)
        };
        let before = self.table.len();
        if unseen > 0 {
            self.table.retain(|entry| entry.seen >= oldest);
        }
        // Series also go stale under keys that stay: where the answer to a provisional one has
        // changed.
        if self.series.any_older(oldest) {
            let moved = self.series.compact(oldest);
            self.table.retain(|entry| entry.key_binding.remap(&moved));
        }
        self.scrape_stats.evicted += (before - self.table.len()) as u64;
    }

    /// Keys in memory.
    pub(crate) fn remembered(&self) -> usize {
        self.table.len()
    }

    /// Series in memory.
    #[cfg(test)]
    pub(super) fn known_series(&self) -> usize {
        self.series.len()
    }

    /// What the keys mean, as last decoded; for people.
    pub(crate) fn descriptions(&mut self) -> Descriptions<'_> {
        self.table.make_index();
        Descriptions {
            owners: self.series.owners(),
            metric: self,
        }
    }
}
