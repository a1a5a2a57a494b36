//! When each series' value last changed, for metrics whose series are left out once they stand
//! still.

use std::time::{Duration, Instant};

use crate::exposition::Number;

/// Of all series of a set, by index.
#[derive(Debug)]
pub(super) struct Expiry {
    after: Duration,
    marks: Vec<Mark>,
}

/// What a series was when it last changed.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Its numbers in short. None: it has not been seen yet.
    value: Option<u64>,
    at: Option<Instant>,
}

impl Expiry {
    pub(super) fn new(after: Duration) -> Self {
        Self {
            after,
            marks: Vec::new(),
        }
    }

    /// As this one, of no series.
    pub(super) fn emptied(&self) -> Self {
        Self::new(self.after)
    }

    /// A series comes.
    pub(super) fn push(&mut self) {
        self.marks.push(Mark {
            value: None,
            at: None,
        });
    }

    /// The series that came last is the one at `index` of another set.
    pub(super) fn take_over(&mut self, other: &Self, index: u32) {
        if let (Some(last), Some(mark)) = (self.marks.last_mut(), other.marks.get(index as usize)) {
            *last = *mark;
        }
    }

    /// Follows series that have moved: the one that was at `indexes[i]` is at `i`.
    pub(super) fn move_to(&mut self, indexes: &[u32]) {
        let marks = indexes
            .iter()
            .filter_map(|&old| self.marks.get(old as usize));
        self.marks = marks.copied().collect();
    }

    /// Whether the series at `index` has changed lately. `accumulators`: its numbers.
    pub(super) fn is_fresh(
        &mut self,
        index: u32,
        accumulators: &[Option<Number>],
        now: Instant,
    ) -> bool {
        let Some(mark) = self.marks.get_mut(index as usize) else {
            return true;
        };
        let value = Some(in_short(accumulators));
        match mark.at {
            Some(at) if mark.value == value => now.saturating_duration_since(at) < self.after,
            _ => {
                *mark = Mark {
                    value,
                    at: Some(now),
                };
                true
            }
        }
    }
}

/// Other numbers give another one, as good as always.
fn in_short(accumulators: &[Option<Number>]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    accumulators.iter().fold(0, |all, accumulator| {
        let bits = match accumulator {
            None => 0,
            Some(Number::Unsigned(value)) => value.wrapping_add(1),
            Some(Number::Signed(value)) => value.cast_unsigned().wrapping_add(1),
            Some(number) => number.to_f64().to_bits().wrapping_add(1),
        };
        (all.rotate_left(23) ^ bits).wrapping_mul(ODD)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_fresh_for_so_long_after_each_change() {
        let start = Instant::now();
        let mut expiry = Expiry::new(Duration::from_secs(10));
        expiry.push();
        expiry.push();
        let mut fresh = |index, value, seconds| {
            let now = start + Duration::from_secs(seconds);
            expiry.is_fresh(index, &[Some(Number::Unsigned(value))], now)
        };
        assert!(fresh(0, 7, 0) && fresh(1, 7, 0));
        assert!(fresh(0, 7, 9) && fresh(1, 8, 9));
        assert!(!fresh(0, 7, 10) && fresh(1, 8, 18));
        assert!(!fresh(1, 8, 19));
        assert!(fresh(0, 0, 30), "less is a change too");
    }

    #[test]
    fn marks_move_with_their_series() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let mut expiry = Expiry::new(Duration::from_secs(1));
        let one = |value| [Some(Number::Unsigned(value))];
        for index in 0..3 {
            expiry.push();
            expiry.is_fresh(index, &one(index.into()), start);
        }
        expiry.move_to(&[2, 0]);
        assert!(!expiry.is_fresh(0, &one(2), later));
        let mut kept = expiry.emptied();
        kept.push();
        kept.take_over(&expiry, 1);
        assert!(!kept.is_fresh(0, &one(0), later));
        assert!(kept.is_fresh(0, &one(2), later));
    }

    #[test]
    fn every_number_counts() {
        let accumulators = |numbers: [u64; 3]| numbers.map(|number| Some(Number::Unsigned(number)));
        let all = [
            [0, 0, 0],
            [1, 0, 0],
            [0, 1, 0],
            [0, 0, 1],
            [1, 1, 0],
            [2, 0, 0],
        ];
        for (index, a) in all.iter().enumerate() {
            for b in &all[..index] {
                assert_ne!(
                    in_short(&accumulators(*a)),
                    in_short(&accumulators(*b)),
                    "{a:?} {b:?}"
                );
            }
        }
        assert_ne!(in_short(&[None]), in_short(&[Some(Number::Unsigned(0))]));
    }
}
