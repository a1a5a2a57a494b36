//! The series that keys add to, and their numbers in the running scrape.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::accumulate;
use crate::exposition::{Family, FamilyMeta, Histogram, Kind, Number, Sample, Value};
use crate::plugin::Slot;

/// Index of a slot: a number that entries add to.
pub(super) type SlotId = u32;

/// The slot of a key that adds nothing but keeps its series alive.
const NO_SLOT: SlotId = SlotId::MAX;

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
    series: Vec<Series>,
    index: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Number>,
    /// Series in the order of the output, by family and labels; valid for the first `sorted` series.
    order: Vec<u32>,
}

#[derive(Debug)]
struct Series {
    family: u32,
    first_slot: SlotId,
    labels: Arc<str>,
    /// The scrape that last added to it.
    seen: u32,
}

impl SeriesSet {
    pub(super) fn new(families: Vec<FamilyShape>) -> Self {
        Self {
            families,
            series: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            slots: Vec::new(),
            order: Vec::new(),
        }
    }

    /// The slot of the series of `family` with these labels; the series is made if it is new. None: no such family, or too many slots.
    pub(super) fn slot(&mut self, family: u32, labels: &str, slot: Slot) -> Option<(u32, SlotId)> {
        let shape = self.families.get(family as usize)?;
        let offset = match slot {
            Slot::Value => Some(0),
            Slot::Bucket(bucket) => Some(bucket),
            Slot::Sum => Some(u32::try_from(shape.bounds.len() + 1).ok()?),
            Slot::None => None,
        };
        let slots = shape.slots();
        let hash = self.hasher.hash_one((family, labels));
        let series = &self.series;
        let known = self.index.find(hash, |&id| {
            series[id as usize].family == family && *series[id as usize].labels == *labels
        });
        let id = match known {
            Some(&id) => id,
            None => self.add(family, labels, slots, hash)?,
        };
        let first = self.series[id as usize].first_slot;
        Some((id, offset.map_or(NO_SLOT, |offset| first + offset)))
    }

    fn add(&mut self, family: u32, labels: &str, slots: usize, hash: u64) -> Option<u32> {
        let id = u32::try_from(self.series.len()).ok()?;
        let first_slot = SlotId::try_from(self.slots.len()).ok()?;
        self.slots
            .resize(self.slots.len() + slots, Number::Unsigned(0));
        self.series.push(Series {
            family,
            first_slot,
            labels: labels.into(),
            seen: 0,
        });
        let Self {
            series,
            index,
            hasher,
            ..
        } = self;
        index.insert_unique(hash, id, |&id| {
            hasher.hash_one((series[id as usize].family, &*series[id as usize].labels))
        });
        Some(id)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn labels(&self, id: u32) -> Option<&str> {
        self.series.get(id as usize).map(|series| &*series.labels)
    }

    /// Puts all numbers back to zero for a new scrape.
    pub(super) fn reset(&mut self) {
        for slot in &mut self.slots {
            *slot = Number::Unsigned(0);
        }
    }

    /// Adds to a slot and marks its series as part of `scrape`.
    #[inline]
    pub(super) fn add_to(&mut self, series: u32, slot: SlotId, number: Number, scrape: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = accumulate::add(*slot, number);
        }
        self.touch(series, scrape);
    }

    /// Marks a series as part of `scrape` without adding to it.
    #[inline]
    pub(super) fn touch(&mut self, series: u32, scrape: u32) {
        if let Some(series) = self.series.get_mut(series as usize) {
            series.seen = scrape;
        }
    }

    /// Whether there are series that no scrape since `oldest` has added to.
    pub(super) fn any_older(&self, oldest: u32) -> bool {
        self.series.iter().any(|series| series.seen < oldest)
    }

    /// Leaves out the series that no scrape since `oldest` has added to. Gives, for each old id, the new one and how far its slots moved down.
    pub(super) fn compact(&mut self, oldest: u32) -> Vec<Option<(u32, SlotId)>> {
        let mut kept = Self::new(std::mem::take(&mut self.families));
        let moved = self.series.iter().map(|series| {
            if series.seen < oldest {
                return None;
            }
            let shape = kept.families.get(series.family as usize)?;
            let (slots, hash) = (
                shape.slots(),
                kept.hasher.hash_one((series.family, &*series.labels)),
            );
            let id = kept.add(series.family, &series.labels, slots, hash)?;
            kept.series[id as usize].seen = series.seen;
            let first = kept.series[id as usize].first_slot;
            kept.slots[first as usize..][..slots]
                .copy_from_slice(&self.slots[series.first_slot as usize..][..slots]);
            Some((id, series.first_slot - first))
        });
        let moved = moved.collect();
        *self = kept;
        moved
    }

    /// The families with the series that `scrape` added to, sorted by their labels. Families without series are left out.
    pub(super) fn families(&mut self, scrape: u32) -> Vec<Family> {
        self.sort();
        let family_of = |id: u32| self.series[id as usize].family;
        let mut families: Vec<Family> = Vec::new();
        for of_family in self.order.chunk_by(|&a, &b| family_of(a) == family_of(b)) {
            let shape = &self.families[family_of(of_family[0]) as usize];
            let mut samples = Vec::with_capacity(of_family.len());
            for &id in of_family {
                let series = &self.series[id as usize];
                if series.seen == scrape {
                    let slots = &self.slots[series.first_slot as usize..][..shape.slots()];
                    samples.push(Sample {
                        labels: Arc::clone(&series.labels),
                        value: value(shape, slots),
                    });
                }
            }
            if !samples.is_empty() {
                families.push(Family {
                    meta: Arc::clone(&shape.meta),
                    samples,
                });
            }
        }
        families
    }

    /// Only new series have to find their place; the sort is stable and fast on what is sorted already.
    fn sort(&mut self) {
        if self.order.len() == self.series.len() {
            return;
        }
        let from = self.order.len() as u32;
        self.order.extend(from..self.series.len() as u32);
        let series = &self.series;
        self.order.sort_by(|&a, &b| {
            let (a, b) = (&series[a as usize], &series[b as usize]);
            a.family
                .cmp(&b.family)
                .then_with(|| a.labels.cmp(&b.labels))
        });
    }
}

fn value(shape: &FamilyShape, slots: &[Number]) -> Value {
    match slots {
        [buckets @ .., sum] if shape.meta.kind == Kind::Histogram => {
            Value::Histogram(Box::new(Histogram {
                bounds: Arc::clone(&shape.bounds),
                counts: buckets
                    .iter()
                    .map(|&count| accumulate::as_count(count))
                    .collect(),
                sum: *sum,
            }))
        }
        [number, ..] => Value::Number(*number),
        [] => Value::Number(Number::Unsigned(0)),
    }
}
