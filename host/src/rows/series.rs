//! The series that keys add to, and their numbers in the running scrape.
//!
//! All of it lies in the order of the output, so that a scrape goes through memory once from front to back: the label blocks, the series, and
//! (by their first slot) the numbers. New series are put in their place when the next scrape ends; what entries remember are slots, which do not move.

use std::sync::Arc;
use std::time::Instant;

use super::accumulate;
use super::baseline::Baseline;
use super::expiry::Expiry;
use super::index::Index;
use super::limit::Limit;
use super::order::Order;
use super::reading::{histograms, numbers};
use crate::config::SeriesBounds;
use crate::exposition::{Columns, Family, FamilyMeta, Kind, LabelBlocks, Number};
use crate::plugin::Slot;

/// Index of a slot: a number that entries add to.
pub(super) type AccumulatorId = u32;

/// Where a slot is after `compact`, if its series is gone.
pub(super) const GONE: AccumulatorId = AccumulatorId::MAX;

/// A family of the metric, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct FamilyShape {
    pub(super) meta: Arc<FamilyMeta>,
    /// A histogram's finite bounds.
    pub(super) bounds: Arc<[f64]>,
    /// The labels of the series that stands for those over the limit.
    pub(super) other: Arc<str>,
}

impl FamilyShape {
    /// One number, or each bucket with +Inf's and the sum.
    pub(super) fn slots(&self) -> usize {
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
    limit: Limit,
    /// Where series that stand still are left out.
    expiry: Option<Expiry>,
    /// Of series that are shown from 0.
    baseline: Option<Box<Baseline>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) family: u32,
    pub(super) first_slot: AccumulatorId,
    /// The scrape that last added to it.
    pub(super) seen: u32,
}

/// The set while series are added to it.
pub(super) struct Adding<'a> {
    families: &'a [FamilyShape],
    series: &'a mut Vec<Series>,
    blocks: &'a mut LabelBlocks,
    index: &'a mut Index,
    slots: &'a mut Vec<Option<Number>>,
    limit: &'a mut Limit,
    expiry: Option<&'a mut Expiry>,
}

impl SeriesSet {
    pub(super) fn new(families: Vec<FamilyShape>, bounds: SeriesBounds) -> Self {
        let limit = Limit::new(bounds.max_series, families.len());
        Self::with(families, limit, bounds.expire.map(Expiry::new))
    }

    fn with(families: Vec<FamilyShape>, limit: Limit, expiry: Option<Expiry>) -> Self {
        Self {
            families,
            limit,
            expiry,
            series: Vec::new(),
            blocks: Arc::default(),
            expected: 0,
            sorted: 0,
            index: Index::default(),
            slots: Vec::new(),
            baseline: None,
        }
    }

    /// From the next complete scrape on.
    pub(super) fn show_from_zero(&mut self) {
        self.baseline = Some(Box::default());
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
            limit: &mut self.limit,
            expiry: self.expiry.as_mut(),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Where to find the series that a slot belongs to: its first slot and its place, ascending.
    pub(super) fn owners(&self) -> Vec<(AccumulatorId, u32)> {
        let mut owners: Vec<_> = (0..)
            .zip(&self.series)
            .map(|(place, series)| (series.first_slot, place))
            .collect();
        owners.sort_unstable();
        owners
    }

    /// The labels of the series that a slot belongs to. `owners`: of `self.owners()`.
    pub(super) fn labels(
        &self,
        owners: &[(AccumulatorId, u32)],
        slot: AccumulatorId,
    ) -> Option<&str> {
        let after = owners.partition_point(|&(first, _)| first <= slot);
        let (_, place) = *owners.get(after.checked_sub(1)?)?;
        Some(self.blocks.get(place))
    }

    /// Takes all numbers away for a new scrape.
    pub(super) fn reset(&mut self) {
        self.slots.fill(None);
        self.limit.refused = 0;
        // Slots of a histogram are many: it is worth while to know early that a series is there. Under a limit it has to be known.
        let may_be_twice = self.is_small() && self.limit.most.is_none();
        self.index.begin(self.series.is_empty() && may_be_twice);
    }

    /// Rows of this scrape that would have made more series than there may be, and went into `other`.
    pub(super) fn refused(&self) -> u64 {
        self.limit.refused
    }

    /// Whether every series has one slot.
    fn is_small(&self) -> bool {
        self.families.iter().all(|family| family.slots() == 1)
    }

    /// Adds to a slot, and so makes its series part of this scrape.
    #[inline]
    pub(super) fn add_to(&mut self, slot: AccumulatorId, number: Number) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = Some(match *slot {
                Some(sum) => accumulate::add(sum, number),
                None => number,
            });
        }
    }

    /// Makes a slot's series part of this scrape without adding to it.
    #[inline]
    pub(super) fn touch(&mut self, slot: AccumulatorId) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.get_or_insert(Number::Unsigned(0));
        }
    }

    /// Whether there are series that no scrape since `oldest` has added to.
    pub(super) fn any_older(&self, oldest: u32) -> bool {
        self.series.iter().any(|series| series.seen < oldest)
    }

    /// Leaves out the series that no scrape since `oldest` has added to. Gives the new place of each slot, or `GONE`.
    pub(super) fn compact(&mut self, oldest: u32) -> Vec<AccumulatorId> {
        let limit = Limit::new(self.limit.most, self.families.len());
        let expiry = self.expiry.as_ref().map(Expiry::emptied);
        let mut kept = Self::with(std::mem::take(&mut self.families), limit, expiry);
        let mut moved = vec![GONE; self.slots.len()];
        let mut adding = kept.adding();
        let mut sorted = 0;
        for (place, series) in (0..).zip(&self.series) {
            let Some(shape) = adding.families.get(series.family as usize) else {
                continue;
            };
            let block = self.blocks.get(place);
            if series.seen < oldest || adding.blocks.push(block).is_none() {
                continue;
            }
            if *block != *shape.other {
                adding.limit.count(series.family);
            }
            let slots = shape.slots();
            let first_slot = adding.push(series.family, slots, series.seen);
            if let Some((kept, all)) = adding.expiry.as_deref_mut().zip(self.expiry.as_ref()) {
                kept.take_over(all, place);
            }
            let from = series.first_slot as usize;
            for (slot, new) in moved[from..][..slots].iter_mut().zip(first_slot..) {
                *slot = new;
            }
            sorted += usize::from((place as usize) < self.sorted);
        }
        kept.sorted = sorted;
        kept.limit.refused = self.limit.refused;
        kept.baseline = self.baseline.take();
        if let Some(baseline) = &mut kept.baseline {
            baseline.move_to(&moved, kept.slots.len());
        }
        *self = kept;
        moved
    }

    /// The families with the series that this scrape, number `scrape`, has added to, sorted by their labels. Families without series are left out.
    /// Call `sort` before. `complete`: the scrape has seen every entry.
    pub(super) fn families(&mut self, scrape: u32, now: Instant, complete: bool) -> Vec<Family> {
        if let Some(baseline) = &mut self.baseline
            && !baseline.take_off(&self.families, &self.series, &mut self.slots, complete)
        {
            return Vec::new();
        }
        let mut families: Vec<Family> = Vec::new();
        let mut start = 0;
        let Self {
            families: shapes,
            series,
            blocks,
            slots,
            expiry,
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
            let histogram = (shape.meta.kind == Kind::Histogram).then_some(shape);
            let (places, values) = match (histogram, &mut *expiry) {
                (None, None) => numbers(of_family, slots, range, scrape, |_, _| true),
                (None, Some(expiry)) => numbers(of_family, slots, range, scrape, |place, slots| {
                    expiry.is_fresh(place, slots, now)
                }),
                (Some(shape), expiry) => {
                    histograms(shape, of_family, slots, range, scrape, |place, slots| {
                        let expiry = expiry.as_mut();
                        expiry.is_none_or(|expiry| expiry.is_fresh(place, slots, now))
                    })
                }
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
    pub(super) fn sort(&mut self) -> Option<Vec<AccumulatorId>> {
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
            let all = 0..self.slots.len() as AccumulatorId;
            moved.get_or_insert_with(|| all.collect::<Vec<_>>())[from as usize] = to;
        }
        self.index.move_to(&places, series.len());
        if let Some(expiry) = &mut self.expiry {
            expiry.move_to(&places);
        }
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
    pub(super) fn slot(&mut self, family: u32, slot: Slot, block: &str) -> Option<AccumulatorId> {
        let shape = self.families.get(family as usize)?;
        let offset = match slot {
            Slot::Value | Slot::None => 0,
            Slot::Bucket(bucket) => bucket,
            Slot::Sum => u32::try_from(shape.bounds.len() + 1).ok()?,
        };
        let slots = shape.slots();
        let is_over = self.limit.is_reached(family) && !self.is_known(family, block);
        self.limit.refused += u64::from(is_over);
        let block = if is_over { &*shape.other } else { block };
        AccumulatorId::try_from(self.slots.len() + slots).ok()?;
        let fresh = self.blocks.push(block)?;
        let series = &*self.series;
        let labels = |place| (series[place as usize].family, self.blocks.get(place));
        match self.index.find_or_add((family, block), fresh, labels) {
            None => {
                if !is_over {
                    self.limit.count(family);
                }
                Some(self.push(family, slots, 0) + offset)
            }
            Some(known) => {
                self.blocks.pop();
                let known = self.series.get(known as usize)?;
                known.first_slot.checked_add(offset)
            }
        }
    }

    /// Whether there is a series with these labels.
    fn is_known(&mut self, family: u32, block: &str) -> bool {
        let series = &*self.series;
        let labels = |place| (series[place as usize].family, self.blocks.get(place));
        let total = series.len() as u32;
        self.index.has((family, block), total, labels)
    }

    /// Makes the series of the last block.
    fn push(&mut self, family: u32, slots: usize, seen: u32) -> AccumulatorId {
        let first_slot = self.slots.len();
        self.slots.resize(first_slot + slots, None);
        let first_slot = first_slot as AccumulatorId;
        if let Some(expiry) = &mut self.expiry {
            expiry.push();
        }
        self.series.push(Series {
            family,
            first_slot,
            seen,
        });
        first_slot
    }
}
