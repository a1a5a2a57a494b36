//! A family being read: its head, and samples gathered into series.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use exporter_guest_sdk::families::{Histogram, Kind, Summary, Value};

use super::line::{self, Pairs, SampleLine, cut};
use super::{Family, Labels, Located, Problem, shown};

const BUCKET: &str = "le";
const QUANTILE: &str = "quantile";

#[derive(Debug)]
pub(super) struct Assembly {
    name: String,
    help: Option<String>,
    kind: Option<Kind>,
    /// In the file's order.
    series: Vec<(Labels, Partial)>,
    by_labels: BTreeMap<Labels, usize>,
}

/// A series that may come in several lines.
#[derive(Debug)]
struct Partial {
    first_line: usize,
    lines: u64,
    value: Option<Value>,
    /// Upper bounds with cumulative counts.
    buckets: Vec<(f64, u64)>,
    quantiles: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<u64>,
}

/// The names of a family's samples beyond its own.
pub(crate) fn parts(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::Summary => &["_sum", "_count"],
        Kind::Counter | Kind::Gauge | Kind::Info | Kind::Unknown => &[],
    }
}

// === impl Assembly ===

impl Assembly {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            help: None,
            kind: None,
            series: Vec::new(),
            by_labels: BTreeMap::new(),
        }
    }

    pub(super) fn parts(&self) -> &'static [&'static str] {
        parts(self.kind())
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }

    pub(super) fn set_help(&mut self, help: String) -> Result<(), Problem> {
        if self.help.is_some() {
            return Err(Problem::HelpTwice {
                family: self.name.clone(),
            });
        }
        self.help = Some(help);
        Ok(())
    }

    pub(super) fn set_kind(&mut self, kind: Kind) -> Result<(), Problem> {
        if self.kind.is_some() || !self.series.is_empty() {
            return Err(Problem::TypeLate {
                family: self.name.clone(),
            });
        }
        self.kind = Some(kind);
        Ok(())
    }

    /// A sample of this family's name, or of a name with one of its parts.
    pub(super) fn add(&mut self, number: usize, sample: SampleLine<'_>) -> Result<(), Problem> {
        let part = sample
            .name
            .strip_prefix(self.name.as_str())
            .unwrap_or_default();
        match (self.kind(), part) {
            (Kind::Histogram, "_bucket") => {
                let (bound, labels) = self.split_labels(BUCKET, &sample)?;
                let count = line::count(sample.value)?;
                let series = self.series(number, labels.clone());
                point(&mut series.buckets, bound, count)
                    .map_err(|()| twice(sample.name, labels, BUCKET, bound))?;
                series.lines += 1;
                Ok(())
            }
            (Kind::Summary, "") => {
                let (quantile, labels) = self.split_labels(QUANTILE, &sample)?;
                if !(0.0..=1.0).contains(&quantile) {
                    let found = quantile.to_string();
                    return Err(Problem::Bound {
                        name: sample.name.to_owned(),
                        label: QUANTILE,
                        found,
                    });
                }
                let value = line::float(sample.value)?;
                let series = self.series(number, labels.clone());
                point(&mut series.quantiles, quantile, value)
                    .map_err(|()| twice(sample.name, labels, QUANTILE, quantile))?;
                series.lines += 1;
                Ok(())
            }
            (Kind::Histogram | Kind::Summary, "_sum") => {
                let sum = line::float(sample.value)?;
                let labels = self.whole(&sample)?;
                self.once(number, sample.name, labels, |series| {
                    series.sum.replace(sum).is_some()
                })
            }
            (Kind::Histogram | Kind::Summary, "_count") => {
                let count = line::count(sample.value)?;
                let labels = self.whole(&sample)?;
                self.once(number, sample.name, labels, |series| {
                    series.count.replace(count).is_some()
                })
            }
            (Kind::Histogram, _) => Err(Problem::NoPart {
                name: sample.name.to_owned(),
                kind: "histogram",
                family: self.name.clone(),
                expected: "`_bucket`, `_sum` or `_count` behind the name",
            }),
            _ => {
                let value = self.plain_value(sample.value)?;
                let labels = labels(sample.labels);
                self.once(number, sample.name, labels, |series| {
                    series.value.replace(value).is_some()
                })
            }
        }
    }

    fn plain_value(&self, text: &str) -> Result<Value, Problem> {
        let value = line::number(text)?;
        let fits = match value {
            Value::Signed(number) => number >= 0,
            Value::Real(number) => number >= 0.0,
            _ => true,
        };
        if self.kind() == Kind::Counter && !fits {
            return Err(Problem::Counter {
                name: self.name.clone(),
                found: cut(text),
            });
        }
        Ok(value)
    }

    /// What tells the parts of a series apart, as a number, and the series' own labels.
    fn split_labels(
        &self,
        label: &'static str,
        sample: &SampleLine<'_>,
    ) -> Result<(f64, Labels), Problem> {
        let found = sample.labels.iter().find(|(name, _)| name == label);
        let text = found.map_or("", |(_, value)| value);
        let error = || Problem::Bound {
            name: sample.name.to_owned(),
            label,
            found: cut(text),
        };
        let number = line::float(text).map_err(|_| error())?;
        if number.is_nan() {
            return Err(error());
        }
        let others = sample.labels.iter().filter(|(name, _)| name != label);
        Ok((number, labels(others.cloned().collect())))
    }

    /// The labels of a part that there is once.
    fn whole(&self, sample: &SampleLine<'_>) -> Result<Labels, Problem> {
        let label = if self.kind() == Kind::Histogram {
            BUCKET
        } else {
            QUANTILE
        };
        if sample.labels.iter().any(|(name, _)| name == label) {
            let (name, family) = (sample.name.to_owned(), self.name.clone());
            return Err(Problem::Misplaced {
                name,
                label,
                family,
            });
        }
        Ok(labels(sample.labels.clone()))
    }

    /// `set` says whether it was there before.
    fn once(
        &mut self,
        number: usize,
        name: &str,
        labels: Labels,
        set: impl FnOnce(&mut Partial) -> bool,
    ) -> Result<(), Problem> {
        let text = shown(name, &labels);
        let series = self.series(number, labels);
        // The first one stays, also where the file is read line by line.
        let before = (series.value.clone(), series.sum, series.count);
        if set(series) {
            (series.value, series.sum, series.count) = before;
            return Err(Problem::SeriesTwice { series: text });
        }
        series.lines += 1;
        Ok(())
    }

    fn series(&mut self, number: usize, labels: Labels) -> &mut Partial {
        let next = self.series.len();
        let index = match self.by_labels.entry(labels) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.series.push((new.key().clone(), Partial::new(number)));
                *new.insert(next)
            }
        };
        // The index is of an entry that was pushed and never removed.
        &mut self.series[index].1
    }

    /// The family; series that make no whole go to `problems`.
    pub(super) fn finish(self, problems: &mut Vec<(u64, Located)>) -> Family {
        let kind = self.kind();
        let mut family = Family {
            name: self.name,
            help: self.help,
            kind,
            series: Vec::with_capacity(self.series.len()),
        };
        for (labels, partial) in self.series {
            let (line, lines) = (partial.first_line, partial.lines);
            match partial.finish(kind) {
                Ok(value) => family.series.push((labels, value)),
                Err(what) => {
                    let series = shown(&family.name, &labels);
                    let problem = Problem::Incomplete { series, what };
                    problems.push((lines, Located { line, problem }));
                }
            }
        }
        family
    }
}

// === impl Partial ===

impl Partial {
    fn new(first_line: usize) -> Self {
        Self {
            first_line,
            lines: 0,
            value: None,
            buckets: Vec::new(),
            quantiles: Vec::new(),
            sum: None,
            count: None,
        }
    }

    fn finish(mut self, kind: Kind) -> Result<Value, &'static str> {
        self.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        self.quantiles.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        match kind {
            Kind::Histogram => self.histogram().map(Value::Histogram),
            Kind::Summary => self.summary().map(Value::Summary),
            _ => self.value.ok_or("it has no value"),
        }
    }

    fn histogram(self) -> Result<Histogram, &'static str> {
        let sum = self.sum.ok_or("the histogram has no `_sum`")?;
        let count = self.count.ok_or("the histogram has no `_count`")?;
        let mut buckets = self.buckets;
        match buckets.pop() {
            Some((f64::INFINITY, all)) if all == count => {}
            Some((f64::INFINITY, _)) => {
                return Err("the histogram's bucket with le=\"+Inf\" and its `_count` differ");
            }
            _ => return Err("the histogram has no bucket with le=\"+Inf\""),
        }
        let counts = buckets.iter().map(|(_, count)| *count).chain([count]);
        if !counts.is_sorted() {
            return Err("a bucket of the histogram has less than one with a smaller bound");
        }
        if buckets
            .first()
            .is_some_and(|(bound, _)| bound.is_infinite())
        {
            return Err("the histogram has a bucket with le=\"-Inf\"");
        }
        Ok(Histogram {
            buckets,
            sum,
            count,
        })
    }

    fn summary(self) -> Result<Summary, &'static str> {
        let sum = self.sum.ok_or("the summary has no `_sum`")?;
        let count = self.count.ok_or("the summary has no `_count`")?;
        Ok(Summary {
            quantiles: self.quantiles,
            sum,
            count,
        })
    }
}

/// Adds a point unless there is one at the same place.
fn point<T>(points: &mut Vec<(f64, T)>, at: f64, value: T) -> Result<(), ()> {
    if points.iter().any(|(known, _)| *known == at) {
        return Err(());
    }
    points.push((at, value));
    Ok(())
}

fn twice(name: &str, mut labels: Labels, label: &str, at: f64) -> Problem {
    labels.insert(label.to_owned(), at.to_string());
    Problem::SeriesTwice {
        series: shown(name, &labels),
    }
}

/// An empty label is as good as none.
fn labels(pairs: Pairs) -> Labels {
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
