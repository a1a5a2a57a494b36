//! One metric of a unit: feeds on batches of map entries, remembers every key, gives families.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accumulate;
use super::layout::Layout;
use super::pipeline::{BATCH, Complaints, Label, Outcome, Pipeline, Plugins, Shaper, Target};
use super::series::SeriesSet;
use super::table::{EntryId, KeyTable};
use crate::exposition::Family;
use crate::plugin::{CallError, Cells};

/// A key that no scrape has seen for so many scrapes leaves the table.
const KEEP_SCRAPES: u32 = 10;
/// Unseen keys are swept out together once there are this many and they are as many as the others.
const SWEEP_AT: usize = 1024;

/// What a metric is made of.
pub(crate) struct MetricParts {
    pub(crate) name: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) layout: Layout,
    pub(crate) labels: Vec<Label>,
    pub(crate) shaper: Shaper,
}

pub(crate) struct Metric {
    name: Arc<str>,
    pipeline: Pipeline,
    table: KeyTable<Entry>,
    series: SeriesSet,
    /// Number of the running scrape, from 1.
    scrape: u32,
    walked: Walked,
    pending: Pending,
    row_key: Vec<u8>,
}

/// What a key means.
#[derive(Debug, Clone)]
struct Entry {
    meaning: Meaning,
    /// The scrape that last saw the key.
    seen: u32,
}

#[derive(Debug, Clone)]
enum Meaning {
    Dropped,
    Failed(Arc<str>),
    /// Nearly every key: one number, one place.
    One(Target),
    Many(Box<[Target]>),
    /// Like `Many`, but asked again at every scrape.
    Provisional(Box<[Target]>),
}

/// What one scrape of a metric did.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// Rows read: entries, times CPUs where these are split.
    pub(crate) rows: u64,
    /// Rows whose key was known.
    pub(crate) hits: u64,
    /// Rows that went to plugins.
    pub(crate) decoded: u64,
    /// Keys that left the table.
    pub(crate) evicted: u64,
    /// Time spent in plugins and around them.
    pub(crate) decode_time: Duration,
    /// Rows left out, by the decoder or shaper that could not make sense of them.
    pub(crate) left_out: Vec<(Arc<str>, u64)>,
    /// The first message of each decoder or shaper that rejected rows.
    pub(crate) rejected: Vec<(Arc<str>, String)>,
    /// Plugin calls without an answer.
    pub(crate) failed: Vec<(Arc<str>, CallError)>,
}

/// Rows of a batch that wait for their meaning.
#[derive(Default)]
struct Pending {
    keys: Cells,
    /// Offset of the row's value in the batch and how many bytes belong to it; and the entry if the key has one.
    rows: Vec<PendingRow>,
}

#[derive(Clone, Copy)]
struct PendingRow {
    value: usize,
    length: usize,
    entry: Option<EntryId>,
}

/// Entries of a map: `keys` and `values` end to end. A value is one or, in per-CPU maps, one per CPU with `cpu_stride` bytes each.
#[derive(Clone, Copy)]
pub(crate) struct Entries<'a> {
    pub(crate) keys: &'a [u8],
    pub(crate) key_size: usize,
    pub(crate) values: &'a [u8],
    pub(crate) value_stride: usize,
    pub(crate) cpu_stride: usize,
}

/// Under which name rows are left out whose key is not the zero key.
const ZERO_KEY: &str = "zero key";

impl Metric {
    pub(crate) fn new(parts: MetricParts) -> Self {
        let pipeline = Pipeline::new(parts.layout, parts.labels, parts.shaper);
        let series = SeriesSet::new(pipeline.family_shapes(&parts.namespace));
        let table = KeyTable::new(pipeline.layout().row_key_size);
        Self {
            name: parts.name,
            pipeline,
            table,
            series,
            scrape: 0,
            walked: Walked::default(),
            pending: Pending::default(),
            row_key: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
        self.walked = Walked::default();
        self.table.rewind();
        self.series.reset();
    }

    /// Takes a batch of entries. Known keys cost a comparison and an addition; the others go to the plugins together.
    pub(crate) fn take(&mut self, plugins: &mut Plugins, entries: Entries<'_>) {
        if entries.key_size == 0 || entries.value_stride == 0 {
            return;
        }
        let (split, zero_key) = (
            self.pipeline.layout().split_cpus,
            self.pipeline.layout().zero_key,
        );
        let row_key_size = self.pipeline.layout().row_key_size;
        let rows = entries
            .keys
            .chunks_exact(entries.key_size)
            .zip((0..).step_by(entries.value_stride));
        for (key, value) in rows {
            if zero_key && key.iter().any(|byte| *byte != 0) {
                self.walked.rows += 1;
                self.walked.leave_out(ZERO_KEY);
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
                    row_key.extend_from_slice(&(cpu as u16).to_ne_bytes());
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
        entries: Entries<'_>,
        key: &[u8],
        value: usize,
        length: usize,
    ) {
        self.walked.rows += 1;
        let found = self.table.find(key);
        if let Some(entry) = found.and_then(|id| self.table.get_mut(id)) {
            entry.seen = self.scrape;
            match &entry.meaning {
                // Asked again below.
                Meaning::Provisional(_) => {}
                meaning => {
                    self.walked.hits += 1;
                    if let Meaning::Failed(name) = meaning {
                        self.walked.leave_out(name);
                    }
                    for target in meaning.targets() {
                        add(
                            &mut self.series,
                            self.pipeline.numbers(),
                            target,
                            entries,
                            value,
                            length,
                            self.scrape,
                        );
                    }
                    return;
                }
            }
        }
        self.pending.keys.push(key);
        self.pending.rows.push(PendingRow {
            value,
            length,
            entry: found,
        });
        if self.pending.rows.len() >= BATCH {
            self.resolve(plugins, entries);
        }
    }

    /// Has the plugins answer what is pending and adds those rows' numbers.
    fn resolve(&mut self, plugins: &mut Plugins, entries: Entries<'_>) {
        if self.pending.rows.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut pending = std::mem::take(&mut self.pending);
        let mut complaints = Complaints::default();
        let outcomes =
            self.pipeline
                .resolve(plugins, &pending.keys, &mut self.series, &mut complaints);
        self.walked.decoded += pending.rows.len() as u64;
        self.walked.complain(complaints);
        for (index, (outcome, row)) in outcomes.into_iter().zip(&pending.rows).enumerate() {
            let meaning = match outcome {
                Outcome::Dropped => Meaning::Dropped,
                Outcome::Failed { by, provisional } => {
                    self.walked.leave_out(&by);
                    if provisional {
                        Meaning::Provisional(Box::default())
                    } else {
                        Meaning::Failed(by)
                    }
                }
                Outcome::Unanswered => match row.entry.and_then(|id| self.table.get(id)) {
                    // The last answer stands until there is a new one.
                    Some(entry) => entry.meaning.clone(),
                    None => continue,
                },
                Outcome::Placed {
                    targets,
                    provisional: true,
                } => Meaning::Provisional(targets.into()),
                Outcome::Placed { targets, .. } => match targets.as_slice() {
                    [target] => Meaning::One(*target),
                    _ => Meaning::Many(targets.into()),
                },
            };
            for target in meaning.targets() {
                add(
                    &mut self.series,
                    self.pipeline.numbers(),
                    target,
                    entries,
                    row.value,
                    row.length,
                    self.scrape,
                );
            }
            let entry = Entry {
                meaning,
                seen: self.scrape,
            };
            let key = pending.keys.get(index);
            match row
                .entry
                .or_else(|| self.table.find(key))
                .and_then(|id| self.table.get_mut(id))
            {
                Some(known) => *known = entry,
                None => {
                    self.table.insert(key, entry);
                }
            }
        }
        pending.keys.clear();
        pending.rows.clear();
        self.pending = pending;
        self.walked.decode_time += started.elapsed();
    }

    /// Ends a scrape: its families, and what it did.
    pub(crate) fn finish(&mut self) -> (Vec<Family>, Walked) {
        let families = self.series.families(self.scrape);
        self.sweep();
        (families, std::mem::take(&mut self.walked))
    }

    /// Forgets keys that are gone and series that nothing adds to, in bulk: when they have been gone for long, or at once when the keys
    /// outnumber the others.
    fn sweep(&mut self) {
        let seen = self.walked.rows as usize;
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
        // Series also go stale under keys that stay: where the answer to a provisional one has changed.
        if self.series.any_older(oldest) {
            let moved = self.series.compact(oldest);
            self.table.retain(|entry| entry.meaning.remap(&moved));
        }
        self.walked.evicted += (before - self.table.len()) as u64;
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

    /// The series that a key of the map adds to, as last decoded; for people. Keys split by CPU are shown by their first CPU.
    pub(crate) fn describe(&self, key: &[u8]) -> Option<String> {
        let layout = self.pipeline.layout();
        let mut row_key = key.get(..layout.row_key_size.min(key.len()))?.to_vec();
        row_key.resize(layout.row_key_size, 0);
        let entry = self.table.peek(&row_key)?;
        Some(match &entry.meaning {
            Meaning::Dropped => "dropped".into(),
            Meaning::Failed(name) => format!("not decodable by {name}"),
            meaning => {
                let labels = meaning
                    .targets()
                    .iter()
                    .filter_map(|target| self.series.labels(target.series));
                labels.collect::<Vec<_>>().join("; ")
            }
        })
    }
}

#[inline]
fn add(
    series: &mut SeriesSet,
    numbers: &[crate::plugin::NumberSource],
    target: &Target,
    entries: Entries<'_>,
    value: usize,
    length: usize,
    scrape: u32,
) {
    let number = numbers
        .get(target.number as usize)
        .zip(entries.values.get(value..value + length));
    match number
        .and_then(|(source, bytes)| accumulate::read_sum(*source, bytes, entries.cpu_stride))
    {
        Some(number) => series.add_to(
            target.series,
            target.slot,
            accumulate::scale(number, target.scale),
            scrape,
        ),
        None => series.touch(target.series, scrape),
    }
}

impl Meaning {
    fn targets(&self) -> &[Target] {
        match self {
            Self::Dropped | Self::Failed(_) => &[],
            Self::One(target) => std::slice::from_ref(target),
            Self::Many(targets) | Self::Provisional(targets) => targets,
        }
    }

    /// Follows series that have moved. False if one of them is gone.
    fn remap(&mut self, moved: &[Option<(u32, u32)>]) -> bool {
        let targets = match self {
            Self::Dropped | Self::Failed(_) => return true,
            Self::One(target) => std::slice::from_mut(target),
            Self::Many(targets) | Self::Provisional(targets) => targets,
        };
        targets
            .iter_mut()
            .all(|target| match moved.get(target.series as usize) {
                Some(&Some((series, down))) => {
                    target.series = series;
                    target.slot = target
                        .slot
                        .checked_sub(down)
                        .filter(|_| target.slot != u32::MAX)
                        .unwrap_or(u32::MAX);
                    true
                }
                _ => false,
            })
    }
}

impl Walked {
    fn leave_out(&mut self, name: &str) {
        match self.left_out.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, count)) => *count += 1,
            None => self.left_out.push((name.into(), 1)),
        }
    }

    fn complain(&mut self, complaints: Complaints) {
        self.rejected.extend(complaints.rejected);
        self.failed.extend(complaints.failed);
    }
}
