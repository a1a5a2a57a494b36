//! Rows whose meaning the plugins have to say, and what becomes of them.

use std::sync::Arc;
use std::time::Instant;

use super::{Metric, Pending, PendingRow};
use crate::map_batch::MapBatch;
use crate::rows::key::{Again, CachedKey, Contribution, KeyBinding, Known, Numbers};
use crate::rows::resolve::{Complaints, Outcome, Outcomes, Pipeline, Plugins};

impl Metric {
    /// Has the plugins answer what is pending and adds those rows' numbers.
    pub(super) fn resolve(&mut self, plugins: &mut Plugins, entries: MapBatch<'_>) {
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
            self.answered(pending.keys.get(index), outcome, *row, entries);
        }
        self.scrape_stats.decode_time += started.elapsed();
    }

    fn answered(
        &mut self,
        key: &[u8],
        outcome: Outcome<'_>,
        row: PendingRow,
        entries: MapBatch<'_>,
    ) {
        let entry = match outcome {
            Outcome::Dropped => {
                let known = self.part(key, row);
                Some(if known.numbers().next().is_some() {
                    CachedKey::bound(&[], Again::Never, self.scrape, &known, |_| false)
                } else {
                    CachedKey::new(KeyBinding::Dropped, self.scrape)
                })
            }
            Outcome::Failed { by, provisional } => {
                self.scrape_stats.leave_out(by);
                Some(if provisional {
                    self.bind_to(key, row, &[], Again::EachScrape)
                } else {
                    let known = self.part(key, row);
                    CachedKey::new(KeyBinding::failed(by, &known), self.scrape)
                })
            }
            Outcome::Culprit { by } => {
                self.scrape_stats.leave_out(by);
                Some(self.culprit(key, row, by, entries))
            }
            Outcome::Unanswered => {
                let known = row.entry.and_then(|id| self.table.get(id));
                if let Some(KeyBinding::Failed(failure)) = known.map(|known| &known.key_binding) {
                    self.scrape_stats.leave_out(&failure.by);
                }
                None
            }
            Outcome::Placed {
                contributions,
                provisional,
            } => {
                let again = if provisional {
                    Again::EachScrape
                } else {
                    Again::Never
                };
                Some(self.bind_to(key, row, contributions, again))
            }
        };
        let id = match (entry, row.entry) {
            (Some(entry), Some(id)) => {
                if let Some(known) = self.table.get_mut(id) {
                    *known = entry;
                }
                Some(id)
            }
            (Some(entry), None) => {
                self.seen += 1;
                self.table.put(key, entry)
            }
            // The last answer stands until there is a new one.
            (None, Some(id)) => Some(id),
            (None, None) => {
                self.missing += u64::from(self.was_shown(key));
                None
            }
        };
        let numbers = numbers(&self.pipeline, row, entries);
        if let Some(id) = id
            && let Some(entry) = self.table.get_mut(id)
        {
            entry.add(&numbers, &mut self.series, &mut self.lives, id);
        }
    }

    /// Whether a row without an answer is likely to have been part of what was shown.
    fn was_shown(&mut self, key: &[u8]) -> bool {
        match &mut self.predecessor {
            Some(predecessor) => predecessor.table.find(key).is_some(),
            None => self.walks.resumed || self.walks.from_zero,
        }
    }

    /// What a key has had that goes nowhere from now on.
    fn part(&mut self, key: &[u8], row: PendingRow) -> Known {
        let known = self.known(key, row);
        self.leave(&known, &[]);
        known
    }

    /// The entry of a key that makes a plugin fail. What it meant before stands, and what it has
    /// had.
    fn culprit(
        &mut self,
        key: &[u8],
        row: PendingRow,
        by: &Arc<str>,
        entries: MapBatch<'_>,
    ) -> CachedKey {
        let before = row.entry.and_then(|id| self.table.get(id)).cloned();
        let binding = before.as_ref().map(|entry| &entry.key_binding);
        let now = Instant::now();
        if let (Some(KeyBinding::Many(_)), Some(before)) = (binding, &before) {
            return CachedKey {
                key_binding: KeyBinding::culprit(by, binding, &Known::default(), now),
                ..before.clone()
            };
        }
        let mut known = self.part(key, row);
        if self.walks.from_zero && known.numbers().next().is_none() {
            // Its series begin at 0 without it: it adds what it grows by.
            known = numbers(&self.pipeline, row, entries).known();
        }
        let key_binding = KeyBinding::culprit(by, binding, &known, now);
        CachedKey::new(key_binding, self.scrape)
    }

    /// The entry of a key that goes there. What it was counted in before keeps that.
    fn bind_to(
        &mut self,
        key: &[u8],
        row: PendingRow,
        contributions: &[(u32, Contribution)],
        again: Again,
    ) -> CachedKey {
        let fed = self.fed(row);
        let known = self.known(key, row);
        self.leave(&known, contributions);
        // One key may have many numbers in one series.
        let mut counted = fed;
        for (_, contribution) in contributions {
            let first = self.series.first_of(contribution.accumulator);
            if !counted.contains(&first) {
                counted.push(first);
                self.series.add_key(first);
            }
        }
        let series = &self.series;
        let keeps = |accumulator| series.may_keep(accumulator);
        CachedKey::bound(contributions, again, self.scrape, &known, keeps)
    }

    /// The series that a known key is in, by their first accumulators.
    fn fed(&self, row: PendingRow) -> Vec<u32> {
        let mut fed = Vec::new();
        if let Some(entry) = row.entry.and_then(|id| self.table.get(id)) {
            entry.for_each(|counted| {
                fed.push(self.series.first_of(counted.contribution.accumulator));
            });
        }
        fed
    }

    /// What a key has had so far in series that keep.
    fn known(&mut self, key: &[u8], row: PendingRow) -> Known {
        // What was counted while the version before was shown has not been seen.
        if self.predecessor.is_some() {
            return Known::default();
        }
        let Some(entry) = row.entry.and_then(|id| self.table.get(id)) else {
            let left = if self.moved.is_empty() {
                Vec::new()
            } else {
                self.moved.remove(key).unwrap_or_default()
            };
            return Known {
                left,
                ..Known::default()
            };
        };
        let mut known = entry.known();
        let series = &self.series;
        known
            .counted
            .retain(|counted| series.may_keep(counted.contribution.accumulator));
        known
    }

    /// A key leaves what it has had in accumulators that it does not add to any more.
    pub(super) fn leave(&mut self, known: &Known, contributions: &[(u32, Contribution)]) {
        for counted in &known.counted {
            let contribution = counted.contribution;
            let goes_on = contributions.iter().any(|(_, one)| *one == contribution);
            if !goes_on && let Some(amount) = counted.amount(self.pipeline.numbers()) {
                self.series.move_away(contribution.accumulator, amount);
            }
        }
    }
}

/// The numbers of a row that was pending.
fn numbers<'a>(pipeline: &'a Pipeline, row: PendingRow, entries: MapBatch<'a>) -> Numbers<'a> {
    let bytes = entries.values.get(row.value..row.value + row.length);
    Numbers {
        sources: pipeline.numbers(),
        bytes: bytes.unwrap_or_default(),
        cpu_stride: entries.cpu_stride,
    }
}
