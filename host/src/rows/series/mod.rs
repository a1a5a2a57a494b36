//! The series that keys add to: which there are, their order, their bounds, and their numbers.

mod adding;
mod adopt;
mod columns;
mod expiry;
mod index;
mod kept;
mod limit;
mod order;
mod scale;
mod set;

use std::sync::Arc;

use crate::exposition::{FamilyMeta, Kind};

pub(super) use adopt::Adopted;
pub(super) use set::{ScrapeEnd, SeriesSet};

/// Index of an accumulator: a number of the running scrape that keys add to.
pub(in crate::rows) type AccumulatorId = u32;

/// Where an accumulator is after `compact`, if its series was removed.
pub(in crate::rows) const REMOVED: AccumulatorId = AccumulatorId::MAX;

/// A family of the metric, ready to be written.
#[derive(Debug, Clone)]
pub(in crate::rows) struct FamilyShape {
    pub(in crate::rows) meta: Arc<FamilyMeta>,
    /// A histogram's finite bounds.
    pub(in crate::rows) bounds: Arc<[f64]>,
    /// The labels of the series that stands for those over the limit.
    pub(in crate::rows) other: Arc<str>,
}

impl FamilyShape {
    /// One number, or each bucket with +Inf's and the sum.
    pub(in crate::rows) fn accumulators(&self) -> usize {
        if self.meta.kind == Kind::Histogram {
            self.bounds.len() + 2
        } else {
            1
        }
    }
}

/// A line of a family, or a histogram's lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) family: u32,
    pub(super) first_accumulator: AccumulatorId,
    /// The scrape that last added to it.
    pub(super) seen: u32,
}
