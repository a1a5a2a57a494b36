//! The series that keys add to, and their numbers in the running scrape.
//!
//! All of it lies in the order of the output, so that a scrape goes through memory once from front to back: the label blocks, the series, and
//! (by their first slot) the numbers. New series are put in their place when the next scrape ends; what entries remember are slots, which do not move.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::accumulate;
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
    /// So many of them are in the order of the output: by family and labels.
    sorted: usize,
    /// Places, by family and labels.
    index: HashTable<u32>,
    hasher: RandomState,
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

/// What a new series is sorted by: the beginning of its labels decides nearly always.
struct SortKey {
    family: u32,
    place: u32,
    start: u64,
}

impl SeriesSet {
    pub(super) fn new(families: Vec<FamilyShape>) -> Self {
        Self {
            families,
            series: Vec::new(),
            blocks: Arc::default(),
            sorted: 0,
            index: HashTable::new(),
            hasher: RandomState::default(),
            slots: Vec::new(),
        }
    }

    /// The slot of the series of `family` with these labels; the series is made if it is new. None: no such family, or no more room.
    /// For `Slot::None` any slot of the series: see `touch`.
    pub(super) fn slot(&mut self, family: u32, labels: &str, slot: Slot) -> Option<SlotId> {
        let shape = self.families.get(family as usize)?;
        let offset = match slot {
            Slot::Value | Slot::None => 0,
            Slot::Bucket(bucket) => bucket,
            Slot::Sum => u32::try_from(shape.bounds.len() + 1).ok()?,
        };
        let slots = shape.slots();
        let hash = self.hasher.hash_one((family, labels));
        let (series, blocks) = (&self.series, &self.blocks);
        let known = self.index.find(hash, |&place| {
            series[place as usize].family == family && blocks.get(place) == labels
        });
        let place = match known {
            Some(&place) => place,
            None => self.add(family, labels, slots, hash)?,
        };
        self.series[place as usize].first_slot.checked_add(offset)
    }

    fn add(&mut self, family: u32, labels: &str, slots: usize, hash: u64) -> Option<u32> {
        let first_slot = SlotId::try_from(self.slots.len()).ok()?;
        let end = SlotId::try_from(self.slots.len() + slots).ok()?;
        // Copies the blocks if a body of the last scrape is still being sent; that is rare.
        let place = Arc::make_mut(&mut self.blocks).push(labels)?;
        self.slots.resize(end as usize, None);
        self.series.push(Series {
            family,
            first_slot,
            seen: 0,
        });
        let Self {
            series,
            blocks,
            index,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, place, |&place| {
            hasher.hash_one((series[place as usize].family, blocks.get(place)))
        });
        Some(place)
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

    /// The labels of the series that a slot belongs to.
    pub(super) fn labels(&self, owners: &[(SlotId, u32)], slot: SlotId) -> Option<&str> {
        let after = owners.partition_point(|&(first, _)| first <= slot);
        let (_, place) = *owners.get(after.checked_sub(1)?)?;
        Some(self.blocks.get(place))
    }

    /// Takes all numbers away for a new scrape.
    pub(super) fn reset(&mut self) {
        self.slots.fill(None);
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
        for (place, series) in (0..).zip(&self.series) {
            let slots = kept.families.get(series.family as usize);
            let Some(slots) = slots.map(FamilyShape::slots) else {
                continue;
            };
            if series.seen < oldest {
                continue;
            }
            let labels = self.blocks.get(place);
            let hash = kept.hasher.hash_one((series.family, labels));
            let Some(new) = kept.add(series.family, labels, slots, hash) else {
                continue;
            };
            kept.series[new as usize].seen = series.seen;
            let (from, to) = (series.first_slot, kept.series[new as usize].first_slot);
            for (slot, new) in moved[from as usize..][..slots].iter_mut().zip(to..) {
                *slot = new;
            }
            kept.sorted += usize::from((place as usize) < self.sorted);
        }
        *self = kept;
        moved
    }

    /// The families with the series that this scrape, number `scrape`, has added to, sorted by their labels. Families without series are left out.
    pub(super) fn families(&mut self, scrape: u32) -> Vec<Family> {
        self.sort();
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

    /// Puts new series in their place. Costs nothing if there are none, else a comparison and a copy for each series.
    fn sort(&mut self) {
        if self.sorted == self.series.len() {
            return;
        }
        let mut order: Vec<u32> = (0..self.sorted as u32).collect();
        order.extend(self.sorted_new());
        let (series, blocks) = (&self.series, &self.blocks);
        if self.sorted > 0 {
            // Two sorted runs, which a stable sort joins in one go.
            order.sort_by(|&a, &b| {
                let (family_a, family_b) = (series[a as usize].family, series[b as usize].family);
                (family_a.cmp(&family_b)).then_with(|| blocks.get(a).cmp(blocks.get(b)))
            });
        }
        let mut new_places = vec![0; order.len()];
        let mut new_blocks = LabelBlocks::with_capacity(order.len(), blocks.text_len());
        let mut new_series = Vec::with_capacity(order.len());
        for (new, &old) in (0..).zip(&order) {
            new_places[old as usize] = new;
            // The same text in another order: there is room.
            new_blocks.push(blocks.get(old));
            new_series.push(series[old as usize]);
        }
        self.index
            .iter_mut()
            .for_each(|place| *place = new_places[*place as usize]);
        self.blocks = Arc::new(new_blocks);
        self.series = new_series;
        self.sorted = self.series.len();
    }

    /// The places of the series that are not sorted yet, in the order of the output.
    fn sorted_new(&self) -> impl Iterator<Item = u32> + use<> {
        let new = || self.sorted as u32..self.series.len() as u32;
        let text = |place: u32| self.blocks.get(place).as_bytes();
        let first = text(self.sorted as u32);
        let common = |place| {
            let pairs = first.iter().zip(text(place));
            pairs.take_while(|(a, b)| a == b).count()
        };
        // What all of them begin with says nothing about their order.
        let skip = new().map(common).min().unwrap_or(0);
        let key = |place: u32| {
            let mut start = [0; 8];
            let rest = text(place).get(skip..).unwrap_or_default();
            let length = rest.len().min(start.len());
            start[..length].copy_from_slice(&rest[..length]);
            SortKey {
                family: self.series[place as usize].family,
                place,
                start: u64::from_be_bytes(start),
            }
        };
        let mut keys: Vec<SortKey> = new().map(key).collect();
        keys.sort_unstable_by(|a, b| {
            (a.family, a.start)
                .cmp(&(b.family, b.start))
                .then_with(|| text(a.place).cmp(text(b.place)))
        });
        keys.into_iter().map(|key| key.place)
    }
}

/// Reads the numbers of a family's series and marks those that have one.
fn numbers(
    of_family: &mut [Series],
    slots: &[Option<Number>],
    range: std::ops::Range<u32>,
    scrape: u32,
) -> (Places, ColumnValues) {
    let mut values = Vec::with_capacity(of_family.len());
    let places = seen(of_family, range, scrape, |series| {
        match slots.get(series.first_slot as usize) {
            Some(Some(number)) => {
                values.push(*number);
                true
            }
            _ => false,
        }
    });
    (places, ColumnValues::Numbers(values))
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
    let places = seen(of_family, range, scrape, |series| {
        let first = series.first_slot as usize;
        let Some([buckets @ .., sum]) = slots.get(first..first + width) else {
            return false;
        };
        if sum.is_none() && buckets.iter().all(Option::is_none) {
            return false;
        }
        let count = |bucket: &Option<Number>| bucket.map_or(0, accumulate::as_count);
        counts.extend(buckets.iter().map(count));
        sums.push(sum.unwrap_or(Number::Unsigned(0)));
        true
    });
    let bounds = Arc::clone(&shape.bounds);
    let values = ColumnValues::Histograms {
        bounds,
        counts,
        sums,
    };
    (places, values)
}

/// The places of the series that `is_part` of the scrape, which are marked so.
fn seen(
    of_family: &mut [Series],
    range: std::ops::Range<u32>,
    scrape: u32,
    mut is_part: impl FnMut(&Series) -> bool,
) -> Places {
    let mut some: Option<Vec<u32>> = None;
    for (place, series) in range.clone().zip(of_family) {
        if is_part(series) {
            series.seen = scrape;
            if let Some(some) = &mut some {
                some.push(place);
            }
        } else if some.is_none() {
            some = Some((range.start..place).collect());
        }
    }
    some.map_or(Places::Range(range), Places::List)
}
