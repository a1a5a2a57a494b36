//! What a key means, what it had when it was last seen, and adding its numbers where they go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counted::{Contribution, Counted, Known, Numbers};
use super::lives::{Life, Lives};
use super::table::EntryId;
use crate::plugin::NumberSource;
use crate::rows::number;
use crate::rows::series::{AccumulatorId, REMOVED, SeriesSet};

/// What a key means. There is one for every key: 32 bytes.
#[derive(Debug, Clone)]
pub(in crate::rows) struct CachedKey {
    pub(in crate::rows) key_binding: KeyBinding,
    /// The scrape that last saw the key.
    pub(in crate::rows) seen: u32,
    /// Of `KeyBinding::One`: see `Counted`.
    pub(in crate::rows) last: u64,
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
    /// As in `Many`.
    left: Box<[(u32, u64)]>,
    again: Again,
}

#[derive(Debug, Clone, Default)]
pub(in crate::rows) struct Many {
    pub(in crate::rows) contributions: Box<[Counted]>,
    /// Numbers of the value that a series has counted which the key has left, up to which value.
    /// They go nowhere for now.
    left: Box<[(u32, u64)]>,
    again: Again,
}

/// When a key is asked about again.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(in crate::rows) enum Again {
    #[default]
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
const MAX_WAIT: Duration = Duration::from_secs(300);

impl Again {
    /// Once more it has made a plugin fail.
    fn after(self, now: Instant) -> Self {
        let waited = match self {
            Self::At { waited, .. } => (waited * 2).min(MAX_WAIT),
            Self::Never | Self::EachScrape => FIRST_WAIT,
        };
        let time = now + waited;
        Self::At { time, waited }
    }
}

impl CachedKey {
    /// Of a new key, seen in this scrape.
    pub(in crate::rows) fn new(key_binding: KeyBinding, seen: u32) -> Self {
        Self {
            key_binding,
            seen,
            last: 0,
        }
    }

    /// Of a key, known or new, that was asked about. `known`: what it has had so far, for the
    /// accumulators that `keeps` says.
    pub(in crate::rows) fn bound(
        contributions: &[(u32, Contribution)],
        again: Again,
        seen: u32,
        known: &Known,
        keeps: impl Fn(AccumulatorId) -> bool,
    ) -> Self {
        let counted = |(_, contribution): &(u32, Contribution)| {
            let begin = Counted {
                contribution: *contribution,
                last: 0,
                base: 0,
            };
            if keeps(contribution.accumulator) {
                known.go_on(begin)
            } else {
                begin
            }
        };
        let goes_on = |number: u32| contributions.iter().any(|(_, one)| one.number == number);
        let left = known.numbers().filter(|(number, _)| !goes_on(*number));
        let left: Box<[(u32, u64)]> = left.collect();
        if let ([one @ (_, contribution)], Again::Never, true) =
            (contributions, again, left.is_empty())
            && contribution.scale == 1.0
            && let Ok(number) = u16::try_from(contribution.number)
        {
            let Counted { last, base, .. } = counted(one);
            if base == 0 {
                let accumulator = contribution.accumulator;
                return Self {
                    key_binding: KeyBinding::One {
                        accumulator,
                        number,
                    },
                    seen,
                    last,
                };
            }
        }
        let many = Many {
            contributions: contributions.iter().map(counted).collect(),
            left,
            again,
        };
        Self::new(KeyBinding::Many(Box::new(many)), seen)
    }

    /// Takes over what another version had of this key. `keeps`: see `bound`.
    pub(in crate::rows) fn go_on(&mut self, known: &Known, keeps: impl Fn(AccumulatorId) -> bool) {
        let again = self.key_binding.again();
        match &mut self.key_binding {
            KeyBinding::Failed(failure) => {
                failure.left = known.numbers().collect();
                return;
            }
            KeyBinding::Dropped if known.numbers().next().is_none() => return,
            _ => {}
        }
        let mut contributions = Vec::new();
        let mut last = Vec::new();
        self.for_each(|counted| {
            contributions.push((0, counted.contribution));
            last.push(counted.last);
        });
        *self = Self::bound(&contributions, again, self.seen, known, keeps);
        // Numbers that the other one did not have.
        match &mut self.key_binding {
            KeyBinding::Many(many) => {
                for (counted, last) in many.contributions.iter_mut().zip(last) {
                    counted.last = last;
                }
            }
            _ => self.last = last.first().copied().unwrap_or(0),
        }
    }

    /// Adds a row's numbers. Those that are less than they were go to `lives`. `id`: of this entry.
    #[inline(always)]
    pub(in crate::rows) fn add(
        &mut self,
        numbers: &Numbers<'_>,
        series: &mut SeriesSet,
        lives: &mut Lives,
        id: EntryId,
    ) {
        match &mut self.key_binding {
            KeyBinding::One {
                accumulator,
                number,
            } => match numbers.read(u32::from(*number)) {
                Some(number) => {
                    if number::is_less(number, self.last) {
                        lives.note(id, 0, self.last, 0);
                    }
                    self.last = number::bits(number);
                    series.add_to(*accumulator, number);
                }
                None => series.touch(*accumulator),
            },
            KeyBinding::Many(many) => many.add(numbers, series, lives, id),
            KeyBinding::Dropped | KeyBinding::Failed(_) => {}
        }
    }

    /// Adds what the row had when it was last seen.
    pub(in crate::rows) fn add_last(&self, sources: &[NumberSource], series: &mut SeriesSet) {
        self.for_each(|counted| {
            let accumulator = counted.contribution.accumulator;
            match counted.amount(sources) {
                Some(amount) => series.add_to(accumulator, amount),
                None => series.touch(accumulator),
            }
        });
    }

    /// All contributions, with what they had when the key was last seen.
    pub(in crate::rows) fn for_each(&self, mut visit: impl FnMut(Counted)) {
        match &self.key_binding {
            KeyBinding::One {
                accumulator,
                number,
            } => visit(Counted {
                contribution: Contribution {
                    accumulator: *accumulator,
                    number: u32::from(*number),
                    scale: 1.0,
                },
                last: self.last,
                base: 0,
            }),
            KeyBinding::Many(many) => many.contributions.iter().copied().for_each(visit),
            KeyBinding::Dropped | KeyBinding::Failed(_) => {}
        }
    }

    /// What the key has had so far.
    pub(in crate::rows) fn known(&self) -> Known {
        let mut known = Known::default();
        self.for_each(|counted| known.counted.push(counted));
        match &self.key_binding {
            KeyBinding::Many(many) => known.left = many.left.to_vec(),
            KeyBinding::Failed(failure) => known.left = failure.left.to_vec(),
            KeyBinding::One { .. } | KeyBinding::Dropped => {}
        }
        known
    }

    /// The contribution that a life is about, as it was before it.
    pub(in crate::rows) fn before(&self, life: &Life) -> Option<Counted> {
        let mut index = 0;
        let mut found = None;
        self.for_each(|counted| {
            if index == life.contribution {
                found = Some(Counted {
                    last: life.last,
                    base: life.base,
                    ..counted
                });
            }
            index += 1;
        });
        found
    }

    /// Takes a life back.
    pub(in crate::rows) fn restore(&mut self, life: &Life) {
        match &mut self.key_binding {
            KeyBinding::Many(many) => {
                if let Some(counted) = many.contributions.get_mut(life.contribution as usize) {
                    (counted.last, counted.base) = (life.last, life.base);
                }
            }
            _ => self.last = life.last,
        }
    }

    /// The key is gone, and what it had is accounted for: if it comes back it begins at 0.
    pub(in crate::rows) fn leave(&mut self) {
        self.last = 0;
        match &mut self.key_binding {
            KeyBinding::Many(many) => {
                many.left = Box::default();
                for counted in &mut many.contributions {
                    (counted.last, counted.base) = (0, 0);
                }
            }
            KeyBinding::Failed(failure) => failure.left = Box::default(),
            KeyBinding::One { .. } | KeyBinding::Dropped => {}
        }
    }

    /// The key was not found, which may be the walk's fault; what it had is accounted for. If it
    /// comes back with as much it goes on from there.
    pub(in crate::rows) fn rest(&mut self) {
        let mut resting = Vec::new();
        self.for_each(|counted| {
            resting.push(Counted {
                base: counted.last,
                ..counted
            });
        });
        match &mut self.key_binding {
            KeyBinding::Many(many) => many.contributions = resting.into(),
            KeyBinding::One { .. } => {
                self.key_binding = KeyBinding::Many(Box::new(Many {
                    contributions: resting.into(),
                    ..Many::default()
                }));
            }
            KeyBinding::Dropped | KeyBinding::Failed(_) => {}
        }
    }
}

impl Many {
    #[inline(never)]
    fn add(
        &mut self,
        numbers: &Numbers<'_>,
        series: &mut SeriesSet,
        lives: &mut Lives,
        id: EntryId,
    ) {
        for (index, counted) in (0..).zip(&mut self.contributions) {
            counted.add(numbers, series, lives, (id, index));
        }
    }
}

impl KeyBinding {
    /// A decoder or shaper could not make sense of it.
    pub(in crate::rows) fn failed(by: &Arc<str>, known: &Known) -> Self {
        Self::Failed(Box::new(Failure {
            by: Arc::clone(by),
            left: known.numbers().collect(),
            again: Again::Never,
        }))
    }

    /// It makes a decoder or shaper fail. What it meant before stands.
    pub(in crate::rows) fn culprit(
        by: &Arc<str>,
        before: Option<&Self>,
        known: &Known,
        now: Instant,
    ) -> Self {
        match before {
            Some(Self::Many(many)) => Self::Many(Box::new(Many {
                again: many.again.after(now),
                ..(**many).clone()
            })),
            before => {
                let again = before.map_or(Again::Never, Self::again).after(now);
                Self::Failed(Box::new(Failure {
                    by: Arc::clone(by),
                    left: known.numbers().collect(),
                    again,
                }))
            }
        }
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
                .all(|counted| follow(&mut counted.contribution.accumulator)),
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
        let known = Known::default();
        let contributions = [(0, contribution)];
        let before =
            CachedKey::bound(&contributions, Again::EachScrape, 1, &known, |_| true).key_binding;
        let by = "echo".into();
        let now = Instant::now();
        let mut waits = Vec::new();
        let mut binding = before;
        for _ in 0..12 {
            binding = KeyBinding::culprit(&by, Some(&binding), &known, now);
            let KeyBinding::Many(many) = &binding else {
                panic!("{binding:?}")
            };
            assert_eq!(many.contributions[0].contribution, contribution);
            if let Again::At { time, waited } = binding.again() {
                assert_eq!(time, now + waited);
                waits.push(waited.as_secs());
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        let unknown = KeyBinding::culprit(&by, None, &known, now);
        assert!(matches!(&unknown, KeyBinding::Failed(failure) if failure.by == by));
        assert!(matches!(unknown.again(), Again::At { .. }));
    }
}
