//! Families of several sources become one sorted body: same names joined, what cannot stand
//! together left out and reported.

use std::sync::Arc;

use super::family::Family;
use super::samples::Samples;
use super::value::Sample;

/// Who brings families: a unit, the host itself.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) families: Vec<Family>,
}

/// What of a source is left out because an earlier source has what it would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    /// Whose series are left out.
    pub(crate) source: Arc<str>,
    /// Who was there first.
    pub(crate) earlier: Arc<str>,
    pub(crate) family: String,
    pub(crate) reason: ClashReason,
    /// How many series are left out; none where it is the help text.
    pub(crate) dropped: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClashReason {
    #[error("the same name with another type")]
    Kind,
    #[error("the same name with another help text")]
    Help,
    #[error("the same series, e.g. `{{{example}}}`")]
    Series { example: Arc<str> },
    #[error("the name belongs to histogram or summary `{whole}`")]
    Part { whole: String },
}

/// A family and the index of its source.
struct Candidate {
    source: usize,
    family: Family,
}

/// Joins the sources' families, sorted by name; earlier sources win. Each family's samples stay
/// sorted by their labels.
pub(crate) fn merge(sources: Vec<Source>) -> (Vec<Family>, Vec<Clash>) {
    let mut names = Vec::with_capacity(sources.len());
    let mut candidates = Vec::new();
    for (source, Source { name, families }) in sources.into_iter().enumerate() {
        names.push(name);
        candidates.extend(
            families
                .into_iter()
                .map(|family| Candidate { source, family }),
        );
    }
    // Stable: within a name the sources' order is kept.
    candidates.sort_by(|a, b| a.family.meta.name.cmp(&b.family.meta.name));

    let mut merger = Merger {
        names,
        clashes: Vec::new(),
    };
    let mut merged: Vec<Candidate> = Vec::with_capacity(candidates.len());
    let mut candidates = candidates.into_iter().peekable();
    while let Some(first) = candidates.next() {
        let mut owners = Vec::new();
        let mut group = first;
        while let Some(next) =
            candidates.next_if(|next| next.family.meta.name == group.family.meta.name)
        {
            merger.join(&mut group, &mut owners, next);
        }
        merged.push(group);
    }
    merger.part_wholes(&mut merged);
    (
        merged
            .into_iter()
            .map(|candidate| candidate.family)
            .collect(),
        merger.clashes,
    )
}

struct Merger {
    /// By source index.
    names: Vec<Arc<str>>,
    clashes: Vec<Clash>,
}

impl Merger {
    /// Adds `next`'s samples to `group`'s. `owners`: the source of each of the group's samples,
    /// once it has several (else empty).
    fn join(&mut self, group: &mut Candidate, owners: &mut Vec<usize>, next: Candidate) {
        let head = &group.family.meta;
        if head.kind != next.family.meta.kind {
            return self.report(
                group.source,
                &next,
                ClashReason::Kind,
                next.family.samples.len(),
            );
        }
        if head.help != next.family.meta.help {
            // No series depends on it.
            self.report(group.source, &next, ClashReason::Help, 0);
        }
        let mine =
            std::mem::replace(&mut group.family.samples, Samples::List(Vec::new())).into_list();
        if owners.is_empty() {
            owners.resize(mine.len(), group.source);
        }
        let mut all: Vec<(usize, Sample)> = std::mem::take(owners).into_iter().zip(mine).collect();
        let source = next.source;
        let Family { meta, samples } = next.family;
        all.extend(
            samples
                .into_list()
                .into_iter()
                .map(|sample| (source, sample)),
        );
        // Stable, and fast on two sorted runs: the earlier source's sample comes first among
        // equals.
        all.sort_by(|(_, a), (_, b)| a.labels.cmp(&b.labels));

        let mut dropped = 0;
        let mut first: Option<(usize, Arc<str>)> = None;
        all.dedup_by(|(_, sample), (keeper, kept)| {
            let equal = sample.labels == kept.labels;
            if equal {
                dropped += 1;
                first.get_or_insert_with(|| (*keeper, Arc::clone(&kept.labels)));
            }
            equal
        });
        let samples: Vec<Sample>;
        (*owners, samples) = all.into_iter().unzip();
        group.family.samples = samples.into();
        if let Some((earlier, example)) = first {
            let rest = Candidate {
                source,
                family: Family {
                    meta,
                    samples: Vec::new().into(),
                },
            };
            self.report(earlier, &rest, ClashReason::Series { example }, dropped);
        }
    }

    /// `x_count` beside a histogram or summary `x` would be read as its count: the later of the two
    /// is left out.
    fn part_wholes(&mut self, merged: &mut Vec<Candidate>) {
        let mut out: Vec<(usize, usize)> = Vec::new();
        for (whole, candidate) in merged.iter().enumerate() {
            let meta = &candidate.family.meta;
            for suffix in meta.kind.reserved_suffixes() {
                let name = format!("{}{suffix}", meta.name);
                let found = merged.binary_search_by(|other| other.family.meta.name.cmp(&name));
                if let Ok(other) = found {
                    out.push((whole, other));
                }
            }
        }
        let mut removed = vec![false; merged.len()];
        for (index, other) in out {
            let (Some(whole), Some(part)) = (merged.get(index), merged.get(other)) else {
                continue;
            };
            if removed[index] || removed[other] {
                continue;
            }
            let reason = ClashReason::Part {
                whole: whole.family.meta.name.clone(),
            };
            let (goes, kept, left_out) = if whole.source <= part.source {
                (other, whole, part)
            } else {
                (index, part, whole)
            };
            removed[goes] = true;
            self.report(kept.source, left_out, reason, left_out.family.samples.len());
        }
        let mut removed = removed.into_iter();
        merged.retain(|_| !removed.next().unwrap_or(false));
    }

    fn report(&mut self, earlier: usize, later: &Candidate, reason: ClashReason, dropped: usize) {
        let name = |source: usize| self.names.get(source).cloned().unwrap_or_else(|| "".into());
        self.clashes.push(Clash {
            source: name(later.source),
            earlier: name(earlier),
            family: later.family.meta.name.clone(),
            reason,
            dropped,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{FamilyMeta, Kind};
    use super::super::value::{Number, Value};
    use super::*;

    fn family(name: &str, kind: Kind, help: &str, labels: &[&str]) -> Family {
        let meta = FamilyMeta {
            name: name.into(),
            help: help.into(),
            unit: String::new(),
            kind,
        };
        let sample =
            |labels: &&str| Sample::new(Arc::from(*labels), Value::Number(Number::Unsigned(1)));
        Family {
            meta: Arc::new(meta),
            samples: labels.iter().map(sample).collect(),
        }
    }

    fn source(name: &str, families: Vec<Family>) -> Source {
        Source {
            name: name.into(),
            families,
        }
    }

    fn lines(families: &[Family]) -> Vec<String> {
        let line = |f: &Family| {
            let labels: Vec<&str> = f.samples.iter().map(|s| s.labels).collect();
            format!("{} {}", f.meta.name, labels.join(";"))
        };
        families.iter().map(line).collect()
    }

    #[test]
    fn same_families_are_joined_and_stay_sorted() {
        let (families, clashes) = merge(vec![
            source(
                "b",
                vec![family("x", Kind::Counter, "h", &["a=\"1\"", "a=\"3\""])],
            ),
            source(
                "a",
                vec![
                    family("z", Kind::Gauge, "", &[""]),
                    family("x", Kind::Counter, "h", &["a=\"2\""]),
                    family("c", Kind::Gauge, "", &[""]),
                ],
            ),
            source("c", vec![family("x", Kind::Counter, "h", &["a=\"0\""])]),
        ]);
        assert_eq!(
            lines(&families),
            ["c ", "x a=\"0\";a=\"1\";a=\"2\";a=\"3\"", "z "]
        );
        assert_eq!(clashes, []);
    }

    #[test]
    fn the_later_of_two_equal_series_is_left_out_and_named() {
        let (families, clashes) = merge(vec![
            source("one", vec![family("x", Kind::Counter, "h", &["a=\"1\""])]),
            source("two", vec![family("x", Kind::Counter, "h", &["a=\"2\""])]),
            source(
                "three",
                vec![family("x", Kind::Counter, "h", &["a=\"2\"", "a=\"3\""])],
            ),
        ]);
        assert_eq!(lines(&families), ["x a=\"1\";a=\"2\";a=\"3\""]);
        let reason = ClashReason::Series {
            example: "a=\"2\"".into(),
        };
        assert_eq!(reason.to_string(), "the same series, e.g. `{a=\"2\"}`");
        let (source, earlier) = ("three".into(), "two".into());
        assert_eq!(
            clashes,
            [Clash {
                source,
                earlier,
                family: "x".into(),
                reason,
                dropped: 1
            }]
        );
    }

    #[test]
    fn another_type_keeps_the_first_and_another_help_its_series() {
        let (families, clashes) = merge(vec![
            source("one", vec![family("x", Kind::Counter, "h", &["a=\"1\""])]),
            source("two", vec![family("x", Kind::Gauge, "h", &["a=\"2\""])]),
            source(
                "three",
                vec![family("x", Kind::Counter, "g", &["a=\"3\"", "a=\"4\""])],
            ),
        ]);
        assert_eq!(lines(&families), ["x a=\"1\";a=\"3\";a=\"4\""]);
        assert_eq!(families[0].meta.help, "h");
        let reasons: Vec<_> = clashes.iter().map(|c| (&c.reason, c.dropped)).collect();
        assert_eq!(reasons, [(&ClashReason::Kind, 1), (&ClashReason::Help, 0)]);
    }

    #[test]
    fn a_histograms_sample_names_are_its_own() {
        let (families, clashes) = merge(vec![
            source("one", vec![family("y_count", Kind::Gauge, "", &[""])]),
            source(
                "two",
                vec![
                    family("x", Kind::Histogram, "", &[""]),
                    family("x_count", Kind::Gauge, "", &[""]),
                    family("y", Kind::Histogram, "", &[""]),
                    family("z", Kind::Summary, "", &[""]),
                    family("z_bucket", Kind::Gauge, "", &[""]),
                    family("z_sum", Kind::Gauge, "", &[""]),
                ],
            ),
        ]);
        assert_eq!(lines(&families), ["x ", "y_count ", "z ", "z_bucket "]);
        let out: Vec<_> = clashes
            .iter()
            .map(|c| (c.family.as_str(), &*c.earlier))
            .collect();
        assert_eq!(out, [("x_count", "two"), ("y", "one"), ("z_sum", "two")]);
    }
}
