//! What a key means, and adding its numbers where they go.

use std::sync::Arc;

use super::accumulate;
use super::batch::Target;
use super::series::{GONE, SeriesSet, SlotId};
use crate::exposition::Number;
use crate::plugin::NumberSource;

/// What a key means. There is one for every key: 24 bytes.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) meaning: Meaning,
    /// The scrape that last saw the key.
    pub(super) seen: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Meaning {
    Dropped,
    Failed(Box<Arc<str>>),
    /// Nearly every key: one number, as it is, one place.
    One {
        slot: SlotId,
        number: u16,
    },
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
pub(super) struct Many {
    pub(super) targets: Vec<Target>,
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
    pub(super) fn add(&self, series: &mut SeriesSet, meaning: &Meaning) {
        match meaning {
            Meaning::One { slot, number } => match self.read(u32::from(*number)) {
                Some(number) => series.add_to(*slot, number),
                None => series.touch(*slot),
            },
            Meaning::Many(many) => {
                for target in &many.targets {
                    match self.read(target.number) {
                        Some(number) => {
                            series.add_to(target.slot, accumulate::scale(number, target.scale));
                        }
                        None => series.touch(target.slot),
                    }
                }
            }
            Meaning::Dropped | Meaning::Failed(_) => {}
        }
    }

    #[inline]
    fn read(&self, number: u32) -> Option<Number> {
        let source = self.sources.get(number as usize)?;
        accumulate::read_sum(*source, self.bytes, self.cpu_stride)
    }
}

impl Meaning {
    pub(super) fn of(targets: &[(u32, Target)], provisional: bool) -> Self {
        if let ([(_, target)], false) = (targets, provisional)
            && target.scale == 1.0
            && let Ok(number) = u16::try_from(target.number)
        {
            return Self::One {
                slot: target.slot,
                number,
            };
        }
        Self::Many(Box::new(Many {
            targets: targets.iter().map(|(_, target)| *target).collect(),
            provisional,
        }))
    }

    #[inline]
    pub(super) fn is_provisional(&self) -> bool {
        matches!(self, Self::Many(many) if many.provisional)
    }

    /// Follows slots that have moved. False if one of them is gone.
    pub(super) fn remap(&mut self, moved: &[SlotId]) -> bool {
        let follow = |slot: &mut SlotId| {
            *slot = moved.get(*slot as usize).copied().unwrap_or(GONE);
            *slot != GONE
        };
        match self {
            Self::Dropped | Self::Failed(_) => true,
            Self::One { slot, .. } => follow(slot),
            Self::Many(many) => many
                .targets
                .iter_mut()
                .all(|target| follow(&mut target.slot)),
        }
    }
}
