//! Going on where the series of a version before are: a series of the same name and labels is the
//! same.

use std::sync::Arc;

use super::adding::Adding;
use super::{AccumulatorId, FamilyShape, REMOVED, SeriesSet};
use crate::exposition::StartTime;

/// How the series of two versions correspond.
#[derive(Debug)]
pub(in crate::rows) struct Adopted {
    /// By accumulator of the one before, the one here, or `REMOVED`.
    pub(in crate::rows) accumulators: Vec<AccumulatorId>,
    /// Accumulators here whose families the one before did not have with these label names, as the
    /// first of each of their series, with the series' index; ascending.
    anew: Vec<(AccumulatorId, u32)>,
    /// Of the one before: see `SeriesSet::owners`.
    owners_before: Vec<(AccumulatorId, u32)>,
}

impl Adopted {
    /// Whether the accumulator's series has no counterpart, since it has other labels.
    pub(in crate::rows) fn is_anew(&self, set: &SeriesSet, accumulator: AccumulatorId) -> bool {
        let first = set.kept.first_of(accumulator);
        let found = self.anew.binary_search_by_key(&first, |(first, _)| *first);
        found.is_ok()
    }
}

impl FamilyShape {
    /// Series of both can be compared: the text of the labels says their names.
    fn is_like(&self, other: &Self) -> bool {
        self.meta.name == other.meta.name
            && self.meta.kind == other.meta.kind
            && self.bounds == other.bounds
            && self.other == other.other
    }
}

impl SeriesSet {
    /// Takes over what the series of another set were. Those that it has shown since `since` and
    /// that are not here are made. Call `sort` before and after.
    pub(in crate::rows) fn adopt(&mut self, before: &Self, since: u32) -> Adopted {
        self.index.begin(false);
        self.kept.forget_all();
        // What they had while the one before was shown was seen by nobody.
        self.kept.end_without(&self.series, &self.accumulators);
        let mut families = self.counterparts(before);
        for (number, family) in (0..).zip(&mut families) {
            // Sums that will be multiplied with something else are others.
            let scales = &mut self.scales;
            *family = family.filter(|same| scales.adopt(*same, &before.scales, number));
        }
        let mut accumulators = vec![REMOVED; before.accumulators.len()];
        let mut adding = self.adding();
        for (index, series) in (0..).zip(&before.series) {
            let family = families.get(series.family as usize).copied().flatten();
            let shape = before.families.get(series.family as usize);
            let (Some(family), Some(shape)) = (family, shape) else {
                continue;
            };
            let block = before.blocks.get(index);
            let start = before.start(index);
            let is_shown = series.seen >= since;
            let Some(first) = adding.adopt(family, block, start, is_shown) else {
                continue;
            };
            let from = series.first_accumulator as usize;
            let own = accumulators
                .iter_mut()
                .skip(from)
                .take(shape.accumulators());
            for (accumulator, to) in own.zip(first..) {
                *accumulator = to;
            }
        }
        self.kept.take_over(&before.kept, &accumulators);
        let anew = (0..).zip(&self.series).filter(|(_, series)| {
            let family = Some(series.family);
            !families.contains(&family)
        });
        let mut anew: Vec<(AccumulatorId, u32)> = anew
            .map(|(index, series)| (series.first_accumulator, index))
            .collect();
        anew.sort_unstable();
        Adopted {
            accumulators,
            anew,
            owners_before: before.owners(),
        }
    }

    /// Multiplies as another set does, where that is a matter of which row comes first. Call it
    /// before the first row.
    pub(in crate::rows) fn scale_as(&mut self, before: &Self) {
        for (number, family) in (0..).zip(self.counterparts(before)) {
            if let Some(family) = family {
                self.scales.begin_with(family, &before.scales, number);
            }
        }
    }

    /// For each family of another set, the one here.
    fn counterparts(&self, before: &Self) -> Vec<Option<u32>> {
        let same = before.families.iter().map(|one| {
            let same = self.families.iter().position(|other| other.is_like(one));
            same.and_then(|index| u32::try_from(index).ok())
        });
        same.collect()
    }

    fn start(&self, index: u32) -> StartTime {
        self.starts.get(index as usize).copied().unwrap_or_default()
    }

    /// A series that is here anew has a key that was in a series before: it begins where its oldest
    /// key did.
    pub(in crate::rows) fn begin_with(
        &mut self,
        adopted: &Adopted,
        accumulator: AccumulatorId,
        before: &Self,
        of_before: AccumulatorId,
    ) {
        let first = self.kept.first_of(accumulator);
        let own = adopted
            .anew
            .binary_search_by_key(&first, |(first, _)| *first);
        let own = own.ok().and_then(|found| adopted.anew.get(found));
        let theirs = owner(&adopted.owners_before, of_before);
        let (Some((_, index)), Some(theirs)) = (own, theirs) else {
            return;
        };
        let start = before.start(theirs);
        if let Some(own) = Arc::make_mut(&mut self.starts).get_mut(*index as usize) {
            *own = (*own).min(start);
        }
    }
}

impl Adding<'_> {
    /// The first accumulator of the series of these labels, which is made if `wanted`. It begins at
    /// `start`.
    fn adopt(
        &mut self,
        family: u32,
        block: &str,
        start: StartTime,
        wanted: bool,
    ) -> Option<AccumulatorId> {
        let known = self.find(family, block);
        let index = match known {
            Some(index) => index,
            None if wanted => self.make(family, block)?,
            None => return None,
        };
        self.begin_at(index, start);
        self.first_accumulator(index)
    }
}

/// The index of the series that an accumulator belongs to.
pub(super) fn owner(owners: &[(AccumulatorId, u32)], accumulator: AccumulatorId) -> Option<u32> {
    let after = owners.partition_point(|&(first, _)| first <= accumulator);
    let (_, index) = *owners.get(after.checked_sub(1)?)?;
    Some(index)
}
