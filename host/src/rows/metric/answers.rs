//! Rows whose meaning the plugins have to say, and what becomes of them.

use std::sync::Arc;
use std::time::Instant;

use super::{Metric, PendingRow};
use crate::map_batch::MapBatch;
use crate::rows::key::{CachedKey, Contribution, KeyBinding, Known, Numbers};
use crate::rows::resolve::{Complaints, Outcome, Outcomes, Plugins};

impl Metric {
    /// Has the plugins answer what is pending and adds those rows' numbers.
    pub(super) fn resolve(&mut self, plugins: &mut Plugins, entries: MapBatch<'_>) {
        if self.pending.rows.is_empty() {
            return;
        }
        let started = Instant::now();
        let mut pending = std::mem::take(&mut self.pending);
        let mut complaints = Complaints::default();
        let outcomes = if plugins.out_of_time() {
            self.scrape_stats.postponed += pending.rows.len() as u64;
            Outcomes::none(pending.rows.len())
        } else {
            self.scrape_stats.decoded += pending.rows.len() as u64;
            self.pipeline
                .resolve(plugins, &pending.keys, &mut self.series, &mut complaints)
        };
        self.scrape_stats.complain(complaints);
        for (index, (outcome, row)) in outcomes.iter().zip(&pending.rows).enumerate() {
            self.answered(pending.keys.get(index), outcome, *row, entries);
        }
        pending.keys.clear();
        pending.rows.clear();
        self.pending = pending;
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
            Outcome::Dropped => Some(self.bind(key, row, KeyBinding::Dropped)),
            Outcome::Failed { by, provisional } => {
                self.scrape_stats.leave_out(by);
                Some(if provisional {
                    self.bind_to(key, row, &[], true)
                } else {
                    self.bind(key, row, KeyBinding::Failed(Box::new(Arc::clone(by))))
                })
            }
            Outcome::Unanswered => None,
            Outcome::Placed {
                contributions,
                provisional,
            } => Some(self.bind_to(key, row, contributions, provisional)),
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
        let bytes = entries.values.get(row.value..row.value + row.length);
        let numbers = Numbers {
            sources: self.pipeline.numbers(),
            bytes: bytes.unwrap_or_default(),
            cpu_stride: entries.cpu_stride,
        };
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

    /// The entry of a key that goes nowhere.
    fn bind(&mut self, key: &[u8], row: PendingRow, key_binding: KeyBinding) -> CachedKey {
        let known = self.known(key, row);
        self.leave(&known, &[]);
        CachedKey::new(key_binding, self.scrape)
    }

    /// The entry of a key that goes there. What it was counted in before keeps that.
    fn bind_to(
        &mut self,
        key: &[u8],
        row: PendingRow,
        contributions: &[(u32, Contribution)],
        provisional: bool,
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
        CachedKey::bound(contributions, provisional, self.scrape, &known, keeps)
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
            let Contribution {
                accumulator,
                number,
                ..
            } = counted.contribution;
            let goes_on = contributions
                .iter()
                .any(|(_, one)| one.accumulator == accumulator && one.number == number);
            if !goes_on && let Some(amount) = counted.amount(self.pipeline.numbers()) {
                self.series.move_away(accumulator, amount);
            }
        }
    }
}
