//! What a key means, and adding its numbers where they go.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
    Failed(Box<Failure>),
    /// Nearly every key: one number, as it is, one place.
    One {
        accumulator: AccumulatorId,
        number: u16,
    },
    Many(Box<Many>),
}

/// A key that could not be decoded.
#[derive(Debug, Clone)]
pub(in crate::rows) struct Failure {
    /// The decoder or shaper.
    pub(in crate::rows) by: Arc<str>,
    again: Again,
}

#[derive(Debug, Clone)]
pub(in crate::rows) struct Many {
    pub(in crate::rows) contributions: Vec<Contribution>,
    again: Again,
}

/// When a key is asked about again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rows) enum Again {
    Never,
    EachScrape,
    /// It has made a plugin fail.
    At {
        time: Instant,
        waited: Duration,
    },
}

/// Of a key that makes a plugin fail: from the first time on, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

impl Again {
    /// Once more it has made a plugin fail.
    fn after(self, now: Instant) -> Self {
        let waited = match self {
            Self::At { waited, .. } => (waited * 2).min(LONGEST_WAIT),
            Self::Never | Self::EachScrape => FIRST_WAIT,
        };
        let time = now + waited;
        Self::At { time, waited }
    }
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
    /// A decoder or shaper could not make sense of it.
    pub(in crate::rows) fn failed(by: &Arc<str>) -> Self {
        Self::Failed(Box::new(Failure {
            by: Arc::clone(by),
            again: Again::Never,
        }))
    }

    /// It makes a decoder or shaper fail. What it meant before stands.
    pub(in crate::rows) fn culprit(by: &Arc<str>, before: Option<&Self>, now: Instant) -> Self {
        match before {
            Some(Self::Many(many)) => Self::Many(Box::new(Many {
                contributions: many.contributions.clone(),
                again: many.again.after(now),
            })),
            before => {
                let again = before.map_or(Again::Never, Self::again).after(now);
                let by = Arc::clone(by);
                Self::Failed(Box::new(Failure { by, again }))
            }
        }
    }

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
            again: if provisional {
                Again::EachScrape
            } else {
                Again::Never
            },
        }))
    }

    #[inline]
    pub(in crate::rows) fn again(&self) -> Again {
        match self {
            Self::One { .. } | Self::Dropped => Again::Never,
            Self::Many(many) => many.again,
            Self::Failed(failure) => failure.again,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_meant_stands_while_it_makes_the_plugin_fail() {
        let contribution = Contribution {
            accumulator: 3,
            number: 0,
            scale: 1.0,
        };
        let before = KeyBinding::of(&[(0, contribution)], true);
        let by = "echo".into();
        let now = Instant::now();
        let mut waits = Vec::new();
        let mut binding = before;
        for _ in 0..12 {
            binding = KeyBinding::culprit(&by, Some(&binding), now);
            let KeyBinding::Many(many) = &binding else {
                panic!("{binding:?}")
            };
            assert_eq!(many.contributions, [contribution]);
            if let Again::At { time, waited } = binding.again() {
                assert_eq!(time, now + waited);
                waits.push(waited.as_secs());
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let unknown = KeyBinding::culprit(&by, None, now);
        assert!(matches!(&unknown, KeyBinding::Failed(failure) if failure.by == by));
        assert!(matches!(unknown.again(), Again::At { .. }));
    }
}
