//! examples/CONFIGURATION.md has the keys that the readers have, section by section.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::sections::Keys;
use crate::config::{sections, sidecar};

const TEXT: &str = include_str!("../../../../examples/CONFIGURATION.md");

/// A section of the text: what stands under a heading with a path.
#[derive(Default)]
struct Section {
    rows: Vec<&'static str>,
    /// All words in backticks outside the table.
    quoted: BTreeSet<&'static str>,
}

fn written() -> BTreeMap<&'static str, Section> {
    let mut sections = BTreeMap::new();
    let mut path = None;
    for line in TEXT.lines() {
        if line.starts_with('#') {
            if let Some(next) = line.split('`').nth(1) {
                let twice = sections.insert(next, Section::default()).is_some();
                assert!(!twice, "two headings with the path `{next}`");
                path = Some(next);
            } else if line.starts_with("## ") {
                path = None;
            }
            continue;
        }
        let Some(section) = path.and_then(|path| sections.get_mut(path)) else {
            continue;
        };
        match line
            .strip_prefix("| `")
            .and_then(|row| row.split_once("` |"))
        {
            Some((key, _)) => section.rows.push(key),
            None => section.quoted.extend(line.split('`').skip(1).step_by(2)),
        }
    }
    sections
}

#[test]
fn the_documented_keys_are_those_of_the_readers() {
    let mut written = written();
    let mut wrong = Vec::new();
    for Keys {
        path,
        known,
        reserved,
    } in sections::keys().into_iter().chain(sidecar::keys())
    {
        let Some(section) = written.remove(path) else {
            wrong.push(format!("no heading with the path `{path}`"));
            continue;
        };
        let mut rows = BTreeSet::new();
        for row in section.rows {
            if !rows.insert(row) {
                wrong.push(format!("`{path}` has two rows of `{row}`"));
            }
            if !known.contains(&row) {
                wrong.push(format!(
                    "`{path}` has a row of `{row}`, which its reader does not know"
                ));
            }
        }
        for key in known {
            if !rows.contains(key) {
                wrong.push(format!("`{path}` has no row of `{key}`"));
            }
        }
        for key in reserved {
            if !section.quoted.contains(key) {
                wrong.push(format!("`{path}` does not say that `{key}` is reserved"));
            }
        }
    }
    for path in written.keys() {
        wrong.push(format!("there is no reader of `{path}`"));
    }
    assert!(
        wrong.is_empty(),
        "examples/CONFIGURATION.md:\n{}",
        wrong.join("\n")
    );
}
