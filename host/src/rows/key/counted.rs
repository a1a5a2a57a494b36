//! The numbers of a key: where they go, and how much of each is counted.

use super::lives::Lives;
use super::table::EntryId;
use crate::exposition::Number;
use crate::plugin::NumberSource;
use crate::rows::number;
use crate::rows::series::{AccumulatorId, SeriesSet};

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

/// A contribution and what is known of its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::rows) struct Counted {
    pub(in crate::rows) contribution: Contribution,
    /// When it was last seen, as `number::bits`.
    pub(in crate::rows) last: u64,
    /// So much of it was counted by another series, where the key has moved.
    pub(in crate::rows) base: u64,
}

/// The numbers of one row.
pub(in crate::rows) struct Numbers<'a> {
    pub(in crate::rows) sources: &'a [NumberSource],
    pub(in crate::rows) bytes: &'a [u8],
    pub(in crate::rows) cpu_stride: usize,
}

impl Numbers<'_> {
    #[inline]
    pub(super) fn read(&self, number: u32) -> Option<Number> {
        let source = self.sources.get(number as usize)?;
        number::read_sum(*source, self.bytes, self.cpu_stride)
    }

    /// All of them, counted up to what they are.
    pub(in crate::rows) fn known(&self) -> Known {
        let numbers = 0..self.sources.len() as u32;
        let left = numbers.filter_map(|number| Some((number, number::bits(self.read(number)?))));
        Known {
            counted: Vec::new(),
            left: left.collect(),
        }
    }
}

impl Counted {
    #[inline]
    pub(super) fn add(
        &mut self,
        numbers: &Numbers<'_>,
        series: &mut SeriesSet,
        lives: &mut Lives,
        (id, index): (EntryId, u32),
    ) {
        let Contribution {
            accumulator,
            number,
            scale,
        } = self.contribution;
        let Some(number) = numbers.read(number) else {
            return series.touch(accumulator);
        };
        if number::is_less(number, self.last) {
            lives.note(id, index, self.last, self.base);
            self.base = 0;
        }
        self.last = number::bits(number);
        let grown = number::subtract(number, number::like(number, self.base));
        series.add_to(accumulator, number::scale(grown, scale));
    }

    /// What it has added to its series. None: it has no number.
    pub(in crate::rows) fn amount(&self, sources: &[NumberSource]) -> Option<Number> {
        let source = sources.get(self.contribution.number as usize)?;
        let zero = number::zero(*source);
        let last = number::like(zero, self.last);
        let grown = number::subtract(last, number::like(zero, self.base));
        Some(number::scale(grown, self.contribution.scale))
    }
}

/// What a key has had under another binding.
#[derive(Debug, Default)]
pub(in crate::rows) struct Known {
    pub(in crate::rows) counted: Vec<Counted>,
    /// Numbers that went nowhere, and up to which value they are counted.
    pub(in crate::rows) left: Vec<(u32, u64)>,
}

impl Known {
    /// A contribution of the same key: where it was before it goes on, else it begins where the
    /// number was.
    pub(super) fn go_on(&self, begin: Counted) -> Counted {
        let contribution = begin.contribution;
        let same = |known: &&Counted| known.contribution == contribution;
        if let Some(known) = self.counted.iter().find(same) {
            return Counted {
                contribution,
                ..*known
            };
        }
        let mut numbers = self.numbers();
        let known = numbers.find(|(number, _)| *number == contribution.number);
        let last = known.map_or(0, |(_, last)| last);
        Counted {
            last,
            base: last,
            ..begin
        }
    }

    /// Numbers and what they were when the key was last seen.
    pub(in crate::rows) fn numbers(&self) -> impl Iterator<Item = (u32, u64)> {
        let counted = self.counted.iter();
        let counted = counted.map(|counted| (counted.contribution.number, counted.last));
        let counted = counted.filter(|(number, _)| *number != NO_NUMBER);
        counted.chain(self.left.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_with_another_factor_is_counted() {
        let contribution = |scale| Contribution {
            accumulator: 3,
            number: 0,
            scale,
        };
        let begin = |scale| Counted {
            contribution: contribution(scale),
            last: 0,
            base: 0,
        };
        let known = Known {
            counted: vec![Counted {
                contribution: contribution(1.0),
                last: 7,
                base: 2,
            }],
            left: Vec::new(),
        };
        let same = known.go_on(begin(1.0));
        assert_eq!((same.last, same.base), (7, 2));
        let other = known.go_on(begin(1000.0));
        assert_eq!((other.last, other.base), (7, 7));
    }
}
