//! Whether a histogram's map fits the buckets that the YAML gives it: a program may count in keys
//! beyond them, or in the one that is taken for the sum.

use super::stats::MetricScrapeStats;
use crate::exposition::{Family, HistogramRef, ValueRef};

/// The keys of a histogram's buckets, of the shapes of the standard plugin. The key after the last
/// one is the sum's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BucketKeys {
    Range { min: i64, max: i64 },
    List { last: f64 },
}

/// Keys of a batch that belong to no bucket.
#[derive(Debug, Default)]
pub(super) struct OutOfRange {
    count: u64,
    /// The largest of them.
    largest: Option<(u64, String)>,
}

/// Looks at a metric's histograms, and warns once of each fault.
#[derive(Debug)]
pub(super) struct BucketCheck {
    /// None: it is no such histogram.
    keys: Option<BucketKeys>,
    warned_of_keys: bool,
    sum: SumCheck,
}

#[derive(Debug, PartialEq)]
enum SumCheck {
    Fits,
    /// A walk reads bucket and sum one after the other: only a sum that is too small again is.
    Suspected,
    Warned,
}

/// The first scrapes have their sums looked at, and then two of so many.
const FIRST_SCRAPES: u32 = 4;
const SCRAPES: u32 = 16;
/// A sum may be below what its buckets come to by this part, as both change while they are read.
const TOLERANCE: f64 = 0.1;

impl OutOfRange {
    /// One more; `label`: of the bucket.
    pub(super) fn add(&mut self, label: &[u8]) {
        self.count += 1;
        let text = String::from_utf8_lossy(label);
        let number = text.parse().unwrap_or(0);
        if self
            .largest
            .as_ref()
            .is_none_or(|(known, _)| *known < number)
        {
            self.largest = Some((number, text.into_owned()));
        }
    }
}

impl BucketCheck {
    pub(super) fn new(keys: Option<BucketKeys>) -> Self {
        Self {
            keys,
            warned_of_keys: false,
            sum: SumCheck::Fits,
        }
    }

    pub(super) fn keys(&mut self, found: OutOfRange, stats: &mut MetricScrapeStats) {
        let (Some(keys), Some((_, largest))) = (&self.keys, found.largest) else {
            return;
        };
        stats.out_of_range += found.count;
        if std::mem::replace(&mut self.warned_of_keys, true) {
            return;
        }
        stats.misfits.push(match keys {
            BucketKeys::Range { min, max } => format!(
                "the map has the bucket {largest}, the YAML's buckets end at `bucket_max` {max} (from {min}, and {} is the sum): keys beyond are left out, so set `bucket_max` to the last bucket that the program counts in",
                i128::from(*max) + 1
            ),
            BucketKeys::List { last } => format!(
                "the map has the bucket {largest}, which is none of the YAML's `bucket_keys` up to {last} (and {} is the sum): it is left out, so list every bucket that the program counts in",
                last + 1.0
            ),
        });
    }

    /// Looks at the families of a complete scrape.
    pub(super) fn sums(&mut self, scrape: u32, families: &[Family], stats: &mut MetricScrapeStats) {
        let Some(keys) = &self.keys else { return };
        let due = scrape <= FIRST_SCRAPES || scrape % SCRAPES < 2;
        if self.sum == SumCheck::Warned || !due {
            return;
        }
        let samples = families.iter().flat_map(|family| family.samples.iter());
        let too_small = samples.filter_map(|sample| match sample.value {
            ValueRef::Histogram(histogram) => Some((sample.labels, too_small(histogram)?)),
            _ => None,
        });
        let found = too_small.into_iter().next();
        match (found, &self.sum) {
            (None, _) => self.sum = SumCheck::Fits,
            (Some(_), SumCheck::Fits) => self.sum = SumCheck::Suspected,
            (Some((labels, (sum, implied))), _) => {
                self.sum = SumCheck::Warned;
                let key = match keys {
                    BucketKeys::Range { max, .. } => (i128::from(*max) + 1).to_string(),
                    BucketKeys::List { last } => (last + 1.0).to_string(),
                };
                stats.misfits.push(format!(
                    "the sum of {{{labels}}} is {sum}, its buckets alone imply more than {implied}: the key {key}, after the last bucket, seems to hold something else, so check that the YAML's buckets are those of the program"
                ));
            }
        }
    }
}

/// The sum, and what the buckets come to if each value is at its bucket's lower bound, where that
/// is more.
fn too_small(histogram: HistogramRef<'_>) -> Option<(f64, f64)> {
    let sum = histogram.sum.to_f64();
    // Not every program counts the sum.
    if sum == 0.0 || histogram.bounds.first().is_none_or(|bound| *bound < 0.0) {
        return None;
    }
    let counts = histogram.counts.iter().skip(1);
    let implied: f64 = histogram
        .bounds
        .iter()
        .zip(counts)
        .map(|(lower, count)| lower * *count as f64)
        .sum();
    (sum < implied * (1.0 - TOLERANCE)).then_some((sum, implied))
}
