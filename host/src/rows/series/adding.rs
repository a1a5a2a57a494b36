//! Adding series to a set.

use super::expiry::Expiry;
use super::index::Index;
use super::kept::Kept;
use super::limit::Limit;
use super::scale::Scales;
use super::{AccumulatorId, FamilyShape, Series};
use crate::exposition::{LabelBlocks, Number, StartTime};
use crate::plugin::SeriesPart;

/// The set while series are added to it.
pub(in crate::rows) struct Adding<'a> {
    pub(super) families: &'a [FamilyShape],
    pub(super) series: &'a mut Vec<Series>,
    pub(super) blocks: &'a mut LabelBlocks,
    pub(super) index: &'a mut Index,
    pub(super) accumulators: &'a mut Vec<Option<Number>>,
    pub(super) limit: &'a mut Limit,
    pub(super) scales: &'a mut Scales,
    pub(super) expiry: Option<&'a mut Expiry>,
    pub(super) kept: &'a mut Kept,
    pub(super) starts: &'a mut Vec<StartTime>,
    pub(super) born: StartTime,
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
        let is_over = self.limit.is_reached(family) && self.find(family, block).is_none();
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

    /// The index of the series with these labels.
    pub(super) fn find(&mut self, family: u32, block: &str) -> Option<u32> {
        let series = &*self.series;
        let labels = |index| (series[index as usize].family, self.blocks.get(index));
        let total = series.len() as u32;
        self.index.find((family, block), total, labels)
    }

    /// Makes the series with these labels, which there is not yet, whatever the limit is. Gives its
    /// index.
    pub(super) fn make(&mut self, family: u32, block: &str) -> Option<u32> {
        let shape = self.families.get(family as usize)?;
        let accumulators = shape.accumulators();
        AccumulatorId::try_from(self.accumulators.len() + accumulators).ok()?;
        let fresh = self.blocks.push(block)?;
        let series = &*self.series;
        let labels = |index| (series[index as usize].family, self.blocks.get(index));
        self.index.find_or_add((family, block), fresh, labels);
        if *block != *shape.other {
            self.limit.count(family);
        }
        self.push(family, accumulators, 0);
        Some(fresh)
    }

    pub(super) fn begin_at(&mut self, index: u32, start: StartTime) {
        if let Some(known) = self.starts.get_mut(index as usize) {
            *known = start;
        }
    }

    pub(super) fn first_accumulator(&self, index: u32) -> Option<AccumulatorId> {
        let series = self.series.get(index as usize);
        series.map(|series| series.first_accumulator)
    }

    /// Makes the series of the last block.
    pub(super) fn push(&mut self, family: u32, accumulators: usize, seen: u32) -> AccumulatorId {
        let first_accumulator = self.accumulators.len();
        self.accumulators
            .resize(first_accumulator + accumulators, None);
        let first_accumulator = first_accumulator as AccumulatorId;
        if let Some(expiry) = &mut self.expiry {
            expiry.push();
        }
        if let Some(shape) = self.families.get(family as usize) {
            self.kept.push(shape.meta.kind, accumulators);
        }
        self.starts.push(self.born);
        self.series.push(Series {
            family,
            first_accumulator,
            seen,
        });
        first_accumulator
    }
}
