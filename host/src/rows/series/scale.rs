//! What the numbers of a family are multiplied with. It is done once for each series when it is
//! shown: until then sums are of integers, and exact.

use crate::exposition::Number;
use crate::rows::number::scale;

/// Of each family, by index.
#[derive(Debug, Default)]
pub(super) struct Scales(Vec<Option<Factor>>);

#[derive(Debug, Clone, Copy)]
struct Factor {
    factor: f64,
    scale: Scale,
    /// Rows have other factors too.
    is_mixed: bool,
}

/// How to multiply, with as little rounding as can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    One,
    /// With 10^n: it moves the point.
    PowerOfTen(i8),
    Integer(u64),
    Other(f64),
}

/// The exponents of ten that are looked for, and bounds of the factors of families.
const EXPONENTS: std::ops::RangeInclusive<i8> = -30..=30;
const SMALLEST: f64 = 1e-30;
const LARGEST: f64 = 1e30;
/// 10^22 is the last power of ten that a double equals.
const EXACT_POWERS: i8 = 22;
/// Integers of a double are exact up to here.
const LARGEST_INTEGER: f64 = (1_u64 << 53) as f64;

impl Scales {
    pub(super) fn new(families: usize) -> Self {
        Self(vec![None; families])
    }

    /// What a row's number has to be multiplied with beside the family's factor, if it is to be
    /// multiplied with `factor` in all. The first row decides upon the family's.
    #[inline]
    pub(super) fn relative(&mut self, family: u32, factor: f64) -> f64 {
        let Some(known) = self.0.get_mut(family as usize) else {
            return factor;
        };
        let own = known.get_or_insert_with(|| Factor::of(factor));
        if own.factor == factor {
            return 1.0;
        }
        own.is_mixed = true;
        match own.scale {
            // The power is exact where the factor is not.
            Scale::PowerOfTen(power) if (-EXACT_POWERS..0).contains(&power) => {
                factor * 10_f64.powi(i32::from(-power))
            }
            _ => factor / own.factor,
        }
    }

    /// Begins with the factor of another set's family whose rows have several: the first row of
    /// this one need not have the same.
    pub(super) fn begin_with(&mut self, family: u32, other: &Self, others: u32) {
        let theirs = other.0.get(others as usize).copied().flatten();
        if let Some(own) = self.0.get_mut(family as usize)
            && let Some(theirs) = theirs.filter(|factor| factor.is_mixed)
        {
            own.get_or_insert(theirs);
        }
    }

    /// Takes over the factor of another set's family, where this one has none yet. False: it has
    /// another.
    pub(super) fn adopt(&mut self, family: u32, other: &Self, others: u32) -> bool {
        let theirs = other.0.get(others as usize).copied().flatten();
        let Some(own) = self.0.get_mut(family as usize) else {
            return false;
        };
        let own = own.or(theirs).inspect(|factor| *own = Some(*factor));
        own.map(|one| one.factor) == theirs.or(own).map(|one| one.factor)
    }

    pub(super) fn get(&self, family: u32) -> Scale {
        let factor = self.0.get(family as usize).copied().flatten();
        factor.map_or(Scale::One, |factor| factor.scale)
    }
}

impl Factor {
    fn of(factor: f64) -> Self {
        if (SMALLEST..=LARGEST).contains(&factor.abs()) {
            let scale = Scale::of(factor);
            Self {
                factor,
                scale,
                is_mixed: false,
            }
        } else {
            Self {
                factor: 1.0,
                scale: Scale::One,
                is_mixed: false,
            }
        }
    }
}

impl Scale {
    fn of(factor: f64) -> Self {
        if factor == 1.0 {
            return Self::One;
        }
        if factor > 1.0 && factor < LARGEST_INTEGER && factor.fract() == 0.0 {
            return Self::Integer(factor as u64);
        }
        let mut exponents = EXPONENTS;
        let power = exponents.find(|power| {
            let value = format!("1e{power}").parse::<f64>();
            value.is_ok_and(|value| value == factor)
        });
        power.map_or(Self::Other(factor), Self::PowerOfTen)
    }

    pub(super) fn apply_all(self, numbers: &mut [Number]) {
        if self != Self::One {
            for number in numbers {
                *number = self.apply(*number);
            }
        }
    }

    pub(super) fn apply(self, number: Number) -> Number {
        match (self, number) {
            (Self::One, number) | (_, number @ Number::Unsigned(0)) => number,
            (Self::PowerOfTen(power), Number::Unsigned(digits)) => Number::Shifted {
                negative: false,
                digits,
                power,
            },
            (Self::PowerOfTen(power), Number::Signed(value)) => Number::Shifted {
                negative: value < 0,
                digits: value.unsigned_abs(),
                power,
            },
            (Self::PowerOfTen(power), number) => {
                let value = number.to_f64();
                Number::Float(if (-EXACT_POWERS..0).contains(&power) {
                    value / 10_f64.powi(i32::from(-power))
                } else {
                    value * 10_f64.powi(i32::from(power))
                })
            }
            (Self::Integer(factor), Number::Unsigned(value)) => match value.checked_mul(factor) {
                Some(product) => Number::Unsigned(product),
                None => scale(number, factor as f64),
            },
            (Self::Integer(factor), Number::Signed(value)) => {
                let factor_too = i64::try_from(factor).ok();
                match factor_too.and_then(|factor| value.checked_mul(factor)) {
                    Some(product) => Number::Signed(product),
                    None => scale(number, factor as f64),
                }
            }
            (Self::Integer(factor), number) => scale(number, factor as f64),
            (Self::Other(factor), number) => scale(number, factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shifted(digits: u64, power: i8) -> Number {
        Number::Shifted {
            negative: false,
            digits,
            power,
        }
    }

    #[test]
    fn the_first_row_decides() {
        let mut scales = Scales::new(3);
        assert_eq!(scales.get(0), Scale::One);
        assert_eq!(scales.relative(0, 1e-9), 1.0);
        assert_eq!(scales.relative(0, 1e-9), 1.0);
        assert_eq!(scales.relative(0, 1e-6), 1000.0);
        assert_eq!(scales.relative(0, 1.0), 1e9);
        assert_eq!(scales.get(0), Scale::PowerOfTen(-9));
        assert_eq!(scales.relative(1, 0.0), 0.0);
        assert_eq!(scales.relative(1, 5.0), 5.0);
        assert_eq!(scales.get(1), Scale::One);
        assert_eq!(scales.relative(7, 0.5), 0.5, "no such family");
    }

    #[test]
    fn factors_of_another_set() {
        let of = |factors: &[f64]| {
            let mut scales = Scales::new(1);
            for factor in factors {
                scales.relative(0, *factor);
            }
            scales
        };
        for (own, theirs, same) in [
            (&[1e-9][..], &[1e-9][..], true),
            (&[1e-9], &[1e-6], false),
            (&[], &[1e-6], true),
            (&[1e-6], &[], true),
            (&[], &[], true),
        ] {
            let mut scales = of(own);
            let message = format!("{own:?} {theirs:?}");
            assert_eq!(scales.adopt(0, &of(theirs), 0), same, "{message}");
            let factor = own.first().or(theirs.first());
            let factor = factor.map_or(Scale::One, |factor| Scale::of(*factor));
            assert_eq!(scales.get(0), factor, "{message}");
        }
        // Whichever row comes first.
        let mixed = of(&[1e-9, 1e-6]);
        let mut scales = Scales::new(1);
        scales.begin_with(0, &mixed, 0);
        assert_eq!(scales.relative(0, 1e-6), 1000.0);
        assert!(scales.adopt(0, &mixed, 0));
        let mut scales = Scales::new(1);
        scales.begin_with(0, &of(&[1e-9]), 0);
        assert_eq!(scales.relative(0, 1e-6), 1.0, "it may have been mended");
    }

    #[test]
    fn factors_are_told_apart() {
        for (factor, scale) in [
            (1.0, Scale::One),
            (0.001, Scale::PowerOfTen(-3)),
            (1e-9, Scale::PowerOfTen(-9)),
            (512.0, Scale::Integer(512)),
            (1000.0, Scale::Integer(1000)),
            (1e20, Scale::PowerOfTen(20)),
            (0.5, Scale::Other(0.5)),
            (-1000.0, Scale::Other(-1000.0)),
            (1.000_000_1e-9, Scale::Other(1.000_000_1e-9)),
        ] {
            assert_eq!(Scale::of(factor), scale, "{factor}");
        }
    }

    #[test]
    fn as_exact_as_can_be() {
        let nanoseconds = Scale::of(1e-9);
        let quintillion = 1_000_000_000_000_000_000;
        assert_eq!(
            nanoseconds.apply(Number::Unsigned(quintillion)),
            shifted(quintillion, -9)
        );
        assert_eq!(
            nanoseconds.apply(Number::Float(1e18)),
            Number::Float(1e9),
            "divided, not multiplied"
        );
        let sectors = Scale::of(512.0);
        let odd = (1 << 53) + 1;
        assert_eq!(
            sectors.apply(Number::Unsigned(odd)),
            Number::Unsigned(odd * 512)
        );
        assert_eq!(sectors.apply(Number::Signed(-3)), Number::Signed(-1536));
        assert_eq!(
            sectors.apply(Number::Unsigned(u64::MAX)),
            Number::Float(u64::MAX as f64 * 512.0)
        );
        assert_eq!(
            Scale::of(0.25).apply(Number::Signed(-2)),
            Number::Float(-0.5)
        );
    }
}
