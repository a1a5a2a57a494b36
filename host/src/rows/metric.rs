//! One metric of a unit: feeds on batches of map entries, remembers every key, gives families.

mod answers;
mod descriptions;
mod finish;
mod successor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::buckets::{BucketCheck, BucketKeys};
use super::key::{Again, CachedKey, EntryId, KeyBinding, KeyTable, Layout, Lives, Numbers};
use super::resolve::{BATCH, Label, Pipeline, Plugins, Shaper};
use super::series::SeriesSet;
use super::stats::MetricScrapeStats;
use crate::config::SeriesBounds;
use crate::exposition::StartTime;
use crate::map_batch::MapBatch;
use crate::plugin::Cells;
use descriptions::Descriptions;
pub(crate) use finish::WalkEnd;

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
    /// What the numbers are, in words: those of versions that say the same can be compared.
    pub(crate) measure: String,
    /// When the map was made, by this host.
    pub(crate) created: StartTime,
}

pub(crate) struct Metric {
    name: Arc<str>,
    measure: String,
    pipeline: Pipeline,
    table: KeyTable<CachedKey>,
    series: SeriesSet,
    bounds: SeriesBounds,
    /// Number of the running scrape, from 1.
    scrape: u32,
    /// When it has begun.
    begun: StartTime,
    /// How many entries may come for which no room has been made yet.
    expected: usize,
    /// How many there may be; 0: that is not known.
    max_rows: usize,
    scrape_stats: MetricScrapeStats,
    /// Keys of the table that the running scrape has seen.
    seen: usize,
    /// Keys that are back, in the running scrape.
    lives: Lives,
    /// Rows of the running scrape without an answer whose numbers were shown by a version or a
    /// server before, as far as that is known.
    missing: u64,
    walks: Walks,
    /// Of the unit's version before, while rows wait that it knows.
    predecessor: Option<Box<Metric>>,
    /// Keys that still wait and were counted in other series, each number up to some value.
    moved: HashMap<Box<[u8]>, Vec<(u32, u64)>>,
    pending: Pending,
    /// Of these, each has made a plugin fail before.
    suspects: Pending,
    /// So many were asked about in the running scrape.
    suspected: usize,
    bucket_check: BucketCheck,
    row_key: Vec<u8>,
}

/// What is known of complete walks.
#[derive(Debug, Default)]
struct Walks {
    /// Number of the last one's scrape, and of the one before. 0: there was none.
    last: u32,
    before: u32,
    at: Option<Instant>,
    complete: u32,
    /// Number of the scrape at whose end keys were last looked at for how long they are gone.
    swept: u32,
    /// Since when rows wait.
    waiting_since: Option<Instant>,
    /// The numbers have been shown by somebody who is gone: nothing is shown before all is known.
    resumed: bool,
    /// Then series begin at 0.
    from_zero: bool,
    /// It was said that values have become less.
    said_less: bool,
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
        let shapes = pipeline.family_shapes(&parts.namespace);
        let series = SeriesSet::new(shapes, parts.bounds, parts.created);
        let table = KeyTable::new(pipeline.layout().row_key_size);
        Self {
            name: parts.name,
            measure: parts.measure,
            lives: Lives::new(series.any_counts()),
            pipeline,
            table,
            series,
            bounds: parts.bounds,
            scrape: 0,
            begun: StartTime::default(),
            expected: 0,
            max_rows: 0,
            scrape_stats: MetricScrapeStats::default(),
            seen: 0,
            missing: 0,
            walks: Walks::default(),
            predecessor: None,
            moved: HashMap::new(),
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

    /// Somebody before has shown its numbers: none is shown before all keys are known, so that no
    /// sum looks as if it had fallen.
    pub(crate) fn resume(&mut self) {
        self.walks.resumed = true;
    }

    /// Shows counters and histograms as if they began at the first complete walk.
    pub(crate) fn show_from_zero(&mut self) {
        self.walks.from_zero = true;
    }

    /// Begins a scrape. `max_entries`: how many entries there may be, for a first one to make room;
    /// 0 if that is not known.
    pub(crate) fn begin(&mut self, max_entries: usize, begun: StartTime) {
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.begin(max_entries, begun);
        }
        self.scrape += 1;
        self.begun = begun;
        self.scrape_stats = MetricScrapeStats::default();
        (self.seen, self.missing) = (0, 0);
        self.suspected = 0;
        self.lives.take();
        self.table.rewind();
        self.series.reset();
        self.max_rows = max_entries;
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
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.take(&mut Plugins::out_of_reach(), entries);
        }
        let layout = self.pipeline.layout();
        let (split, zero_key, row_key_size) =
            (layout.split_cpus, layout.zero_key, layout.row_key_size);
        let cpus = entries.value_stride / entries.cpu_stride.max(1);
        if self.expected > 0 {
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
        if let Some(id) = found
            && let Some(entry) = self.table.get_mut(id)
        {
            entry.seen = self.scrape;
            self.seen += 1;
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
                entry.add(&numbers, &mut self.series, &mut self.lives, id);
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

    /// Keys in memory.
    pub(crate) fn remembered(&self) -> usize {
        self.table.len()
    }

    /// A version before is shown.
    #[cfg(test)]
    pub(super) fn waits(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Rows wait that were shown before.
    #[cfg(test)]
    pub(super) fn misses(&self) -> bool {
        self.missing > 0
    }

    /// The series that a key adds to, in what is shown.
    #[cfg(test)]
    pub(super) fn meaning(&mut self, key: &[u8]) -> Option<String> {
        match &mut self.predecessor {
            Some(shown) => shown.meaning(key),
            None => self.descriptions().of(key),
        }
    }

    #[cfg(test)]
    pub(super) fn holds(&self) -> bool {
        self.series.holds()
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
