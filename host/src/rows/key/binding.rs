//! What a key means, and adding its numbers where they go.

use std::sync::Arc;

use crate::exposition::Number;
use crate::plugin::NumberSource;
use crate::rows::number;
use crate::rows::series::{AccumulatorId, REMOVED, SeriesSet};

/// Of a target without a number.
pub(in crate::rows) const NO_NUMBER: u32 = u32::MAX;

/// Where a key's number goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rows) struct Contribution {
    pub(in crate::rows) accumulator: AccumulatorId,
    /// `NO_NUMBER` adds nothing, but keeps the accumulator's series alive.
    pub(in crate::rows) number: u32,
    pub(in crate::rows) scale: f64,
}

/// What a key means. There is one for every key: 24 bytes.
#[derive(Debug, Clone)]
pub(in crate::rows) struct CachedKey {
    pub(in crate::rows) key_binding: KeyBinding,
    /// The scrape that last saw the key.
    pub(in crate::rows) seen: u32,
}

#[derive(Debug, Clone)]
pub(in crate::rows) enum KeyBinding {
    Dropped,
    Failed(Box<Arc<str>>),
    /// Nearly every key: one number, as it is, one place.
    One {
        accumulator: AccumulatorId,
        number: u16,
    },
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
pub(in crate::rows) struct Many {
    pub(in crate::rows) contributions: Vec<Contribution>,
    /// To be asked again at every scrape.
    provisional: bool,
}

/// The numbers of one row.
pub(in crate::rows) struct Numbers<'a> {
    pub(in crate::rows) sources: &'a [NumberSource],
    pub(in crate::rows) bytes: &'a [u8],
    pub(in crate::rows) cpu_stride: usize,
}

impl Numbers<'_> {
    #[inline]
    pub(in crate::rows) fn add(&self, series: &mut SeriesSet, key_binding: &KeyBinding) {
        match key_binding {
            KeyBinding::One {
                accumulator,
                number,
            } => match self.read(u32::from(*number)) {
                Some(number) => series.add_to(*accumulator, number),
                None => series.touch(*accumulator),
            },
            KeyBinding::Many(many) => {
                for contribution in &many.contributions {
                    match self.read(contribution.number) {
                        Some(number) => {
                            series.add_to(
                                contribution.accumulator,
                                number::scale(number, contribution.scale),
                            );
                        }
                        None => series.touch(contribution.accumulator),
                    }
                }
            }
            KeyBinding::Dropped | KeyBinding::Failed(_) => {}
        }
    }

    #[inline]
    fn read(&self, number: u32) -> Option<Number> {
        let source = self.sources.get(number as usize)?;
        number::read_sum(*source, self.bytes, self.cpu_stride)
    }
}

impl KeyBinding {
    pub(in crate::rows) fn of(contributions: &[(u32, Contribution)], provisional: bool) -> Self {
        if let ([(_, contribution)], false) = (contributions, provisional)
            && contribution.scale == 1.0
            && let Ok(number) = u16::try_from(contribution.number)
        {
            return Self::One {
                accumulator: contribution.accumulator,
                number,
            };
        }
        Self::Many(Box::new(Many {
            contributions: contributions
                .iter()
                .map(|(_, contribution)| *contribution)
                .collect(),
            provisional,
        }))
    }

    #[inline]
    pub(in crate::rows) fn is_provisional(&self) -> bool {
        matches!(self, Self::Many(many) if many.provisional)
    }

    /// Follows accumulators that have moved. False if one of them was removed.
    pub(in crate::rows) fn remap(&mut self, moved: &[AccumulatorId]) -> bool {
        let follow = |accumulator: &mut AccumulatorId| {
            *accumulator = moved.get(*accumulator as usize).copied().unwrap_or(REMOVED);
            *accumulator != REMOVED
        };
        match self {
            Self::Dropped | Self::Failed(_) => true,
            Self::One { accumulator, .. } => follow(accumulator),
            Self::Many(many) => many
                .contributions
                .iter_mut()
                .all(|contribution| follow(&mut contribution.accumulator)),
        }
    }
}
