//! The end of a scrape: what keys that are gone have left, which families are shown, what is
//! forgotten.

use std::time::{Duration, Instant};

use super::{Metric, Walks};
use crate::exposition::Family;
use crate::rows::key::KeyTable;
use crate::rows::series::{ScrapeEnd, SeriesSet};
use crate::rows::stats::{LeftOut, MetricScrapeStats};

/// A key that no complete walk has seen for so many of them leaves the table.
const KEEP_WALKS: u32 = 10;
/// Unseen keys are swept out together once there are this many and they are as many as the others.
const SWEEP_AT: usize = 1024;
/// What a complete walk has found is shown for so long, and so long rows are waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How a walk has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// Every entry that was there all the time has been seen.
    Complete {
        /// But for one now and then: the kernel was asked for one key after the other.
        by_key: bool,
    },
    /// It did not come around.
    GivenUp,
    /// The kernel gave an error.
    Failed,
}

impl Metric {
    /// Ends a scrape: its families, and what it did. `now`: its time, for what lasts for a while.
    pub(crate) fn finish(
        &mut self,
        end: WalkEnd,
        now: Instant,
    ) -> (Vec<Family>, MetricScrapeStats) {
        if self.table.is_filling() {
            self.table.shrink();
            self.series.shrink();
            self.pipeline.shrink();
        }
        self.sort();
        let shown = match end {
            WalkEnd::Complete { by_key } => self.complete(by_key, now),
            WalkEnd::GivenUp | WalkEnd::Failed => self.incomplete(end, now),
        };
        self.scrape_stats.over_limit = self.series.refused();
        self.scrape_stats.holds = self.series.holds();
        if let (WalkEnd::Complete { .. }, Ok(families), None) = (end, &shown, &self.predecessor) {
            let stats = &mut self.scrape_stats;
            self.bucket_check.sums(self.scrape, families, stats);
        }
        let mut stats = std::mem::take(&mut self.scrape_stats);
        let families = shown.unwrap_or_else(|why| {
            stats.unshown = Some(why);
            Vec::new()
        });
        (families, stats)
    }

    fn complete(&mut self, by_key: bool, now: Instant) -> Result<Vec<Family>, LeftOut> {
        self.settle_lives();
        self.part_with_the_unseen(by_key);
        self.walks.complete += 1;
        let is_known = self.is_all_known(by_key, now);
        let before = match self.predecessor.take() {
            Some(mut predecessor) => {
                let shown = predecessor.finish(WalkEnd::Complete { by_key }, now);
                if is_known {
                    self.succeed(&mut predecessor);
                    self.sort();
                    None
                } else {
                    self.predecessor = Some(predecessor);
                    Some(shown)
                }
            }
            None => None,
        };
        if self.missing == 0 {
            // What is left of it are keys that are gone.
            self.moved = std::collections::HashMap::new();
        }
        if is_known {
            // Without the rows that still wait, sums would fall.
            let falls = std::mem::take(&mut self.walks.resumed) && self.missing > 0;
            if std::mem::take(&mut self.walks.from_zero) || falls {
                self.series.take_off();
            }
        }
        let families = self.families(now);
        self.series.born_since(self.begun);
        self.walks.before = self.walks.last;
        self.walks.last = self.scrape;
        self.walks.at = Some(now);
        self.sweep();
        match before {
            Some((families, stats)) => stats.unshown.map_or(Ok(families), Err),
            None if self.walks.resumed || self.walks.from_zero => Err(LeftOut::Waiting),
            None => Ok(families),
        }
    }

    /// Whether no row waits that may have been shown before, or they have waited for long enough.
    fn is_all_known(&mut self, by_key: bool, now: Instant) -> bool {
        let Walks { complete, .. } = self.walks;
        let since = *self.walks.waiting_since.get_or_insert(now);
        let is_late = now.saturating_duration_since(since) >= PATIENCE;
        // What one walk by keys has missed the next one has.
        let is_walked = complete > u32::from(by_key && self.walks.from_zero);
        is_late || (self.missing == 0 && is_walked)
    }

    /// Nothing is known of what was not seen: it is as it was.
    fn incomplete(&mut self, end: WalkEnd, now: Instant) -> Result<Vec<Family>, LeftOut> {
        for life in self.lives.take().into_iter().rev() {
            if let Some(entry) = self.table.get_mut(life.entry) {
                entry.restore(&life);
            }
        }
        let why = match end {
            WalkEnd::Failed => LeftOut::ReadError,
            _ => LeftOut::IncompleteWalk,
        };
        self.bound_the_unseen();
        if let Some(predecessor) = &mut self.predecessor {
            let (families, stats) = predecessor.finish(end, now);
            return stats.unshown.map_or(Ok(families), Err);
        }
        let is_recent = |at: Instant| now.saturating_duration_since(at) < PATIENCE;
        let waits = self.walks.resumed || self.walks.from_zero;
        if end == WalkEnd::Failed || waits || !self.walks.at.is_some_and(is_recent) {
            return Err(why);
        }
        self.add_last();
        Ok(self.families(now))
    }

    fn families(&mut self, now: Instant) -> Vec<Family> {
        self.series.families(&ScrapeEnd {
            scrape: self.scrape,
            since: self.walks.last,
            now,
            begun: self.begun,
        })
    }

    /// The numbers of all keys that are there, as they were last seen.
    pub(super) fn add_last(&mut self) {
        self.series.empty();
        for entry in self.table.entries() {
            if entry.seen >= self.walks.last {
                entry.add_last(self.pipeline.numbers(), &mut self.series);
            }
        }
    }

    /// Sorts new series in, and what was twice becomes one.
    fn sort(&mut self) {
        if let Some(moved) = self.series.sort() {
            self.table.retain(|entry| entry.key_binding.remap(&moved));
        }
    }

    /// Keys whose numbers have become less are back: what they had before is left.
    fn settle_lives(&mut self) {
        let is_shown = self.predecessor.is_none();
        for life in self.lives.take() {
            let entry = self.table.get(life.entry);
            let before = entry.and_then(|entry| entry.before(&life));
            let Some(before) = before.filter(|_| is_shown) else {
                continue;
            };
            let accumulator = before.contribution.accumulator;
            let Some(amount) = before.amount(self.pipeline.numbers()) else {
                continue;
            };
            if self.series.keeps(accumulator) && !std::mem::replace(&mut self.walks.said_less, true)
            {
                self.scrape_stats.has_less = true;
            }
            self.series.leave(accumulator, amount);
        }
    }

    /// Keys that this complete walk has not seen are gone, with what they have left. If it went by
    /// keys they are gone after two, and may come back with what they had.
    fn part_with_the_unseen(&mut self, by_key: bool) {
        if self.table.len() <= self.seen {
            return;
        }
        let is_shown = self.predecessor.is_none();
        let Walks { last, before, .. } = self.walks;
        let sources = self.pipeline.numbers();
        for entry in self.table.entries_mut() {
            if entry.seen == self.scrape {
                continue;
            }
            let was_there = if by_key {
                entry.seen >= before && entry.seen < last
            } else {
                entry.seen >= last
            };
            if by_key && entry.seen >= last {
                entry.add_last(sources, &mut self.series);
            }
            if !was_there {
                continue;
            }
            let mut rests = by_key;
            entry.for_each(|counted| {
                let accumulator = counted.contribution.accumulator;
                rests &= self.series.keeps(accumulator);
                if let Some(amount) = counted.amount(sources).filter(|_| is_shown) {
                    self.series.leave(accumulator, amount);
                }
            });
            if rests {
                entry.rest();
            } else {
                entry.leave();
            }
        }
    }

    /// Forgets removed keys and series that nothing adds to, in bulk: when no complete walk has
    /// seen them for long, or at once when the keys outnumber the others.
    fn sweep(&mut self) {
        let unseen = self.table.len().saturating_sub(self.seen);
        let crowded = unseen > SWEEP_AT.max(self.seen);
        let is_due = self.walks.complete.is_multiple_of(KEEP_WALKS);
        if !crowded && !is_due {
            return;
        }
        let oldest = if crowded {
            self.scrape
        } else {
            self.walks.swept
        };
        if is_due {
            self.walks.swept = self.scrape;
        }
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

    /// Incomplete walks forget no key. A map in which keys come and go for so long begins anew.
    fn bound_the_unseen(&mut self) {
        let rows = self.scrape_stats.rows as usize;
        let limit = self.max_rows.max(rows).max(SWEEP_AT).saturating_mul(2);
        if self.max_rows == 0 || self.table.len() <= limit {
            return;
        }
        self.scrape_stats.evicted += self.table.len() as u64;
        self.table = KeyTable::new(self.pipeline.layout().row_key_size);
        self.series = SeriesSet::new(self.series.shapes(), self.bounds, self.begun);
        self.walks = Walks {
            from_zero: self.predecessor.is_none(),
            ..Walks::default()
        };
    }
}
