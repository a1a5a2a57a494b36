//! The series that keys add to, and their numbers in the running scrape.
//!
//! All of it lies in the order of the output, so that a scrape goes through memory once from front to back: the label blocks, the series, and
//! (by their first slot) the numbers. New series are put in their place when the next scrape ends; what entries remember are slots, which do not move.

use std::sync::Arc;

use super::accumulate;
use super::index::Index;
use super::order::Order;
use crate::exposition::{
    ColumnValues, Columns, Family, FamilyMeta, Kind, LabelBlocks, Number, Places,
};
use crate::plugin::Slot;

/// Index of a slot: a number that entries add to.
pub(super) type SlotId = u32;

/// Where a slot is after `compact`, if its series is gone.
pub(super) const GONE: SlotId = SlotId::MAX;

/// A family of the metric, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct FamilyShape {
    pub(super) meta: Arc<FamilyMeta>,
    /// A histogram's finite bounds.
    pub(super) bounds: Arc<[f64]>,
}

impl FamilyShape {
    /// One number, or each bucket with +Inf's and the sum.
    fn slots(&self) -> usize {
        if self.meta.kind == Kind::Histogram {
            self.bounds.len() + 2
        } else {
            1
        }
    }
}

/// Every series of one metric, over all its families.
#[derive(Debug)]
pub(super) struct SeriesSet {
    families: Vec<FamilyShape>,
    /// A series' index here is its place: also that of its labels in `blocks`.
    series: Vec<Series>,
    /// Shared with the bodies that are still being sent.
    blocks: Arc<LabelBlocks>,
    /// So many series are likely to come, where that is known.
    expected: usize,
    /// So many of them are in the order of the output: by family and labels.
    sorted: usize,
    index: Index,
    /// None: nothing has been added in this scrape.
    slots: Vec<Option<Number>>,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    family: u32,
    first_slot: SlotId,
    /// The scrape that last added to it.
    seen: u32,
}

/// The set while series are added to it.
pub(super) struct Adding<'a> {
    families: &'a [FamilyShape],
    series: &'a mut Vec<Series>,
    blocks: &'a mut LabelBlocks,
    index: &'a mut Index,
    slots: &'a mut Vec<Option<Number>>,
}

impl SeriesSet {
    pub(super) fn new(families: Vec<FamilyShape>) -> Self {
        Self {
            families,
            series: Vec::new(),
            blocks: Arc::default(),
            expected: 0,
            sorted: 0,
            index: Index::default(),
            slots: Vec::new(),
        }
    }

    /// Says how many series a first scrape may find. Room is reserved: memory that isn't written to costs nothing, moving what has grown does.
    pub(super) fn expect(&mut self, series: usize) {
        self.expected = series;
        // Where there is none to reserve, it grows step by step.
        let _ = self.series.try_reserve_exact(series);
        if self.is_small() {
            let _ = self.slots.try_reserve_exact(series);
        }
    }

    /// Gives back what was reserved and is not needed.
    pub(super) fn shrink(&mut self) {
        self.series.shrink_to_fit();
        self.slots.shrink_to_fit();
    }

    pub(super) fn adding(&mut self) -> Adding<'_> {
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
            slots: &mut self.slots,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Where to find the series that a slot belongs to: its first slot and its place, ascending.
    pub(super) fn owners(&self) -> Vec<(SlotId, u32)> {
        let mut owners: Vec<_> = (0..)
            .zip(&self.series)
            .map(|(place, series)| (series.first_slot, place))
            .collect();
        owners.sort_unstable();
        owners
    }

    /// The labels of the series that a slot belongs to. `owners`: of `self.owners()`.
    pub(super) fn labels(&self, owners: &[(SlotId, u32)], slot: SlotId) -> Option<&str> {
        let after = owners.partition_point(|&(first, _)| first <= slot);
        let (_, place) = *owners.get(after.checked_sub(1)?)?;
        Some(self.blocks.get(place))
    }

    /// Takes all numbers away for a new scrape.
    pub(super) fn reset(&mut self) {
        self.slots.fill(None);
        // Slots of a histogram are many: it is worth while to know early that a series is there.
        self.index.begin(self.series.is_empty() && self.is_small());
    }

    /// Whether every series has one slot.
    fn is_small(&self) -> bool {
        self.families.iter().all(|family| family.slots() == 1)
    }

    /// Adds to a slot, and so makes its series part of this scrape.
    #[inline]
    pub(super) fn add_to(&mut self, slot: SlotId, number: Number) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = Some(match *slot {
                Some(sum) => accumulate::add(sum, number),
                None => number,
            });
        }
    }

    /// Makes a slot's series part of this scrape without adding to it.
    #[inline]
    pub(super) fn touch(&mut self, slot: SlotId) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.get_or_insert(Number::Unsigned(0));
        }
    }

    /// Whether there are series that no scrape since `oldest` has added to.
    pub(super) fn any_older(&self, oldest: u32) -> bool {
        self.series.iter().any(|series| series.seen < oldest)
    }

    /// Leaves out the series that no scrape since `oldest` has added to. Gives the new place of each slot, or `GONE`.
    pub(super) fn compact(&mut self, oldest: u32) -> Vec<SlotId> {
        let mut kept = Self::new(std::mem::take(&mut self.families));
        let mut moved = vec![GONE; self.slots.len()];
        let mut adding = kept.adding();
        let mut sorted = 0;
        for (place, series) in (0..).zip(&self.series) {
            let Some(shape) = adding.families.get(series.family as usize) else {
                continue;
            };
            if series.seen < oldest || adding.blocks.push(self.blocks.get(place)).is_none() {
                continue;
            }
            let slots = shape.slots();
            let first_slot = adding.push(series.family, slots, series.seen);
            let from = series.first_slot as usize;
            for (slot, new) in moved[from..][..slots].iter_mut().zip(first_slot..) {
                *slot = new;
            }
            sorted += usize::from((place as usize) < self.sorted);
        }
        kept.sorted = sorted;
        *self = kept;
        moved
    }

    /// The families with the series that this scrape, number `scrape`, has added to, sorted by their labels. Families without series are left out.
    /// Call `sort` before.
    pub(super) fn families(&mut self, scrape: u32) -> Vec<Family> {
        let mut families: Vec<Family> = Vec::new();
        let mut start = 0;
        let Self {
            families: shapes,
            series,
            blocks,
            slots,
            ..
        } = self;
        for of_family in series.chunk_by_mut(|a, b| a.family == b.family) {
            let range = start..start + of_family.len() as u32;
            start = range.end;
            let Some(shape) = of_family
                .first()
                .and_then(|series| shapes.get(series.family as usize))
            else {
                continue;
            };
            let (places, values) = if shape.meta.kind == Kind::Histogram {
                histograms(shape, of_family, slots, range, scrape)
            } else {
                numbers(of_family, slots, range, scrape)
            };
            let columns = Columns {
                blocks: Arc::clone(blocks),
                places,
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

    /// Puts new series in their place. Costs nothing if there are none, else a comparison and a copy for each series. Gives the new place of each
    /// slot if there were series of the same labels, which are one now.
    pub(super) fn sort(&mut self) -> Option<Vec<SlotId>> {
        if self.sorted == self.series.len() {
            return None;
        }
        let (series, blocks) = (&self.series, &self.blocks);
        let family = |place: u32| series[place as usize].family;
        let Order { places, twins } = Order::of(blocks, family, self.sorted, series.len());
        let mut moved = None;
        for (kept, twin) in twins {
            // Only families with one slot a series get here.
            let slot = |place: u32| series[place as usize].first_slot;
            let (to, from) = (slot(kept), slot(twin));
            let number = self.slots[from as usize].take();
            if let Some(number) = number {
                let sum = &mut self.slots[to as usize];
                *sum = Some(sum.map_or(number, |sum| accumulate::add(sum, number)));
            }
            let all = 0..self.slots.len() as SlotId;
            moved.get_or_insert_with(|| all.collect::<Vec<_>>())[from as usize] = to;
        }
        self.index.move_to(&places, series.len());
        self.blocks = Arc::new(blocks.in_order(&places));
        self.series = places.iter().map(|&old| series[old as usize]).collect();
        self.sorted = self.series.len();
        moved
    }
}

impl Adding<'_> {
    /// The slot of the series of `family` with these labels; the series is made if it is new. None: no such family, or no more room. For
    /// `Slot::None` any slot of the series: see `touch`.
    #[inline]
    pub(super) fn slot(&mut self, family: u32, slot: Slot, block: &str) -> Option<SlotId> {
        let shape = self.families.get(family as usize)?;
        let offset = match slot {
            Slot::Value | Slot::None => 0,
            Slot::Bucket(bucket) => bucket,
            Slot::Sum => u32::try_from(shape.bounds.len() + 1).ok()?,
        };
        let slots = shape.slots();
        SlotId::try_from(self.slots.len() + slots).ok()?;
        let fresh = self.blocks.push(block)?;
        let series = &*self.series;
        let labels = |place| (series[place as usize].family, self.blocks.get(place));
        match self.index.find_or_add((family, block), fresh, labels) {
            None => Some(self.push(family, slots, 0) + offset),
            Some(known) => {
                self.blocks.pop();
                let known = self.series.get(known as usize)?;
                known.first_slot.checked_add(offset)
            }
        }
    }

    /// Makes the series of the last block.
    fn push(&mut self, family: u32, slots: usize, seen: u32) -> SlotId {
        let first_slot = self.slots.len();
        self.slots.resize(first_slot + slots, None);
        let first_slot = first_slot as SlotId;
        self.series.push(Series {
            family,
            first_slot,
            seen,
        });
        first_slot
    }
}

/// Reads the numbers of a family's series and marks those that have one.
fn numbers(
    of_family: &mut [Series],
    slots: &[Option<Number>],
    range: std::ops::Range<u32>,
    scrape: u32,
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
            found.next(place, range.start, number.is_some());
            if let Some(number) = number {
                series.seen = scrape;
                values.push(number);
            }
        }
    }
    (found.places(range), ColumnValues::Numbers(values))
}

fn histograms(
    shape: &FamilyShape,
    of_family: &mut [Series],
    slots: &[Option<Number>],
    range: std::ops::Range<u32>,
    scrape: u32,
) -> (Places, ColumnValues) {
    let width = shape.slots();
    let mut counts = Vec::with_capacity(of_family.len() * (width - 1));
    let mut sums = Vec::with_capacity(of_family.len());
    let mut found = Found::default();
    for (series, place) in of_family.iter_mut().zip(range.clone()) {
        let first = series.first_slot as usize;
        let of_series = slots.get(first..first + width).unwrap_or_default();
        let is_part = of_series.iter().any(Option::is_some);
        found.next(place, range.start, is_part);
        if let [buckets @ .., sum] = of_series
            && is_part
        {
            series.seen = scrape;
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

    fn places(self, all: std::ops::Range<u32>) -> Places {
        self.0.map_or(Places::Range(all), Places::List)
    }
}
