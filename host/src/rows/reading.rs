//! From the slots of a scrape to the samples of a family.

use std::ops::Range;
use std::sync::Arc;

use super::accumulate;
use super::series::{FamilyShape, Series};
use crate::exposition::{ColumnValues, Number, Places};

/// Reads the numbers of a family's series and marks those that have one.
pub(super) fn numbers(
    of_family: &mut [Series],
    slots: &[Option<Number>],
    range: Range<u32>,
    scrape: u32,
    mut is_shown: impl FnMut(u32, &[Option<Number>]) -> bool,
) -> (Places, ColumnValues) {
    // Slots lie in the order of the map. Fetched with nothing else to do, many are on their way from memory at once.
    const TOGETHER: usize = 128;
    let mut fetched = [None; TOGETHER];
    let mut values = Vec::with_capacity(of_family.len());
    let mut found = Found::default();
    for (part, first) in of_family
        .chunks_mut(TOGETHER)
        .zip(range.clone().step_by(TOGETHER))
    {
        for (number, series) in fetched.iter_mut().zip(&*part) {
            *number = slots.get(series.first_slot as usize).copied().flatten();
        }
        for ((series, number), place) in part.iter_mut().zip(fetched).zip(first..) {
            let is_part = number.is_some() && is_shown(place, &[number]);
            found.next(place, range.start, is_part);
            if let Some(number) = number {
                series.seen = scrape;
                if is_part {
                    values.push(number);
                }
            }
        }
    }
    (found.places(range), ColumnValues::Numbers(values))
}

pub(super) fn histograms(
    shape: &FamilyShape,
    of_family: &mut [Series],
    slots: &[Option<Number>],
    range: Range<u32>,
    scrape: u32,
    mut is_shown: impl FnMut(u32, &[Option<Number>]) -> bool,
) -> (Places, ColumnValues) {
    let width = shape.slots();
    let mut counts = Vec::with_capacity(of_family.len() * (width - 1));
    let mut sums = Vec::with_capacity(of_family.len());
    let mut found = Found::default();
    for (series, place) in of_family.iter_mut().zip(range.clone()) {
        let first = series.first_slot as usize;
        let of_series = slots.get(first..first + width).unwrap_or_default();
        if of_series.iter().all(Option::is_none) {
            found.next(place, range.start, false);
            continue;
        }
        series.seen = scrape;
        let is_part = is_shown(place, of_series);
        found.next(place, range.start, is_part);
        if let [buckets @ .., sum] = of_series
            && is_part
        {
            let count = |bucket: &Option<Number>| bucket.map_or(0, accumulate::as_count);
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
    (found.places(range), values)
}

/// Which places of a family have a sample in this scrape: nearly always all.
#[derive(Default)]
struct Found(Option<Vec<u32>>);

impl Found {
    /// Says it of a place; `first`: the first one, from which on they come in order.
    #[inline]
    fn next(&mut self, place: u32, first: u32, is_part: bool) {
        match &mut self.0 {
            Some(some) if is_part => some.push(place),
            None if !is_part => self.0 = Some((first..place).collect()),
            _ => {}
        }
    }

    fn places(self, all: Range<u32>) -> Places {
        self.0.map_or(Places::Range(all), Places::List)
    }
}
