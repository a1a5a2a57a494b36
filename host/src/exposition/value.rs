//! One series and its value.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time at which a counter, a bucket or a sum was 0, in milliseconds since 1970. 0: it is not
/// known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct StartTime(u64);

impl StartTime {
    pub(crate) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        Self(u64::try_from(millis).unwrap_or(0))
    }

    #[cfg(test)]
    pub(crate) fn of_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// None: it is not known.
    pub(crate) fn millis(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }
}

/// One series' value. A histogram is one sample, so is a summary.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The label pairs as they are written, without the braces: `cpu="0",kind="a\"b"`; empty for
    /// none. See `escape`.
    pub(crate) labels: Arc<str>,
    pub(crate) value: Value,
    pub(crate) start: StartTime,
}

impl Sample {
    /// One that does not say when it was 0. See the fields.
    pub(crate) fn new(labels: Arc<str>, value: Value) -> Self {
        Self {
            labels,
            value,
            start: StartTime::default(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(Number),
    Histogram(Box<Histogram>),
    Summary(Box<Summary>),
}

/// Integers stay exact up to the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    /// ± digits x 10^power.
    Shifted {
        negative: bool,
        digits: u64,
        power: i8,
    },
}

impl Number {
    /// The nearest double.
    pub(crate) fn to_f64(self) -> f64 {
        /// Every integer up to here is a double, and so is every power of ten up to the 22nd: their
        /// quotient is rounded once.
        const EXACT: u64 = 1 << 53;
        const EXACT_POWER: i8 = 22;
        match self {
            Self::Unsigned(value) => value as f64,
            Self::Signed(value) => value as f64,
            Self::Float(value) => value,
            Self::Shifted {
                negative,
                digits,
                power,
            } => {
                let magnitude = if digits <= EXACT && (-EXACT_POWER..=0).contains(&power) {
                    digits as f64 / 10_f64.powi(i32::from(-power))
                } else {
                    format!("{digits}e{power}").parse().unwrap_or(f64::NAN)
                };
                if negative { -magnitude } else { magnitude }
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// Upper bounds of the finite buckets, strictly ascending.
    pub(crate) bounds: Arc<[f64]>,
    /// Observations in each bucket alone, not cumulated; one more than `bounds`: the last is
    /// +Inf's.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: Number,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Quantile, from 0 to 1, and its value; strictly ascending by quantile.
    pub(crate) quantiles: Vec<(f64, f64)>,
    pub(crate) sum: Number,
    pub(crate) count: u64,
}
