//! The series that keys add to, and their numbers in the running scrape.
//!
//! All of it lies in the order of the output, so that a scrape goes through memory once from front
//! to back: the label blocks, the series, and (by their first accumulator) the numbers. New series
//! are sorted in when the next scrape ends; what cached keys remember are accumulators, which do
//! not move.

use std::sync::Arc;
use std::time::Instant;

use super::baseline::Baseline;
use super::columns::{histograms, numbers};
use super::expiry::Expiry;
use super::index::Index;
use super::limit::Limit;
use super::order::Order;
use super::scale::Scales;
use super::{AccumulatorId, FamilyShape, REMOVED, Series};
use crate::config::SeriesBounds;
use crate::exposition::{ColumnValues, Columns, Family, Kind, LabelBlocks, Number};
use crate::plugin::SeriesPart;
use crate::rows::number;

/// Every series of one metric, over all its families.
#[derive(Debug)]
pub(in crate::rows) struct SeriesSet {
    families: Vec<FamilyShape>,
    /// A series and its labels in `blocks` have the same index.
    series: Vec<Series>,
    /// Shared with the bodies that are still being sent.
    blocks: Arc<LabelBlocks>,
    /// So many series are likely to come, where that is known.
    expected: usize,
    /// So many of them are in the order of the output: by family and labels.
    sorted: usize,
    index: Index,
    /// None: nothing has been added in this scrape.
    accumulators: Vec<Option<Number>>,
    limit: Limit,
    scales: Scales,
    /// Where series that stand still are left out.
    expiry: Option<Expiry>,
    /// Of series that are shown from 0.
    baseline: Option<Box<Baseline>>,
}

/// The set while series are added to it.
pub(in crate::rows) struct Adding<'a> {
    families: &'a [FamilyShape],
    series: &'a mut Vec<Series>,
    blocks: &'a mut LabelBlocks,
    index: &'a mut Index,
    accumulators: &'a mut Vec<Option<Number>>,
    limit: &'a mut Limit,
    scales: &'a mut Scales,
    expiry: Option<&'a mut Expiry>,
}

impl SeriesSet {
    pub(in crate::rows) fn new(families: Vec<FamilyShape>, bounds: SeriesBounds) -> Self {
        let limit = Limit::new(bounds.max_series, families.len());
        Self::with(families, limit, bounds.expire.map(Expiry::new))
    }

    fn with(families: Vec<FamilyShape>, limit: Limit, expiry: Option<Expiry>) -> Self {
        Self {
            scales: Scales::new(families.len()),
            families,
            limit,
            expiry,
            series: Vec::new(),
            blocks: Arc::default(),
            expected: 0,
            sorted: 0,
            index: Index::default(),
            accumulators: Vec::new(),
            baseline: None,
        }
    }

    /// From the next complete scrape on.
    pub(in crate::rows) fn show_from_zero(&mut self) {
        self.baseline = Some(Box::default());
    }

    /// Says how many series a first scrape may find. Room is reserved: memory that isn't written to
    /// costs nothing, moving what has grown does.
    pub(in crate::rows) fn expect(&mut self, series: usize) {
        self.expected = series;
        // Where there is none to reserve, it grows step by step.
        let _ = self.series.try_reserve_exact(series);
        if self.is_small() {
            let _ = self.accumulators.try_reserve_exact(series);
        }
    }

    /// Gives back what was reserved and is not needed.
    pub(in crate::rows) fn shrink(&mut self) {
        self.series.shrink_to_fit();
        self.accumulators.shrink_to_fit();
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
        let after = owners.partition_point(|&(first, _)| first <= accumulator);
        let (_, index) = *owners.get(after.checked_sub(1)?)?;
        Some(self.blocks.get(index))
    }

    /// Takes all numbers away for a new scrape.
    pub(in crate::rows) fn reset(&mut self) {
        self.accumulators.fill(None);
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
        let mut kept = Self::with(std::mem::take(&mut self.families), limit, expiry);
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
        kept.baseline = self.baseline.take();
        if let Some(baseline) = &mut kept.baseline {
            baseline.move_to(&moved, kept.accumulators.len());
        }
        *self = kept;
        moved
    }

    /// The families with the series that this scrape, number `scrape`, has added to, sorted by
    /// their labels. Families without series are left out. Call `sort` before. `complete`: the
    /// scrape has seen every entry.
    pub(in crate::rows) fn families(
        &mut self,
        scrape: u32,
        now: Instant,
        complete: bool,
    ) -> Vec<Family> {
        if let Some(baseline) = &mut self.baseline
            && !baseline.take_off(
                &self.families,
                &self.series,
                &mut self.accumulators,
                complete,
            )
        {
            return Vec::new();
        }
        let mut families: Vec<Family> = Vec::new();
        let mut start = 0;
        let Self {
            families: shapes,
            series,
            blocks,
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
                (None, None) => numbers(of_family, accumulators, range, scrape, |_, _| true),
                (None, Some(expiry)) => numbers(
                    of_family,
                    accumulators,
                    range,
                    scrape,
                    |index, accumulators| expiry.is_fresh(index, accumulators, now),
                ),
                (Some(shape), expiry) => histograms(
                    shape,
                    of_family,
                    accumulators,
                    range,
                    scrape,
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
            let columns = Columns {
                blocks: Arc::clone(blocks),
                indexes,
                values,
            };
            if !columns.is_empty() {
                families.push(Family {
                    meta: Arc::clone(&shape.meta),
                    samples: columns.into(),
                });
            }
        }
        families
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
        }
        self.index.move_to(&indexes, series.len());
        if let Some(expiry) = &mut self.expiry {
            expiry.move_to(&indexes);
        }
        self.blocks = Arc::new(blocks.in_order(&indexes));
        self.series = indexes.iter().map(|&old| series[old as usize]).collect();
        self.sorted = self.series.len();
        moved
    }
}

impl Adding<'_> {
    /// The accumulator of the series of `family` with these labels; the series is made if it is
    /// new. None: no such family, or no more room. For `SeriesPart::None` any accumulator of the
    /// series: see `touch`.
    #[inline]
    pub(in crate::rows) fn accumulator(
        &mut self,
        family: u32,
        part: SeriesPart,
        block: &str,
    ) -> Option<AccumulatorId> {
        let shape = self.families.get(family as usize)?;
        let offset = match part {
            SeriesPart::Value | SeriesPart::None => 0,
            SeriesPart::Bucket(bucket) => bucket,
            SeriesPart::Sum => u32::try_from(shape.bounds.len() + 1).ok()?,
        };
        let accumulators = shape.accumulators();
        let is_over = self.limit.is_reached(family) && !self.is_known(family, block);
        self.limit.refused += u64::from(is_over);
        let block = if is_over { &*shape.other } else { block };
        AccumulatorId::try_from(self.accumulators.len() + accumulators).ok()?;
        let fresh = self.blocks.push(block)?;
        let series = &*self.series;
        let labels = |index| (series[index as usize].family, self.blocks.get(index));
        match self.index.find_or_add((family, block), fresh, labels) {
            None => {
                if !is_over {
                    self.limit.count(family);
                }
                Some(self.push(family, accumulators, 0) + offset)
            }
            Some(known) => {
                self.blocks.pop();
                let known = self.series.get(known as usize)?;
                known.first_accumulator.checked_add(offset)
            }
        }
    }

    /// What a number has to be multiplied with before it is added to an accumulator of the family,
    /// if it is to be multiplied with `factor` in all.
    #[inline]
    pub(in crate::rows) fn relative_scale(
        &mut self,
        family: u32,
        part: SeriesPart,
        factor: f64,
    ) -> f64 {
        match part {
            SeriesPart::Value | SeriesPart::Sum => self.scales.relative(family, factor),
            SeriesPart::Bucket(_) | SeriesPart::None => factor,
        }
    }

    /// Whether there is a series with these labels.
    fn is_known(&mut self, family: u32, block: &str) -> bool {
        let series = &*self.series;
        let labels = |index| (series[index as usize].family, self.blocks.get(index));
        let total = series.len() as u32;
        self.index.has((family, block), total, labels)
    }

    /// Makes the series of the last block.
    fn push(&mut self, family: u32, accumulators: usize, seen: u32) -> AccumulatorId {
        let first_accumulator = self.accumulators.len();
        self.accumulators
            .resize(first_accumulator + accumulators, None);
        let first_accumulator = first_accumulator as AccumulatorId;
        if let Some(expiry) = &mut self.expiry {
            expiry.push();
        }
        self.series.push(Series {
            family,
            first_accumulator,
            seen,
        });
        first_accumulator
    }
}
