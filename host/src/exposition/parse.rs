//! Reads OpenMetrics text into families, strictly: what does not follow the format is an error with
//! its line.
//!
//! For tests and fuzzing, which read back what the writers have written. State sets, gauge
//! histograms and timestamps have no place in the family model and are refused; exemplars and
//! `_created` samples are passed over.

mod assemble;
mod line;

use std::num::NonZeroUsize;

use hashbrown::HashSet;

use super::family::{Family, Kind};
use assemble::Assembly;
use line::{Line, SampleLine};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct ParseError {
    pub(crate) line: NonZeroUsize,
    pub(crate) problem: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("an empty line, which OpenMetrics does not have")]
    Blank,
    #[error(
        "expected `# HELP`, `# TYPE`, `# UNIT` or `# EOF` with a name and a text, found `{found}`"
    )]
    Comment { found: String },
    #[error("expected a metric name, found `{found}`")]
    Name { found: String },
    #[error(
        "expected labels as `name=\"value\"`, separated by commas and closed by `}}`, found `{found}`"
    )]
    Labels { found: String },
    #[error("label `{name}` is there twice")]
    LabelTwice { name: String },
    #[error("expected a number, found `{found}`")]
    Number { found: String },
    #[error("a timestamp `{found}`: samples are as of the scrape")]
    Timestamp { found: String },
    #[error(
        "expected one of counter, gauge, histogram, summary, info, unknown as type, found `{found}`"
    )]
    Type { found: String },
    #[error("family `{family}` has a second `{what}` line, or one after its samples")]
    Metadata { family: String, what: &'static str },
    #[error("family `{family}` is there twice; all its lines must stand together")]
    FamilyTwice { family: String },
    #[error("family `{family}` does not end in its unit `{unit}`")]
    Unit { family: String, unit: String },
    #[error("series `{series}` is there twice")]
    SeriesTwice { series: String },
    #[error("histogram series `{series}`: {what}")]
    Histogram { series: String, what: &'static str },
    #[error("summary series `{series}`: {what}")]
    Summary { series: String, what: &'static str },
    #[error("text after `# EOF`")]
    AfterEof,
    #[error("the text ends without `# EOF`: it may be cut short")]
    NoEof,
}

/// All families, in the text's order, each with its samples sorted.
pub(crate) fn parse(text: &str) -> Result<Vec<Family>, ParseError> {
    let mut parser = Parser::default();
    let mut number = NonZeroUsize::MIN;
    let mut ended = false;
    for line in text.split_terminator('\n') {
        let at = |problem| ParseError {
            line: number,
            problem,
        };
        if ended {
            return Err(at(Fault::AfterEof));
        }
        ended = line == "# EOF";
        if ended {
            parser.finish_family()
        } else {
            parser.line(line)
        }
        .map_err(at)?;
        number = number.saturating_add(1);
    }
    let at = |problem| ParseError {
        line: number,
        problem,
    };
    if !ended {
        return Err(at(Fault::NoEof));
    }
    parser.finish_family().map_err(at)?;
    Ok(parser.families)
}

#[derive(Default)]
struct Parser {
    families: Vec<Family>,
    /// Names as they stand in the text, of all families so far.
    names: HashSet<String>,
    current: Option<Assembly>,
}

impl Parser {
    fn line(&mut self, text: &str) -> Result<(), Fault> {
        match Line::parse(text)? {
            Line::Help { name, help } => self.family(name)?.set_help(help),
            Line::Unit { name, unit } => self.family(name)?.set_unit(unit),
            Line::Type { name, kind } => self.family(name)?.set_kind(kind),
            Line::Sample(sample) => self.sample(&sample),
        }
    }

    fn sample(&mut self, sample: &SampleLine<'_>) -> Result<(), Fault> {
        if let Some(current) = &mut self.current
            && current.takes(sample.name)
        {
            return current.add(sample);
        }
        let family = self.family(sample.name)?;
        family.set_kind(Kind::Unknown)?;
        family.add(sample)
    }

    /// The family called `name`: the one being read, or a new one.
    fn family(&mut self, name: &str) -> Result<&mut Assembly, Fault> {
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.name() != name)
        {
            self.finish_family()?;
            if !self.names.insert(name.to_owned()) {
                return Err(Fault::FamilyTwice {
                    family: name.to_owned(),
                });
            }
            self.current = None;
        }
        Ok(self.current.get_or_insert_with(|| Assembly::new(name)))
    }

    fn finish_family(&mut self) -> Result<(), Fault> {
        if let Some(done) = self.current.take() {
            self.families.push(done.finish()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
