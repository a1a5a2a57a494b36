//! What keys that are gone have left in their series, so that sums over keys never fall.
//!
//! A series that several keys feed keeps what each had when it was last seen: from its second key
//! on, or from the first where the metric says so. One of a single key falls and ends with it,
//! which a scraper reads as it is. What a server before has shown is a negative part of the same
//! sum: see `take_off`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{AccumulatorId, FamilyShape, REMOVED, Series};
use crate::config::Departed;
use crate::exposition::{Kind, Number};
use crate::rows::number;

/// For so long a series without keys is shown with what they have left.
const SHOWN_WITHOUT_KEYS: Duration = Duration::from_secs(300);

/// Of all accumulators of a set.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// None: from the second key on.
    rule: Option<Departed>,
    /// By accumulator, those of a series at its first one.
    marks: Vec<u8>,
    /// By accumulator.
    departed: Sums,
    /// By accumulator: what kept floats were shown as. Their sums depend on the order.
    shown: Vec<f64>,
    /// Series without keys, by their first accumulator, and since when.
    ending: HashMap<AccumulatorId, Instant>,
    /// There are series that keep.
    any: bool,
    /// There are series that have fallen in this scrape.
    any_fallen: bool,
    /// What was left, or moved, is in a number that is shown.
    holds: bool,
}

/// The first accumulator of a series.
const FIRST: u8 = 1;
/// It only grows.
const COUNTS: u8 = 2;
/// It has had a key.
const FED: u8 = 4;
/// It keeps what its keys leave.
const KEEPS: u8 = 8;
/// It keeps, has no keys, and is not shown any more.
const ENDED: u8 = 16;
/// It has become less in this scrape.
const FALLEN: u8 = 32;

/// A number and what was left. `take_off` leaves less than nothing, which wraps as long as all
/// numbers are unsigned.
fn sum(number: Number, departed: Number) -> Number {
    match (number, departed) {
        (Number::Unsigned(_), _) | (_, Number::Signed(_) | Number::Float(_)) => {
            number::add(number, departed)
        }
        (_, departed) => {
            let departed = number::like(Number::Signed(0), number::bits(departed));
            number::add(number, departed)
        }
    }
}

/// Numbers by accumulator, zero by default; nearly always all of them are unsigned.
#[derive(Debug, Default)]
enum Sums {
    #[default]
    Nothing,
    Unsigned(Vec<u64>),
    Any(Vec<Number>),
}

const ZERO: Number = Number::Unsigned(0);

impl Kept {
    pub(super) fn new(rule: Option<Departed>) -> Self {
        Self {
            rule,
            ..Self::default()
        }
    }

    /// So many accumulators are likely to come.
    pub(super) fn expect(&mut self, accumulators: usize) {
        // Where there is no room to reserve, it grows step by step.
        let _ = self.marks.try_reserve_exact(accumulators);
    }

    /// Gives back what was reserved and is not needed.
    pub(super) fn shrink(&mut self) {
        self.marks.shrink_to_fit();
    }

    pub(super) fn rule(&self) -> Option<Departed> {
        self.rule
    }

    /// A series comes.
    pub(super) fn push(&mut self, kind: Kind, accumulators: usize) {
        let counts = matches!(kind, Kind::Counter | Kind::Histogram);
        let first = FIRST | if counts { COUNTS } else { 0 };
        let last = self.marks.len() + accumulators;
        self.marks.push(first);
        self.marks.resize(last, if counts { COUNTS } else { 0 });
    }

    /// Whether there may be a sum over keys that is kept.
    pub(super) fn may_keep(&self, accumulator: AccumulatorId) -> bool {
        self.rule != Some(Departed::Drop) && self.mark(accumulator) & COUNTS != 0
    }

    pub(super) fn counts(&self, accumulator: AccumulatorId) -> bool {
        self.mark(accumulator) & COUNTS != 0
    }

    fn mark(&self, accumulator: AccumulatorId) -> u8 {
        self.marks.get(accumulator as usize).copied().unwrap_or(0)
    }

    /// The first accumulator of the series that this one belongs to.
    pub(super) fn first_of(&self, accumulator: AccumulatorId) -> AccumulatorId {
        let until = self.marks.get(..=accumulator as usize).unwrap_or_default();
        let first = until.iter().rposition(|mark| mark & FIRST != 0);
        first.map_or(accumulator, |first| first as AccumulatorId)
    }

    /// The series of this accumulator has one more key.
    pub(super) fn add_key(&mut self, accumulator: AccumulatorId) {
        let first = self.first_of(accumulator);
        let keeps = match self.rule {
            Some(Departed::Drop) => false,
            Some(Departed::Keep) => true,
            None => self.mark(first) & FED != 0,
        };
        self.set(first, FED);
        if keeps {
            self.keep(first);
        }
    }

    /// The series keeps from now on.
    pub(super) fn keep(&mut self, accumulator: AccumulatorId) {
        if self.may_keep(accumulator) {
            let first = self.first_of(accumulator);
            self.set(first, FED | KEEPS);
            self.any = true;
        }
    }

    pub(super) fn keeps(&self, accumulator: AccumulatorId) -> bool {
        self.mark(self.first_of(accumulator)) & KEEPS != 0
    }

    fn set(&mut self, first: AccumulatorId, bits: u8) {
        if let Some(mark) = self.marks.get_mut(first as usize) {
            *mark |= bits;
        }
    }

    fn clear(&mut self, first: AccumulatorId, bits: u8) {
        if let Some(mark) = self.marks.get_mut(first as usize) {
            *mark &= !bits;
        }
    }

    /// A key has left so much in an accumulator: its series keeps it, or falls.
    pub(super) fn leave(&mut self, accumulator: AccumulatorId, amount: Number) {
        if !self.counts(accumulator) {
            return;
        }
        if self.keeps(accumulator) {
            self.departed.add(accumulator, amount);
            self.holds |= number::as_float(amount) != 0.0;
            return;
        }
        let first = self.first_of(accumulator);
        self.fall(first);
        self.forget(first);
    }

    /// A key has gone on to another series, or to none, and has left so much in this one.
    pub(super) fn move_away(&mut self, accumulator: AccumulatorId, amount: Number) {
        self.keep(accumulator);
        self.clear(self.first_of(accumulator), ENDED);
        self.leave(accumulator, amount);
        self.holds |= self.may_keep(accumulator);
    }

    /// The series has begun anew: it is less than it was.
    pub(super) fn fall(&mut self, accumulator: AccumulatorId) {
        let first = self.first_of(accumulator);
        self.set(first, FALLEN);
        self.any_fallen = true;
    }

    /// The accumulators of a series, by its first one.
    fn accumulators(&self, first: AccumulatorId) -> std::ops::Range<AccumulatorId> {
        let after = self.marks.get(first as usize + 1..).unwrap_or_default();
        let next = after.iter().position(|mark| mark & FIRST != 0);
        let width = next.unwrap_or(after.len()) + 1;
        first..first + width as AccumulatorId
    }

    /// What is shown needs what only this process knows.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    /// From now on all series lack what they have in this scrape: they begin at 0.
    pub(super) fn take_off(&mut self, accumulators: &[Option<Number>]) {
        self.forget_all();
        for (accumulator, number) in (0..).zip(accumulators) {
            if let Some(number) = number
                && self.counts(accumulator)
            {
                let less = number::subtract(number::like(*number, 0), *number);
                self.departed.add(accumulator, less);
                self.fall(accumulator);
            }
        }
    }

    /// Adds what was left to the numbers of a scrape. A series without keys gets some for a while.
    pub(super) fn apply(
        &mut self,
        families: &[FamilyShape],
        series: &[Series],
        accumulators: &mut [Option<Number>],
        now: Instant,
    ) {
        if !self.any && matches!(self.departed, Sums::Nothing) {
            return;
        }
        for one in series {
            let first = one.first_accumulator;
            let mark = self.mark(first);
            let shape = families.get(one.family as usize);
            let Some(shape) = shape.filter(|_| mark & COUNTS != 0) else {
                continue;
            };
            let range = first as usize..first as usize + shape.accumulators();
            let Some(numbers) = accumulators.get_mut(range) else {
                continue;
            };
            if numbers.iter().any(Option::is_some) {
                if mark & ENDED != 0 {
                    self.clear(first, ENDED);
                }
                if !self.ending.is_empty() {
                    self.ending.remove(&first);
                }
            } else if mark & (KEEPS | ENDED) == KEEPS && self.is_shown(first, now) {
                if let Some(number) = numbers.first_mut() {
                    *number = Some(ZERO);
                }
            } else {
                continue;
            }
            self.departed.add_to(first, numbers);
            if mark & KEEPS != 0 {
                self.hold_floats(first, numbers);
            }
        }
    }

    /// Whether a series without keys is shown. If not, it is forgotten what they have left.
    fn is_shown(&mut self, first: AccumulatorId, now: Instant) -> bool {
        let since = *self.ending.entry(first).or_insert(now);
        if now.saturating_duration_since(since) < SHOWN_WITHOUT_KEYS {
            return true;
        }
        self.ending.remove(&first);
        self.set(first, ENDED);
        self.forget(first);
        false
    }

    /// What was left in a series, and shown of it.
    fn forget(&mut self, first: AccumulatorId) {
        for accumulator in self.accumulators(first) {
            self.departed.set(accumulator, ZERO);
            if let Some(shown) = self.shown.get_mut(accumulator as usize) {
                *shown = 0.0;
            }
        }
    }

    /// Rounding must not let a sum fall.
    fn hold_floats(&mut self, first: AccumulatorId, numbers: &mut [Option<Number>]) {
        for (accumulator, number) in (first as usize..).zip(numbers) {
            let Some(Number::Float(number)) = number else {
                continue;
            };
            if self.shown.len() <= accumulator {
                self.shown.resize(self.marks.len(), 0.0);
            }
            if let Some(shown) = self.shown.get_mut(accumulator) {
                *number = number.max(*shown);
                *shown = *number;
            }
        }
    }

    pub(super) fn any_fallen(&self) -> bool {
        self.any_fallen
    }

    /// Whether the series of this first accumulator has become less in this scrape.
    pub(super) fn has_fallen(&self, first: AccumulatorId) -> bool {
        self.mark(first) & FALLEN != 0
    }

    /// The scrape is over.
    pub(super) fn forget_falls(&mut self) {
        if std::mem::take(&mut self.any_fallen) {
            for mark in &mut self.marks {
                *mark &= !FALLEN;
            }
        }
    }

    /// Nothing has been left by any key.
    pub(super) fn forget_all(&mut self) {
        self.departed = Sums::Nothing;
        self.shown = Vec::new();
        self.ending.clear();
    }

    /// Series that have no number now are not shown before they have one.
    pub(super) fn end_without(&mut self, series: &[Series], accumulators: &[Option<Number>]) {
        for one in series {
            let first = one.first_accumulator;
            let mut numbers = self
                .accumulators(first)
                .filter_map(|accumulator| accumulators.get(accumulator as usize));
            if numbers.all(Option::is_none) {
                self.set(first, ENDED);
            }
        }
    }

    /// Two series were one: it has two keys.
    pub(super) fn join(&mut self, kept: AccumulatorId, other: AccumulatorId) {
        self.add_key(kept);
        self.departed.add(kept, self.departed.get(other));
        self.departed.set(other, ZERO);
        if self.keeps(other) {
            self.keep(kept);
        }
    }

    /// Takes what another one has of series whose accumulators are `moved` here.
    pub(super) fn take_over(&mut self, other: &Self, moved: &[AccumulatorId]) {
        for (from, &to) in (0..).zip(moved) {
            if to == REMOVED {
                continue;
            }
            if let Some(mark) = self.marks.get_mut(to as usize) {
                let of_other = other.mark(from);
                if of_other & (KEEPS | ENDED) == KEEPS {
                    *mark &= !ENDED;
                }
                *mark |= of_other & (FED | KEEPS | ENDED);
            }
            let departed = other.departed.get(from);
            if number::as_float(departed) != 0.0 {
                self.departed.add(to, departed);
            }
            if let Some(&shown) = other.shown.get(from as usize)
                && shown != 0.0
            {
                self.shown.resize(self.marks.len(), 0.0);
                if let Some(own) = self.shown.get_mut(to as usize) {
                    *own = shown;
                }
            }
        }
        for (from, since) in &other.ending {
            let to = moved.get(*from as usize).copied().unwrap_or(REMOVED);
            if to != REMOVED {
                self.ending.insert(to, *since);
            }
        }
        self.any |= other.any;
        self.any_fallen |= other.any_fallen;
        self.holds |= other.holds;
    }
}

impl Sums {
    fn get(&self, accumulator: AccumulatorId) -> Number {
        let index = accumulator as usize;
        match self {
            Self::Nothing => ZERO,
            Self::Unsigned(sums) => sums.get(index).map_or(ZERO, |sum| Number::Unsigned(*sum)),
            Self::Any(sums) => sums.get(index).copied().unwrap_or(ZERO),
        }
    }

    fn set(&mut self, accumulator: AccumulatorId, number: Number) {
        let index = accumulator as usize;
        match (&mut *self, number) {
            (Self::Nothing, Number::Unsigned(0)) => return,
            (Self::Nothing, _) => *self = Self::Unsigned(Vec::new()),
            (Self::Unsigned(sums), Number::Unsigned(number)) => {
                if let Some(sum) = sums.get_mut(index) {
                    *sum = number;
                } else if number != 0 {
                    sums.resize(index + 1, 0);
                    sums[index] = number;
                }
                return;
            }
            (Self::Unsigned(sums), _) => {
                *self = Self::Any(sums.iter().map(|sum| Number::Unsigned(*sum)).collect());
            }
            (Self::Any(sums), _) => {
                if sums.len() <= index {
                    sums.resize(index + 1, ZERO);
                }
                sums[index] = number;
                return;
            }
        }
        self.set(accumulator, number);
    }

    fn add(&mut self, accumulator: AccumulatorId, number: Number) {
        self.set(accumulator, sum(number, self.get(accumulator)));
    }

    /// Adds the sums from `first` on to numbers.
    fn add_to(&self, first: AccumulatorId, numbers: &mut [Option<Number>]) {
        if matches!(self, Self::Nothing) {
            return;
        }
        for (accumulator, number) in (first..).zip(numbers) {
            let departed = self.get(accumulator);
            if departed != ZERO {
                *number = Some(sum(number.unwrap_or(ZERO), departed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_less_what_a_server_before_has_shown() {
        let mut kept = Kept::new(None);
        kept.push(Kind::Counter, 1);
        kept.take_off(&[Some(Number::Unsigned(100))]);
        for (number, wanted) in [
            (Number::Unsigned(103), Number::Unsigned(3)),
            // A row with another factor has come.
            (Number::Float(103.5), Number::Float(3.5)),
            (Number::Signed(103), Number::Signed(3)),
        ] {
            let mut numbers = [Some(number)];
            kept.departed.add_to(0, &mut numbers);
            assert_eq!(numbers, [Some(wanted)]);
        }
        kept.keep(0);
        kept.leave(0, Number::Float(0.5));
        assert_eq!(kept.departed.get(0), Number::Float(-99.5));
    }
}
