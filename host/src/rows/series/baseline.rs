//! Counters that are shown as if they began at a later time: what they had by then is subtracted.
//!
//! A server that has died took along what only it knew: samples that it had counted, what removed
//! keys have left in a series. Of such a metric the maps alone would give less than what was
//! shown, which looks like a counter that went back by a little. Shown from 0 it is a counter that
//! has begun anew, which is what has happened.

use super::{AccumulatorId, FamilyShape, REMOVED, Series};
use crate::exposition::{Kind, Number};
use crate::rows::number::{as_float, subtract};

/// What is taken off, of each series that was there in the first complete scrape.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// By accumulator. None as a whole: there was no complete scrape yet.
    departed: Option<Vec<Option<Number>>>,
}

impl Baseline {
    /// Subtracts it from the numbers of a scrape. False: it is not known yet, as no scrape was
    /// complete.
    pub(super) fn take_off(
        &mut self,
        families: &[FamilyShape],
        series: &[Series],
        accumulators: &mut [Option<Number>],
        complete: bool,
    ) -> bool {
        if self.departed.is_none() {
            if !complete {
                return false;
            }
            self.remember(families, series, accumulators);
        }
        self.subtract(families, series, accumulators);
        true
    }

    /// Remembers what the series have now.
    fn remember(
        &mut self,
        families: &[FamilyShape],
        series: &[Series],
        accumulators: &[Option<Number>],
    ) {
        let mut departed = vec![None; accumulators.len()];
        for (range, _) in counted(families, series) {
            if let (Some(to), Some(from)) =
                (departed.get_mut(range.clone()), accumulators.get(range))
            {
                to.copy_from_slice(from);
            }
        }
        self.departed = Some(departed);
    }

    /// What has become less than it was has begun anew by itself, and is shown as it is from then
    /// on.
    fn subtract(
        &mut self,
        families: &[FamilyShape],
        series: &[Series],
        accumulators: &mut [Option<Number>],
    ) {
        let Some(all) = &mut self.departed else {
            return;
        };
        for (range, counts) in counted(families, series) {
            let (Some(departed), Some(accumulators)) =
                (all.get_mut(range.clone()), accumulators.get_mut(range))
            else {
                // It came later.
                continue;
            };
            // A sum may fall, a count may not.
            let pairs = departed.iter().zip(&*accumulators).take(counts);
            let fell = |(departed, now): (&Option<Number>, &Option<Number>)| match (departed, now) {
                (Some(departed), Some(now)) => as_float(*now) < as_float(*departed),
                _ => false,
            };
            if pairs.into_iter().any(fell) {
                departed.fill(None);
                continue;
            }
            for (departed, accumulator) in departed.iter().zip(accumulators) {
                if let (Some(departed), Some(accumulator)) = (departed, accumulator) {
                    *accumulator = subtract(*accumulator, *departed);
                }
            }
        }
    }

    /// Follows accumulators that have moved, to `total` of them.
    pub(super) fn move_to(&mut self, moved: &[AccumulatorId], total: usize) {
        let Some(departed) = &mut self.departed else {
            return;
        };
        let mut kept = vec![None; total];
        for (number, to) in departed.iter().zip(moved) {
            if *to != REMOVED
                && let Some(kept) = kept.get_mut(*to as usize)
            {
                *kept = *number;
            }
        }
        *departed = kept;
    }
}

/// The accumulators of each series that only grows, and how many of them are counts: all, or all
/// but the sum.
fn counted<'a>(
    families: &'a [FamilyShape],
    series: &'a [Series],
) -> impl Iterator<Item = (std::ops::Range<usize>, usize)> + 'a {
    series.iter().filter_map(|series| {
        let shape = families.get(series.family as usize)?;
        let first = series.first_accumulator as usize;
        let accumulators = first..first + shape.accumulators();
        match shape.meta.kind {
            Kind::Counter => Some((accumulators, 1)),
            Kind::Histogram => Some((accumulators, shape.accumulators() - 1)),
            _ => None,
        }
    })
}
