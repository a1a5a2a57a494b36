//! One file in the text format 0.0.4.
//!
//! [Prometheus' definition](https://prometheus.io/docs/instrumenting/exposition_formats/), as
//! strictly as its own Go parser and in some places more so: histograms and summaries have to be
//! complete, values have to make sense for their type. As with that parser the lines of a family
//! need not stand together. Timestamps are refused: a file's samples are as of the scrape.

mod family;
mod line;

use std::collections::BTreeMap;

use exporter_guest_sdk::families::{Kind, Value};

use family::Assembly;
pub(crate) use family::parts;
use line::{Line, SampleLine, cut};

/// A series' labels, sorted, none of them empty: two that are equal name the same series.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a good file, or the good part of one, says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// In the file's order. None is empty.
    pub(crate) families: Vec<Family>,
    /// Lines that were left out.
    pub(crate) skipped: u64,
    /// What was wrong with the first of them.
    pub(crate) first_problem: Option<Located>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) series: Vec<(Labels, Value)>,
}

/// A problem and the number of its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct Located {
    pub(crate) line: usize,
    pub(crate) problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("expected a metric name, found `{found}`")]
    Name { found: String },
    #[error(
        "expected labels as `name=\"value\"`, separated by commas and closed by `}}`, found `{found}`"
    )]
    Labels { found: String },
    #[error("label `{name}` is there twice")]
    LabelTwice { name: String },
    #[error("label `{name}` is reserved: names that start with `__` belong to Prometheus")]
    ReservedLabel { name: String },
    #[error("the escape `{found}` does not exist: expected `\\\\`, `\\n` or, in a label, `\\\"`")]
    Escape { found: String },
    #[error("expected a number, found `{found}`")]
    Number { found: String },
    #[error("expected a number of observations, found `{found}`")]
    Count { found: String },
    #[error("counter `{name}` cannot be {found}")]
    Counter { name: String, found: String },
    #[error("timestamp `{found}`: a file's samples are as of the scrape, leave timestamps out")]
    Timestamp { found: String },
    #[error("expected the end of the line after the value, found `{found}`")]
    AfterValue { found: String },
    #[error("expected one of counter, gauge, histogram, summary, untyped as type, found `{found}`")]
    Type { found: String },
    #[error("a second HELP line for `{family}`")]
    HelpTwice { family: String },
    #[error("a second TYPE line for `{family}`, or one after its samples")]
    TypeLate { family: String },
    #[error("series `{series}` is there twice")]
    SeriesTwice { series: String },
    #[error("`{name}` is no part of {kind} `{family}`: expected {expected}")]
    NoPart {
        name: String,
        kind: &'static str,
        family: String,
        expected: &'static str,
    },
    #[error("`{name}` has no label `{label}` with a number, found `{found}`")]
    Bound {
        name: String,
        label: &'static str,
        found: String,
    },
    #[error("label `{label}` of `{name}` is for the parts of `{family}` that it tells apart")]
    Misplaced {
        name: String,
        label: &'static str,
        family: String,
    },
    #[error("`{series}`: {what}")]
    Incomplete { series: String, what: &'static str },
    #[error("the names of `{name}` and `{family}` overlap")]
    Overlap { name: String, family: String },
    #[error("it is not UTF-8")]
    Encoding,
    #[error("the last line does not end: the file may be cut short or still being written")]
    Unended,
}

/// Reads a whole file; the first problem is the answer.
pub(crate) fn strict(content: &[u8]) -> Result<Content, Located> {
    let mut parser = Parser::default();
    for (line, text) in lines(content) {
        text.and_then(|text| parser.line(line, text))
            .map_err(|problem| Located { line, problem })?;
    }
    let (families, problems) = parser.finish();
    match problems.into_iter().next() {
        Some((_, problem)) => Err(problem),
        None => Ok(Content {
            families,
            ..Content::default()
        }),
    }
}

/// Reads line by line and leaves out what is wrong, for what is printed without much care.
pub(crate) fn lenient(content: &[u8]) -> Content {
    let mut parser = Parser::default();
    let mut skipped = 0;
    let mut first_problem = None;
    for (line, text) in lines(content) {
        if let Err(problem) = text.and_then(|text| parser.line(line, text)) {
            skipped += 1;
            first_problem.get_or_insert(Located { line, problem });
        }
    }
    let (families, problems) = parser.finish();
    for (lines, problem) in problems {
        skipped += lines;
        first_problem.get_or_insert(problem);
    }
    Content {
        families,
        skipped,
        first_problem,
    }
}

/// Lines by number, from 1. One that is not ended may be half a line: it is none.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, Result<&str, Problem>)> {
    let lines = content.split_inclusive(|&byte| byte == b'\n').enumerate();
    lines.map(|(index, line)| {
        let text = match line.strip_suffix(b"\n") {
            Some(line) => std::str::from_utf8(line).map_err(|_| Problem::Encoding),
            None if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) => Ok(""),
            None => Err(Problem::Unended),
        };
        (index + 1, text)
    })
}

/// How a series is written in messages.
pub(crate) fn shown(name: &str, labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{name}{{{}}}", pairs.join(","))
}

#[derive(Debug, Default)]
struct Parser {
    families: Vec<Assembly>,
    by_name: BTreeMap<String, usize>,
}

impl Parser {
    fn line(&mut self, number: usize, text: &str) -> Result<(), Problem> {
        match Line::parse(text)? {
            Line::Nothing => Ok(()),
            Line::Help { name, help } => self.family(name).set_help(help),
            Line::Type { name, kind } => {
                self.check_overlap(name, kind)?;
                self.family(name).set_kind(kind)
            }
            Line::Sample(sample) => self.sample(number, sample),
        }
    }

    fn sample(&mut self, number: usize, sample: SampleLine<'_>) -> Result<(), Problem> {
        let owner = match self.composite(sample.name) {
            // A family of its own name comes first.
            Some(owner) if !self.by_name.contains_key(sample.name) => owner.to_owned(),
            _ => sample.name.to_owned(),
        };
        self.family(&owner).add(number, sample)
    }

    /// The histogram or summary that a sample of this name is part of.
    fn composite<'a>(&self, name: &'a str) -> Option<&'a str> {
        ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|suffix| {
                let base = name.strip_suffix(suffix)?;
                let family = self
                    .by_name
                    .get(base)
                    .and_then(|index| self.families.get(*index))?;
                family.parts().contains(&suffix).then_some(base)
            })
    }

    /// A histogram `a` and a family `a_count` cannot both be.
    fn check_overlap(&self, name: &str, kind: Kind) -> Result<(), Problem> {
        let overlap = |family: &str| Problem::Overlap {
            name: name.to_owned(),
            family: family.to_owned(),
        };
        for part in parts(kind) {
            let part = format!("{name}{part}");
            if self.by_name.contains_key(&part) {
                return Err(overlap(&part));
            }
        }
        match self.composite(name) {
            Some(family) => Err(overlap(family)),
            None => Ok(()),
        }
    }

    fn family(&mut self, name: &str) -> &mut Assembly {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => {
                let index = self.families.len();
                self.families.push(Assembly::new(name));
                self.by_name.insert(name.to_owned(), index);
                index
            }
        };
        // The index is of an entry that was pushed and never removed.
        &mut self.families[index]
    }

    /// The families, and what is wrong with series as wholes: each with the number of its lines.
    fn finish(self) -> (Vec<Family>, Vec<(u64, Located)>) {
        let mut problems = Vec::new();
        let families = self
            .families
            .into_iter()
            .map(|family| family.finish(&mut problems));
        let families = families
            .filter(|family| !family.series.is_empty())
            .collect();
        (families, problems)
    }
}

impl Problem {
    fn name(found: &str) -> Self {
        Self::Name { found: cut(found) }
    }
}

#[cfg(test)]
mod tests;
