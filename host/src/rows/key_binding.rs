//! What a key means, and adding its numbers where they go.

use std::sync::Arc;

use super::accumulate;
use super::batch::Contribution;
use super::series::{AccumulatorId, GONE, SeriesSet};
use crate::exposition::Number;
use crate::plugin::NumberSource;

/// What a key means. There is one for every key: 24 bytes.
#[derive(Debug, Clone)]
pub(super) struct CachedKey {
    pub(super) key_binding: KeyBinding,
    /// The scrape that last saw the key.
    pub(super) seen: u32,
}

#[derive(Debug, Clone)]
pub(super) enum KeyBinding {
    Dropped,
    Failed(Box<Arc<str>>),
    /// Nearly every key: one number, as it is, one place.
    One {
        slot: AccumulatorId,
        number: u16,
    },
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
pub(super) struct Many {
    pub(super) contributions: Vec<Contribution>,
    /// To be asked again at every scrape.
    provisional: bool,
}

/// The numbers of one row.
pub(super) struct Numbers<'a> {
    pub(super) sources: &'a [NumberSource],
    pub(super) bytes: &'a [u8],
    pub(super) cpu_stride: usize,
}

impl Numbers<'_> {
    #[inline]
    pub(super) fn add(&self, series: &mut SeriesSet, key_binding: &KeyBinding) {
        match key_binding {
            KeyBinding::One { slot, number } => match self.read(u32::from(*number)) {
                Some(number) => series.add_to(*slot, number),
                None => series.touch(*slot),
            },
            KeyBinding::Many(many) => {
                for contribution in &many.contributions {
                    match self.read(contribution.number) {
                        Some(number) => {
                            series.add_to(
                                contribution.slot,
                                accumulate::scale(number, contribution.scale),
                            );
                        }
                        None => series.touch(contribution.slot),
                    }
                }
            }
            KeyBinding::Dropped | KeyBinding::Failed(_) => {}
        }
    }

    #[inline]
    fn read(&self, number: u32) -> Option<Number> {
        let source = self.sources.get(number as usize)?;
        accumulate::read_sum(*source, self.bytes, self.cpu_stride)
    }
}

impl KeyBinding {
    pub(super) fn of(contributions: &[(u32, Contribution)], provisional: bool) -> Self {
        if let ([(_, contribution)], false) = (contributions, provisional)
            && contribution.scale == 1.0
            && let Ok(number) = u16::try_from(contribution.number)
        {
            return Self::One {
                slot: contribution.slot,
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
    pub(super) fn is_provisional(&self) -> bool {
        matches!(self, Self::Many(many) if many.provisional)
    }

    /// Follows slots that have moved. False if one of them is gone.
    pub(super) fn remap(&mut self, moved: &[AccumulatorId]) -> bool {
        let follow = |slot: &mut AccumulatorId| {
            *slot = moved.get(*slot as usize).copied().unwrap_or(GONE);
            *slot != GONE
        };
        match self {
            Self::Dropped | Self::Failed(_) => true,
            Self::One { slot, .. } => follow(slot),
            Self::Many(many) => many
                .contributions
                .iter_mut()
                .all(|contribution| follow(&mut contribution.slot)),
        }
    }
}
