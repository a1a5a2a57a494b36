//! From the accumulators of a scrape to the samples of a family.

use std::ops::Range;
use std::sync::Arc;

use super::{FamilyShape, Series};
use crate::exposition::{BlockIndexes, ColumnValues, Number};
use crate::rows::number;

/// Which scrape it is, and which series begin with it.
pub(super) struct Lifetimes {
    pub(super) scrape: u32,
    /// A series that has not been seen since this one had no key for a while.
    pub(super) since: u32,
    /// Indexes of those that had no key, and have one now.
    pub(super) begun: Vec<u32>,
}

impl Lifetimes {
    #[inline]
    fn see(&mut self, series: &mut Series, index: u32) {
        if series.seen < self.since {
            self.begun.push(index);
        }
        series.seen = self.scrape;
    }
}

/// Reads the numbers of a family's series and marks those that have one.
pub(super) fn numbers(
    of_family: &mut [Series],
    accumulators: &[Option<Number>],
    range: Range<u32>,
    lifetimes: &mut Lifetimes,
    mut is_shown: impl FnMut(u32, &[Option<Number>]) -> bool,
) -> (BlockIndexes, ColumnValues) {
    // Accumulators lie in the order of the map. Fetched with nothing else to do, many are on their
    // way from memory at once.
    const TOGETHER: usize = 128;
    let mut fetched = [None; TOGETHER];
    let mut values = Vec::with_capacity(of_family.len());
    let mut found = Found::default();
    for (part, first) in of_family
        .chunks_mut(TOGETHER)
        .zip(range.clone().step_by(TOGETHER))
    {
        for (number, series) in fetched.iter_mut().zip(&*part) {
            *number = accumulators
                .get(series.first_accumulator as usize)
                .copied()
                .flatten();
        }
        for ((series, number), index) in part.iter_mut().zip(fetched).zip(first..) {
            let is_part = number.is_some() && is_shown(index, &[number]);
            found.next(index, range.start, is_part);
            if let Some(number) = number {
                lifetimes.see(series, index);
                if is_part {
                    values.push(number);
                }
            }
        }
    }
    (found.indexes(range), ColumnValues::Numbers(values))
}

pub(super) fn histograms(
    shape: &FamilyShape,
    of_family: &mut [Series],
    accumulators: &[Option<Number>],
    range: Range<u32>,
    lifetimes: &mut Lifetimes,
    mut is_shown: impl FnMut(u32, &[Option<Number>]) -> bool,
) -> (BlockIndexes, ColumnValues) {
    let width = shape.accumulators();
    let mut counts = Vec::with_capacity(of_family.len() * (width - 1));
    let mut sums = Vec::with_capacity(of_family.len());
    let mut found = Found::default();
    for (series, index) in of_family.iter_mut().zip(range.clone()) {
        let first = series.first_accumulator as usize;
        let of_series = accumulators.get(first..first + width).unwrap_or_default();
        if of_series.iter().all(Option::is_none) {
            found.next(index, range.start, false);
            continue;
        }
        lifetimes.see(series, index);
        let is_part = is_shown(index, of_series);
        found.next(index, range.start, is_part);
        if let [buckets @ .., sum] = of_series
            && is_part
        {
            let count = |bucket: &Option<Number>| bucket.map_or(0, number::as_count);
            counts.extend(buckets.iter().map(count));
            sums.push(sum.unwrap_or(Number::Unsigned(0)));
        }
    }
    let bounds = Arc::clone(&shape.bounds);
    let values = ColumnValues::Histograms {
        bounds,
        counts,
        sums,
    };
    (found.indexes(range), values)
}

/// Which indexes of a family have a sample in this scrape: nearly always all.
#[derive(Default)]
struct Found(Option<Vec<u32>>);

impl Found {
    /// Says it of a index; `first`: the first one, from which on they come in order.
    #[inline]
    fn next(&mut self, index: u32, first: u32, is_part: bool) {
        match &mut self.0 {
            Some(some) if is_part => some.push(index),
            None if !is_part => self.0 = Some((first..index).collect()),
            _ => {}
        }
    }

    fn indexes(self, all: Range<u32>) -> BlockIndexes {
        self.0.map_or(BlockIndexes::Range(all), BlockIndexes::List)
    }
}
