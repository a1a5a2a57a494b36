//! The families of several files as one answer: what an earlier file says stands.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use exporter_guest_sdk::Families;
use exporter_guest_sdk::families::{Kind, Value};

use crate::parse::{self, Family, Labels};

/// What all files say together.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    families: BTreeMap<String, Joined>,
    /// Every name that samples have, with its family's.
    names: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Joined {
    kind: Kind,
    help: Option<String>,
    /// Where it comes from, first of all.
    files: BTreeSet<String>,
    series: BTreeMap<Labels, Value>,
}

/// What a file says otherwise than the ones before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) family: String,
    pub(crate) what: What,
    /// Series that are left out.
    pub(crate) left_out: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The first text stays, the series are all served: as node_exporter does it.
    Help,
    Kind,
    /// Part of this family, or the other way round.
    Overlap(String),
    /// The first one of them.
    Series(String),
    /// The name of a family of the collector's own.
    Reserved,
}

impl Merged {
    /// Takes these names for the collector itself.
    pub(crate) fn reserving(names: &[&str]) -> Self {
        let names = names.iter().map(|name| ((*name).to_owned(), String::new()));
        Self {
            families: BTreeMap::new(),
            names: names.collect(),
        }
    }

    /// Adds a file's families, in which nothing is twice.
    pub(crate) fn add(&mut self, file: &str, families: Vec<Family>) -> Vec<Conflict> {
        families
            .into_iter()
            .flat_map(|family| self.add_family(file, family))
            .collect()
    }

    fn add_family(&mut self, file: &str, family: Family) -> Vec<Conflict> {
        let conflict = |what, left_out| Conflict {
            family: family.name.clone(),
            what,
            left_out,
        };
        let left_out = family.series.len();
        let own = [""].iter().chain(parse::parts(family.kind));
        let own: Vec<String> = own.map(|part| format!("{}{part}", family.name)).collect();
        // Its own name may be known: as that of the same family in another file.
        let known = self.families.get(&family.name);
        if known.is_some_and(|known| known.kind != family.kind) {
            return vec![conflict(What::Kind, left_out)];
        }
        let owners = own.iter().filter_map(|name| self.names.get(name));
        if let Some(owner) = owners.into_iter().find(|owner| **owner != family.name) {
            let what = if owner.is_empty() {
                What::Reserved
            } else {
                What::Overlap(owner.clone())
            };
            return vec![conflict(what, left_out)];
        }
        for name in own {
            self.names.insert(name, family.name.clone());
        }
        let joined = self
            .families
            .entry(family.name.clone())
            .or_insert_with(|| Joined {
                kind: family.kind,
                help: None,
                files: BTreeSet::new(),
                series: BTreeMap::new(),
            });
        let mut conflicts = Vec::new();
        match (&joined.help, &family.help) {
            (Some(first), Some(other)) if first != other => conflicts.push(conflict(What::Help, 0)),
            (None, Some(help)) => joined.help = Some(help.clone()),
            _ => {}
        }
        let (mut twice, mut example) = (0, None);
        for (labels, value) in family.series {
            match joined.series.entry(labels) {
                Entry::Occupied(known) => {
                    twice += 1;
                    example.get_or_insert_with(|| parse::shown(&family.name, known.key()));
                }
                Entry::Vacant(new) => {
                    new.insert(value);
                    joined.files.insert(file.to_owned());
                }
            }
        }
        if let Some(example) = example {
            let family = family.name;
            conflicts.push(Conflict {
                family,
                what: What::Series(example),
                left_out: twice,
            });
        }
        conflicts
    }

    pub(crate) fn write(self, families: &mut Families) {
        for (name, joined) in self.families {
            let help = joined.help.unwrap_or_else(|| {
                let files: Vec<String> = joined.files.into_iter().collect();
                format!("Metric read from {}", files.join(", "))
            });
            let mut family = families.family(joined.kind, &name, &help);
            for (labels, value) in joined.series {
                let labels: Vec<(&str, &str)> = labels
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                family.sample(&labels, value);
            }
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            family,
            what,
            left_out,
        } = self;
        match what {
            What::Help => write!(
                f,
                "family `{family}` has another help text in an earlier file, which stays"
            ),
            What::Kind => write!(
                f,
                "family `{family}` has another type in an earlier file: {left_out} series left out"
            ),
            What::Overlap(other) => {
                write!(
                    f,
                    "the names of `{family}` and `{other}` of an earlier file overlap: {left_out} series left out"
                )
            }
            What::Series(example) => {
                write!(
                    f,
                    "family `{family}`: {left_out} series left out that an earlier file has, e.g. `{example}`"
                )
            }
            What::Reserved => {
                write!(
                    f,
                    "family `{family}` is the collector's own: {left_out} series left out"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use exporter_guest_sdk::testing::render;

    use super::*;

    fn add(merged: &mut Merged, file: &str, content: &str) -> Vec<(String, What, usize)> {
        let content = parse::strict(content.as_bytes()).unwrap();
        let conflicts = merged.add(file, content.families).into_iter();
        conflicts
            .map(|conflict| (conflict.family, conflict.what, conflict.left_out))
            .collect()
    }

    fn written(merged: Merged) -> String {
        let mut families = Families::default();
        merged.write(&mut families);
        render(families.families())
    }

    #[test]
    fn families_of_several_files_are_joined() {
        let mut merged = Merged::default();
        assert_eq!(add(&mut merged, "/a", "b{x=\"1\"} 1\nc 5\n"), []);
        assert_eq!(
            add(
                &mut merged,
                "/b",
                "# HELP b Bees.\nb{x=\"2\"} 2\nc{y=\"\",z=\"1\"} 6\n"
            ),
            []
        );
        assert_eq!(
            written(merged),
            "# HELP b Bees.\n# TYPE b untyped\nb{x=\"1\"} 1\nb{x=\"2\"} 2\n\
             # HELP c Metric read from /a, /b\n# TYPE c untyped\nc 5\nc{z=\"1\"} 6\n"
        );
    }

    #[test]
    fn the_earlier_file_stands() {
        let mut merged = Merged::reserving(&["own"]);
        let first = "# HELP a A.\n# TYPE a gauge\na 1\na{x=\"1\"} 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n";
        assert_eq!(add(&mut merged, "/a", first), []);
        let name = |name: &str| name.to_owned();
        assert_eq!(
            add(&mut merged, "/b", "# TYPE a counter\na{x=\"2\"} 1\n"),
            [(name("a"), What::Kind, 1)]
        );
        assert_eq!(
            add(
                &mut merged,
                "/b",
                "# HELP a B.\n# TYPE a gauge\na{x=\"3\"} 1\n"
            ),
            [(name("a"), What::Help, 0)]
        );
        assert_eq!(
            add(
                &mut merged,
                "/b",
                "# TYPE a gauge\na{x=\"1\"} 2\na{x=\"4\"} 2\n"
            ),
            [(name("a"), What::Series(name("a{x=\"1\"}")), 1)]
        );
        assert_eq!(
            add(&mut merged, "/b", "h_count 1\n"),
            [(name("h_count"), What::Overlap(name("h")), 1)]
        );
        assert_eq!(
            add(&mut merged, "/b", "own 1\n"),
            [(name("own"), What::Reserved, 1)]
        );
        assert_eq!(
            add(
                &mut merged,
                "/b",
                "x_sum 1\n# TYPE a_count summary\na_count_sum 1\na_count_count 1\n"
            ),
            []
        );
        assert_eq!(
            add(&mut merged, "/b", "# TYPE x summary\nx_sum 1\nx_count 1\n"),
            [(name("x"), What::Overlap(name("x_sum")), 1)]
        );
        let text = written(merged);
        assert!(
            text.starts_with(
                "# HELP a A.\n# TYPE a gauge\na 1\na{x=\"1\"} 1\na{x=\"3\"} 1\na{x=\"4\"} 2\n"
            ),
            "{text}"
        );
    }
}
