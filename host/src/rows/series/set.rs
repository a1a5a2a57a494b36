//! The series that keys add to, and their numbers in the running scrape.
//!
//! All of it lies in the order of the output, so that a scrape goes through memory once from front
//! to back: the label blocks, the series, and (by their first accumulator) the numbers. New series
//! are sorted in when the next scrape ends; what cached keys remember are accumulators, which do
//! not move.

use std::sync::Arc;
use std::time::Instant;

use super::adding::Adding;
use super::adopt::owner;
use super::columns::{Lifetimes, histograms, numbers};
use super::expiry::Expiry;
use super::index::Index;
use super::kept::Kept;
use super::limit::Limit;
use super::order::Order;
use super::scale::Scales;
use super::{AccumulatorId, FamilyShape, REMOVED, Series};
use crate::config::{Departed, SeriesBounds};
use crate::exposition::{
    BlockIndexes, ColumnValues, Columns, Family, Kind, LabelBlocks, Number, StartTime,
};
use crate::rows::number;

/// Every series of one metric, over all its families.
#[derive(Debug)]
pub(in crate::rows) struct SeriesSet {
    pub(super) families: Vec<FamilyShape>,
    /// A series and its labels in `blocks` have the same index.
    pub(super) series: Vec<Series>,
    /// Shared with the bodies that are still being sent.
    pub(super) blocks: Arc<LabelBlocks>,
    /// By the same index, shared as well: when the series was 0.
    pub(super) starts: Arc<Vec<StartTime>>,
    /// When what comes in this scrape was 0.
    pub(super) born: StartTime,
    /// So many series are likely to come, where that is known.
    expected: usize,
    /// So many of them are in the order of the output: by family and labels.
    sorted: usize,
    pub(super) index: Index,
    /// None: nothing has been added in this scrape.
    pub(super) accumulators: Vec<Option<Number>>,
    limit: Limit,
    pub(super) scales: Scales,
    /// Where series that stand still are left out.
    expiry: Option<Expiry>,
    /// What keys that are gone have left.
    pub(super) kept: Kept,
}

/// The scrape whose families are wanted.
pub(in crate::rows) struct ScrapeEnd {
    /// Its number.
    pub(in crate::rows) scrape: u32,
    /// Series that were not seen since this one begin anew if they have a key now.
    pub(in crate::rows) since: u32,
    pub(in crate::rows) now: Instant,
    pub(in crate::rows) begun: StartTime,
}

impl SeriesSet {
    /// `created`: when all numbers were 0.
    pub(in crate::rows) fn new(
        families: Vec<FamilyShape>,
        bounds: SeriesBounds,
        created: StartTime,
    ) -> Self {
        let limit = Limit::new(bounds.max_series, families.len());
        let expiry = bounds.expire.map(Expiry::new);
        let mut set = Self::with(families, limit, expiry, bounds.departed);
        set.born = created;
        set
    }

    fn with(
        families: Vec<FamilyShape>,
        limit: Limit,
        expiry: Option<Expiry>,
        departed: Option<Departed>,
    ) -> Self {
        Self {
            scales: Scales::new(families.len()),
            families,
            limit,
            expiry,
            kept: Kept::new(departed),
            series: Vec::new(),
            blocks: Arc::default(),
            starts: Arc::default(),
            born: StartTime::default(),
            expected: 0,
            sorted: 0,
            index: Index::default(),
            accumulators: Vec::new(),
        }
    }

    pub(in crate::rows) fn shapes(&self) -> Vec<FamilyShape> {
        self.families.clone()
    }

    /// Series that come from now on had no key when the walk of `begun` began.
    pub(in crate::rows) fn born_since(&mut self, begun: StartTime) {
        self.born = begun;
    }

    /// When series that come had no key.
    pub(in crate::rows) fn born(&self) -> StartTime {
        self.born
    }

    /// A key was added to the series of this accumulator.
    pub(in crate::rows) fn add_key(&mut self, accumulator: AccumulatorId) {
        self.kept.add_key(accumulator);
    }

    /// The first accumulator of the series that this one belongs to.
    pub(in crate::rows) fn first_of(&self, accumulator: AccumulatorId) -> AccumulatorId {
        self.kept.first_of(accumulator)
    }

    /// Whether what keys leave in the accumulator's series may be kept.
    pub(in crate::rows) fn may_keep(&self, accumulator: AccumulatorId) -> bool {
        self.kept.may_keep(accumulator)
    }

    /// Whether what keys leave in the accumulator's series is kept.
    pub(in crate::rows) fn keeps(&self, accumulator: AccumulatorId) -> bool {
        self.kept.keeps(accumulator)
    }

    /// A key is gone and has left so much: its series keeps it, or has begun anew.
    pub(in crate::rows) fn leave(&mut self, accumulator: AccumulatorId, amount: Number) {
        self.kept.leave(accumulator, amount);
    }

    /// A key has gone on to another series, or to none, and has left so much in this one.
    pub(in crate::rows) fn move_away(&mut self, accumulator: AccumulatorId, amount: Number) {
        self.kept.move_away(accumulator, amount);
    }

    /// Its numbers need what only this process knows.
    pub(in crate::rows) fn holds(&self) -> bool {
        self.kept.holds()
    }

    /// From now on all series that only grow lack what they have in this scrape.
    pub(in crate::rows) fn take_off(&mut self) {
        self.kept.take_off(&self.accumulators);
    }

    /// Whether any of the series only grows.
    pub(in crate::rows) fn any_counts(&self) -> bool {
        let mut kinds = self.families.iter().map(|family| family.meta.kind);
        kinds.any(|kind| matches!(kind, Kind::Counter | Kind::Histogram))
    }

    /// Says how many series a first scrape may find. Room is reserved: memory that isn't written to
    /// costs nothing, moving what has grown does.
    pub(in crate::rows) fn expect(&mut self, series: usize) {
        self.expected = series;
        // Where there is none to reserve, it grows step by step.
        let _ = self.series.try_reserve_exact(series);
        let _ = Arc::make_mut(&mut self.starts).try_reserve_exact(series);
        if self.is_small() {
            let _ = self.accumulators.try_reserve_exact(series);
            self.kept.expect(series);
        }
    }

    /// Gives back what was reserved and is not needed.
    pub(in crate::rows) fn shrink(&mut self) {
        self.series.shrink_to_fit();
        self.accumulators.shrink_to_fit();
        self.kept.shrink();
    }

    pub(in crate::rows) fn adding(&mut self) -> Adding<'_> {
        // Copies the blocks if a body of the last scrape is still being sent; that is rare.
        let blocks = Arc::make_mut(&mut self.blocks);
        if self.index.is_filling() {
            blocks.reserve(self.expected);
        }
        Adding {
            families: &self.families,
            series: &mut self.series,
            blocks,
            index: &mut self.index,
            accumulators: &mut self.accumulators,
            limit: &mut self.limit,
            scales: &mut self.scales,
            expiry: self.expiry.as_mut(),
            kept: &mut self.kept,
            starts: Arc::make_mut(&mut self.starts),
            born: self.born,
        }
    }

    #[cfg(test)]
    pub(in crate::rows) fn len(&self) -> usize {
        self.series.len()
    }

    /// Where to find the series that an accumulator belongs to: its first one and the index,
    /// ascending.
    pub(in crate::rows) fn owners(&self) -> Vec<(AccumulatorId, u32)> {
        let mut owners: Vec<_> = (0..)
            .zip(&self.series)
            .map(|(index, series)| (series.first_accumulator, index))
            .collect();
        owners.sort_unstable();
        owners
    }

    /// The labels of the series that an accumulator belongs to. `owners`: of `self.owners()`.
    pub(in crate::rows) fn labels(
        &self,
        owners: &[(AccumulatorId, u32)],
        accumulator: AccumulatorId,
    ) -> Option<&str> {
        Some(self.blocks.get(owner(owners, accumulator)?))
    }

    /// Takes all numbers away, to add them once more.
    pub(in crate::rows) fn empty(&mut self) {
        self.accumulators.fill(None);
    }

    /// Takes all numbers away for a new scrape.
    pub(in crate::rows) fn reset(&mut self) {
        self.empty();
        self.limit.refused = 0;
        // A histogram has many accumulators: it is worth while to know early that a series is
        // there. Under a limit it has to be known.
        let may_be_twice = self.is_small() && self.limit.max.is_none();
        self.index.begin(self.series.is_empty() && may_be_twice);
    }

    /// Rows of this scrape that would have made more series than there may be, and went into
    /// `other`.
    pub(in crate::rows) fn refused(&self) -> u64 {
        self.limit.refused
    }

    /// Whether every series has one accumulator.
    fn is_small(&self) -> bool {
        self.families
            .iter()
            .all(|family| family.accumulators() == 1)
    }

    /// Adds to an accumulator, and so makes its series part of this scrape.
    #[inline]
    pub(in crate::rows) fn add_to(&mut self, accumulator: AccumulatorId, number: Number) {
        if let Some(accumulator) = self.accumulators.get_mut(accumulator as usize) {
            *accumulator = Some(match *accumulator {
                Some(sum) => number::add(sum, number),
                None => number,
            });
        }
    }

    /// Makes an accumulator's series part of this scrape without adding to it.
    #[inline]
    pub(in crate::rows) fn touch(&mut self, accumulator: AccumulatorId) {
        if let Some(accumulator) = self.accumulators.get_mut(accumulator as usize) {
            accumulator.get_or_insert(Number::Unsigned(0));
        }
    }

    /// Whether there are series that no scrape since `oldest` has added to.
    pub(in crate::rows) fn any_older(&self, oldest: u32) -> bool {
        self.series.iter().any(|series| series.seen < oldest)
    }

    /// Leaves out the series that no scrape since `oldest` has added to. Gives the new id of each
    /// accumulator, or `REMOVED`.
    pub(in crate::rows) fn compact(&mut self, oldest: u32) -> Vec<AccumulatorId> {
        let limit = Limit::new(self.limit.max, self.families.len());
        let expiry = self.expiry.as_ref().map(Expiry::emptied);
        let families = std::mem::take(&mut self.families);
        let mut kept = Self::with(families, limit, expiry, self.kept.rule());
        let mut moved = vec![REMOVED; self.accumulators.len()];
        let mut adding = kept.adding();
        let mut sorted = 0;
        for (index, series) in (0..).zip(&self.series) {
            let Some(shape) = adding.families.get(series.family as usize) else {
                continue;
            };
            let block = self.blocks.get(index);
            if series.seen < oldest || adding.blocks.push(block).is_none() {
                continue;
            }
            if *block != *shape.other {
                adding.limit.count(series.family);
            }
            let accumulators = shape.accumulators();
            adding.born = self.starts.get(index as usize).copied().unwrap_or_default();
            let first_accumulator = adding.push(series.family, accumulators, series.seen);
            if let Some((kept, all)) = adding.expiry.as_deref_mut().zip(self.expiry.as_ref()) {
                kept.take_over(all, index);
            }
            let from = series.first_accumulator as usize;
            for (accumulator, new) in moved[from..][..accumulators]
                .iter_mut()
                .zip(first_accumulator..)
            {
                *accumulator = new;
            }
            sorted += usize::from((index as usize) < self.sorted);
        }
        kept.sorted = sorted;
        kept.limit.refused = self.limit.refused;
        kept.scales = std::mem::take(&mut self.scales);
        kept.kept.take_over(&self.kept, &moved);
        kept.born = self.born;
        *self = kept;
        moved
    }

    /// The families with the series that this scrape has added to, sorted by their labels. Families
    /// without series are left out. Call `sort` before.
    pub(in crate::rows) fn families(&mut self, end: &ScrapeEnd) -> Vec<Family> {
        self.kept.apply(
            &self.families,
            &self.series,
            &mut self.accumulators,
            end.now,
        );
        let mut lifetimes = Lifetimes {
            scrape: end.scrape,
            since: end.since,
            begun: Vec::new(),
        };
        let columns = self.columns(&mut lifetimes, end.now);
        self.date(lifetimes.begun, end.begun);
        let families = columns.into_iter().filter_map(|(family, indexes, values)| {
            let columns = Columns {
                blocks: Arc::clone(&self.blocks),
                starts: Arc::clone(&self.starts),
                indexes,
                values,
            };
            let shape = self.families.get(family as usize)?;
            (!columns.is_empty()).then(|| Family {
                meta: Arc::clone(&shape.meta),
                samples: columns.into(),
            })
        });
        families.collect()
    }

    /// Says when series were 0: those that come, and those that have fallen in the scrape that has
    /// begun at `begun`.
    fn date(&mut self, added: Vec<u32>, begun: StartTime) {
        let Self {
            series,
            starts,
            kept,
            born,
            ..
        } = self;
        if !added.is_empty() {
            let starts = Arc::make_mut(starts);
            for index in added {
                if let Some(start) = starts.get_mut(index as usize) {
                    *start = *born;
                }
            }
        }
        if kept.any_fallen() {
            let all = Arc::make_mut(starts).iter_mut().zip(series);
            for (start, series) in all {
                if kept.has_fallen(series.first_accumulator) {
                    *start = begun;
                }
            }
            kept.forget_falls();
        }
    }

    /// The numbers of each family, by its index.
    fn columns(
        &mut self,
        lifetimes: &mut Lifetimes,
        now: Instant,
    ) -> Vec<(u32, BlockIndexes, ColumnValues)> {
        let mut columns = Vec::new();
        let mut start = 0;
        let Self {
            families: shapes,
            series,
            accumulators,
            scales,
            expiry,
            ..
        } = self;
        for of_family in series.chunk_by_mut(|a, b| a.family == b.family) {
            let range = start..start + of_family.len() as u32;
            start = range.end;
            let Some(family) = of_family.first().map(|series| series.family) else {
                continue;
            };
            let Some(shape) = shapes.get(family as usize) else {
                continue;
            };
            let scale = scales.get(family);
            let histogram = (shape.meta.kind == Kind::Histogram).then_some(shape);
            let (indexes, mut values) = match (histogram, &mut *expiry) {
                (None, None) => numbers(of_family, accumulators, range, lifetimes, |_, _| true),
                (None, Some(expiry)) => numbers(
                    of_family,
                    accumulators,
                    range,
                    lifetimes,
                    |index, accumulators| expiry.is_fresh(index, accumulators, now),
                ),
                (Some(shape), expiry) => histograms(
                    shape,
                    of_family,
                    accumulators,
                    range,
                    lifetimes,
                    |index, accumulators| {
                        let expiry = expiry.as_mut();
                        expiry.is_none_or(|expiry| expiry.is_fresh(index, accumulators, now))
                    },
                ),
            };
            match &mut values {
                ColumnValues::Numbers(numbers) => scale.apply_all(numbers),
                ColumnValues::Histograms { sums, .. } => scale.apply_all(sums),
            }
            columns.push((family, indexes, values));
        }
        columns
    }

    /// Sorts new series in. Costs nothing if there are none, else a comparison and a copy for each
    /// series. Gives the new id of each accumulator if there were series of the same labels, which
    /// are one now.
    pub(in crate::rows) fn sort(&mut self) -> Option<Vec<AccumulatorId>> {
        if self.sorted == self.series.len() {
            return None;
        }
        let (series, blocks) = (&self.series, &self.blocks);
        let family = |index: u32| series[index as usize].family;
        let Order {
            indexes,
            duplicates,
        } = Order::of(blocks, family, self.sorted, series.len());
        let mut moved = None;
        for (kept, duplicate) in duplicates {
            // Only families with one accumulator a series get here.
            let accumulator = |index: u32| series[index as usize].first_accumulator;
            let (to, from) = (accumulator(kept), accumulator(duplicate));
            let number = self.accumulators[from as usize].take();
            if let Some(number) = number {
                let sum = &mut self.accumulators[to as usize];
                *sum = Some(sum.map_or(number, |sum| number::add(sum, number)));
            }
            let all = 0..self.accumulators.len() as AccumulatorId;
            moved.get_or_insert_with(|| all.collect::<Vec<_>>())[from as usize] = to;
            self.kept.join(to, from);
        }
        self.index.move_to(&indexes, series.len());
        if let Some(expiry) = &mut self.expiry {
            expiry.move_to(&indexes);
        }
        let starts = indexes.iter().map(|&old| self.starts.get(old as usize));
        self.starts = Arc::new(
            starts
                .map(|start| start.copied().unwrap_or_default())
                .collect(),
        );
        self.blocks = Arc::new(blocks.in_order(&indexes));
        self.series = indexes.iter().map(|&old| series[old as usize]).collect();
        self.sorted = self.series.len();
        moved
    }
}
