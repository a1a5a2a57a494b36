//! The bound of a metric's series.

use std::num::NonZeroUsize;

/// How many series a family may have.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// None: as many as come.
    pub(super) max: Option<NonZeroUsize>,
    /// By family, how many there are, without the one that stands for others.
    there: Vec<usize>,
    /// Rows of this scrape that wanted a series more.
    pub(super) refused: u64,
}

impl Limit {
    pub(super) fn new(max: Option<NonZeroUsize>, families: usize) -> Self {
        Self {
            max,
            there: vec![0; families],
            refused: 0,
        }
    }

    #[inline]
    pub(super) fn is_reached(&self, family: u32) -> bool {
        let there = self.there.get(family as usize);
        let reached = |max: NonZeroUsize| there.is_some_and(|there| *there >= max.get());
        self.max.is_some_and(reached)
    }

    /// One more, which is not the one that stands for others.
    #[inline]
    pub(super) fn count(&mut self, family: u32) {
        if let Some(there) = self.there.get_mut(family as usize) {
            *there += 1;
        }
    }
}
