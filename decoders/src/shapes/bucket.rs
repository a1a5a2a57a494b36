//! Buckets: the bounds of each kind of histogram, and which key goes where.
//!
//! BPF code counts in keys: key i is the bucket whose bound the formulas below give, the key after
//! the last one holds the sum.

use exporter_guest_sdk::Error;
use exporter_guest_sdk::shaper::Slot;
use serde::Deserialize;

use super::number::Place;

/// Options of every histogram; each kind looks at its own and leaves the others alone, as
/// ebpf_exporter does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    bucket_min: i64,
    bucket_max: i64,
    bucket_multiplier: f64,
    bucket_keys: Vec<f64>,
    /// Where the count is, if the map's value is more than that.
    pub(super) value: Option<Place>,
}

pub(super) const OPTIONS_SCHEMA: &str = r#"{"type":"object","properties":{"bucket_min":{"type":"integer"},"bucket_max":{"type":"integer"},"bucket_multiplier":{"type":"number","minimum":0},"bucket_keys":{"type":"array","items":{"type":"number"}},"value":{"type":"object"}}}"#;

/// How a key becomes a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// 2^i.
    Exp2,
    /// 0 for key 0, else 2^(i-1).
    Exp2Zero,
    /// i.
    Linear,
}

/// Which key goes where.
#[derive(Debug)]
pub(super) enum Keys {
    /// All integers from `min` to `max`.
    Range { min: i64, max: i64 },
    /// These, ascending. The sum is kept at the key after the one that was listed last.
    List { keys: Vec<f64>, sum: f64 },
}

/// The buckets of one histogram.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) keys: Keys,
    /// What keys and sum are multiplied with.
    pub(super) multiplier: f64,
    /// Upper bounds, strictly ascending.
    pub(super) bounds: Vec<f64>,
}

/// More buckets than anyone can want; a slip in the YAML must not fill the memory.
const MAX_BUCKETS: i128 = 65_536;

impl Buckets {
    /// The buckets of a range of integer keys.
    pub(super) fn range(scale: Scale, options: &Options) -> Result<Self, Error> {
        let (min, max) = (options.bucket_min, options.bucket_max);
        if min == max {
            return Err(format!(
                "bucket_min and bucket_max are both {min}: a histogram needs at least two buckets"
            )
            .into());
        }
        if i128::from(max) - i128::from(min) >= MAX_BUCKETS {
            return Err(format!("buckets from {min} to {max} are more than {MAX_BUCKETS}").into());
        }
        let multiplier = options.multiplier()?;
        // A max below min gives no bucket but the implied one; the sum is still where it would be.
        let bounds = (min..=max).map(|key| scale.bound(key) * multiplier);
        Ok(Self {
            keys: Keys::Range { min, max },
            multiplier,
            bounds: checked(bounds.zip((min..=max).map(|key| key as f64)))?,
        })
    }

    /// The buckets of listed keys.
    pub(super) fn list(options: &Options) -> Result<Self, Error> {
        let Some(&last) = options.bucket_keys.last() else {
            return Err("bucket_keys is missing or empty: list the key of each bucket".into());
        };
        if options.bucket_keys.len() as i128 > MAX_BUCKETS {
            return Err(format!("bucket_keys lists more than {MAX_BUCKETS} keys").into());
        }
        let multiplier = options.multiplier()?;
        // Adding zero makes -0 a 0.
        let mut keys: Vec<f64> = options.bucket_keys.iter().map(|key| key + 0.0).collect();
        keys.sort_by(f64::total_cmp);
        if let Some([twice, _]) = keys.array_windows().find(|[key, next]| key == next) {
            return Err(format!("bucket_keys lists {twice} twice").into());
        }
        let sum = last + 1.0;
        if keys.contains(&sum) {
            return Err(format!(
                "bucket_keys lists {sum}, but the key after the last one, {last}, holds the sum: sort the list"
            )
            .into());
        }
        let bounds = checked(keys.iter().map(|&key| (key * multiplier, key)))?;
        Ok(Self {
            keys: Keys::List { keys, sum },
            multiplier,
            bounds,
        })
    }

    /// Where a key's number goes.
    pub(super) fn slot(&self, key: u64) -> Slot {
        let bucket = match &self.keys {
            Keys::Range { min, max } => {
                let key = i128::from(key);
                if key == i128::from(*max) + 1 {
                    return Slot::Sum;
                }
                (i128::from(*min)..=i128::from(*max))
                    .contains(&key)
                    .then(|| key - i128::from(*min))
                    .and_then(|index| u32::try_from(index).ok())
            }
            Keys::List { keys, sum } => {
                let key = key as f64;
                if key == *sum {
                    return Slot::Sum;
                }
                let index = keys.binary_search_by(|listed| listed.total_cmp(&key)).ok();
                index.and_then(|index| u32::try_from(index).ok())
            }
        };
        bucket.map_or(Slot::None, Slot::Bucket)
    }
}

impl Options {
    /// 1 unless the YAML says otherwise.
    fn multiplier(&self) -> Result<f64, Error> {
        match self.bucket_multiplier {
            0.0 => Ok(1.0),
            multiplier if multiplier > 0.0 && multiplier.is_finite() => Ok(multiplier),
            multiplier => Err(format!(
                "bucket_multiplier must be a positive number, found {multiplier}"
            )
            .into()),
        }
    }
}

impl Scale {
    fn bound(self, key: i64) -> f64 {
        match self {
            Self::Exp2 => power_of_two(key),
            Self::Exp2Zero if key == 0 => 0.0,
            Self::Exp2Zero => power_of_two(key.saturating_sub(1)),
            Self::Linear => key as f64,
        }
    }
}

/// Exactly 2^exponent, infinite above what a double holds and zero below: library functions may be
/// off by a bit.
fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        ..-1074 => 0.0,
        -1074..-1022 => f64::from_bits(1 << (exponent + 1074)),
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        1024.. => f64::INFINITY,
    }
}

/// The bounds of (bound, key) pairs, which must be finite and ascend strictly.
fn checked(pairs: impl Iterator<Item = (f64, f64)>) -> Result<Vec<f64>, Error> {
    let mut bounds: Vec<f64> = Vec::new();
    for (bound, key) in pairs {
        if !bound.is_finite() {
            return Err(
                format!("the bound of bucket {key} is {bound}: that is no finite bucket").into(),
            );
        }
        if let Some(before) = bounds.last().filter(|before| **before >= bound) {
            return Err(format!(
                "the bound of bucket {key} is {bound}, not above the one before it, {before}"
            )
            .into());
        }
        bounds.push(bound);
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(min: i64, max: i64, multiplier: f64) -> Options {
        let bucket_keys = Vec::new();
        Options {
            bucket_min: min,
            bucket_max: max,
            bucket_multiplier: multiplier,
            bucket_keys,
            value: None,
        }
    }

    fn keys(keys: &[f64], multiplier: f64) -> Options {
        Options {
            bucket_multiplier: multiplier,
            bucket_keys: keys.to_vec(),
            ..Options::default()
        }
    }

    fn range(scale: Scale, min: i64, max: i64, multiplier: f64) -> Buckets {
        Buckets::range(scale, &options(min, max, multiplier)).unwrap()
    }

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in -1074..=1023_i32 {
            assert_eq!(
                power_of_two(exponent.into()),
                2_f64.powf(exponent.into()),
                "{exponent}"
            );
        }
        assert_eq!(
            (power_of_two(1024), power_of_two(-1075)),
            (f64::INFINITY, 0.0)
        );
        assert_eq!(
            (power_of_two(i64::MAX), power_of_two(i64::MIN)),
            (f64::INFINITY, 0.0)
        );
    }

    #[test]
    fn bounds_of_each_kind() {
        assert_eq!(range(Scale::Exp2, 0, 3, 0.0).bounds, [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(
            range(Scale::Exp2, 2, 3, 0.000001).bounds,
            [4.0 * 0.000001, 8.0 * 0.000001]
        );
        assert_eq!(
            range(Scale::Exp2Zero, 0, 3, 0.5).bounds,
            [0.0, 0.5, 1.0, 2.0]
        );
        assert_eq!(range(Scale::Exp2Zero, 1, 3, 1.0).bounds, [1.0, 2.0, 4.0]);
        assert_eq!(
            range(Scale::Linear, 1, 3, 0.1).bounds,
            [0.1, 0.2, 0.30000000000000004]
        );
        assert_eq!(range(Scale::Linear, -1, 1, 1.0).bounds, [-1.0, 0.0, 1.0]);
        let fixed = Buckets::list(&keys(&[0.0, 5.0, 10.0], 2.0)).unwrap();
        assert_eq!(
            (fixed.bounds, fixed.multiplier),
            (vec![0.0, 10.0, 20.0], 2.0)
        );
    }

    #[test]
    fn keys_go_to_their_bucket_and_the_one_after_to_the_sum() {
        let buckets = range(Scale::Exp2, 2, 4, 1.0);
        let slots = [1, 2, 4, 5, 6, u64::MAX].map(|key| buckets.slot(key));
        let expected = [
            Slot::None,
            Slot::Bucket(0),
            Slot::Bucket(2),
            Slot::Sum,
            Slot::None,
            Slot::None,
        ];
        assert_eq!(slots, expected);
        let buckets = Buckets::list(&keys(&[0.0, 5.0, 10.0], 0.0)).unwrap();
        let slots = [0, 1, 5, 10, 11, 12].map(|key| buckets.slot(key));
        let expected = [
            Slot::Bucket(0),
            Slot::None,
            Slot::Bucket(1),
            Slot::Bucket(2),
            Slot::Sum,
            Slot::None,
        ];
        assert_eq!(slots, expected);
        assert_eq!(range(Scale::Linear, -1, 1, 1.0).slot(0), Slot::Bucket(1));
    }

    #[test]
    fn a_list_out_of_order_is_sorted_but_its_sum_stays() {
        let buckets = Buckets::list(&keys(&[10.0, 1.0, 5.0], 0.0)).unwrap();
        assert_eq!(buckets.bounds, [1.0, 5.0, 10.0]);
        assert_eq!((buckets.slot(6), buckets.slot(11)), (Slot::Sum, Slot::None));
        assert_eq!(buckets.slot(10), Slot::Bucket(2));
    }

    #[test]
    fn a_max_below_min_leaves_the_sum_alone() {
        let buckets = range(Scale::Linear, 5, 3, 1.0);
        assert_eq!(
            (buckets.bounds.len(), buckets.slot(4), buckets.slot(5)),
            (0, Slot::Sum, Slot::None)
        );
    }

    #[test]
    fn what_makes_no_histogram() {
        let range = |scale, min, max, multiplier| {
            Buckets::range(scale, &options(min, max, multiplier))
                .unwrap_err()
                .to_string()
        };
        let list = |list: &[f64], multiplier| {
            Buckets::list(&keys(list, multiplier))
                .unwrap_err()
                .to_string()
        };
        let same = "bucket_min and bucket_max are both 3: a histogram needs at least two buckets";
        assert_eq!(range(Scale::Exp2, 3, 3, 1.0), same);
        assert_eq!(
            range(Scale::Exp2, 0, 9, -1.0),
            "bucket_multiplier must be a positive number, found -1"
        );
        assert!(range(Scale::Exp2, 0, 9, f64::NAN).contains("found NaN"));
        assert!(range(Scale::Exp2, 1, 1024, 1.0).contains("bucket 1024 is inf"));
        assert!(range(Scale::Exp2Zero, -1, 2, 1.0).contains("not above"));
        assert!(range(Scale::Linear, i64::MIN, i64::MAX, 1.0).contains("more than 65536"));
        assert_eq!(
            list(&[], 1.0),
            "bucket_keys is missing or empty: list the key of each bucket"
        );
        assert_eq!(list(&[1.0, 2.0, 1.0], 1.0), "bucket_keys lists 1 twice");
        assert_eq!(list(&[0.0, -0.0], 1.0), "bucket_keys lists 0 twice");
        assert!(list(&[3.0, 2.0], 1.0).starts_with("bucket_keys lists 3, but"));
    }
}
