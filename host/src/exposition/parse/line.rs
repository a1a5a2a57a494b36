//! One line of OpenMetrics text, taken apart.

use std::borrow::Cow;

use super::Fault;
use crate::exposition::escape;
use crate::exposition::family::Kind;
use crate::exposition::names;
use crate::exposition::value::Number;

pub(super) enum Line<'a> {
    Help { name: &'a str, help: String },
    Unit { name: &'a str, unit: &'a str },
    Type { name: &'a str, kind: Kind },
    Sample(SampleLine<'a>),
}

pub(super) struct SampleLine<'a> {
    pub(super) name: &'a str,
    /// Sorted by name, names unique; values without escapes.
    pub(super) labels: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) value: Number,
}

impl<'a> Line<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::Blank);
        }
        if let Some(comment) = text.strip_prefix('#') {
            return comment_line(comment).ok_or_else(|| Fault::Comment {
                found: text.to_owned(),
            })?;
        }
        sample_line(text).map(Self::Sample)
    }
}

/// `None`: not of the form.
fn comment_line(comment: &str) -> Option<Result<Line<'_>, Fault>> {
    let (keyword, rest) = comment.strip_prefix(' ')?.split_once(' ')?;
    let (name, text) = rest.split_once(' ')?;
    if let Err(problem) = metric_name(name) {
        return Some(Err(problem));
    }
    Some(Ok(match keyword {
        "HELP" => Line::Help {
            name,
            help: unescape_help(text),
        },
        "UNIT" => Line::Unit { name, unit: text },
        "TYPE" => {
            let kind = match text {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                "summary" => Kind::Summary,
                "info" => Kind::Info,
                "unknown" => Kind::Unknown,
                _ => {
                    return Some(Err(Fault::Type {
                        found: text.to_owned(),
                    }));
                }
            };
            Line::Type { name, kind }
        }
        _ => return None,
    }))
}

fn sample_line(text: &str) -> Result<SampleLine<'_>, Fault> {
    let end = text.find(['{', ' ']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    metric_name(name)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => label_set(inside)?,
        None => (Vec::new(), rest),
    };
    let rest = rest.strip_prefix(' ').ok_or_else(|| Fault::Number {
        found: rest.to_owned(),
    })?;
    // An exemplar may follow; it tells nothing that a series has.
    let value = rest
        .split_once(" # ")
        .map_or(rest, |(value, _exemplar)| value);
    if let Some((_, timestamp)) = value.split_once(' ') {
        return Err(Fault::Timestamp {
            found: timestamp.to_owned(),
        });
    }
    Ok(SampleLine {
        name,
        labels,
        value: number(value)?,
    })
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// What stands after `{`, up to and without `}`; and what comes after it.
fn label_set(text: &str) -> Result<(Labels<'_>, &str), Fault> {
    let wrong = || Fault::Labels {
        found: text.to_owned(),
    };
    let mut labels = Vec::new();
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('}') {
        return Ok((labels, after));
    }
    loop {
        let (name, after) = rest.split_once("=\"").ok_or_else(wrong)?;
        names::label_name(name, Kind::Unknown).map_err(|_| wrong())?;
        let end = closing_quote(after).ok_or_else(wrong)?;
        let (value, after) = after.split_at(end);
        let value = if value.contains('\\') {
            Cow::Owned(escape::unescape_strict(value).ok_or_else(wrong)?)
        } else {
            Cow::Borrowed(value)
        };
        labels.push((name, value));
        let after = after.strip_prefix('"').ok_or_else(wrong)?;
        if let Some(after) = after.strip_prefix('}') {
            labels.sort_by_key(|&(name, _)| name);
            if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(Fault::LabelTwice {
                    name: twice[0].0.to_owned(),
                });
            }
            return Ok((labels, after));
        }
        rest = after.strip_prefix(',').ok_or_else(wrong)?;
    }
}

/// Where the first quote stands that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let quote = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        quote
    })
}

/// Integers stay integers; `Inf` and `NaN` in any case.
fn number(text: &str) -> Result<Number, Fault> {
    if let Ok(value) = text.parse() {
        return Ok(Number::Unsigned(value));
    }
    if let Ok(value) = text.parse() {
        return Ok(Number::Signed(value));
    }
    text.parse().map(Number::Float).map_err(|_| Fault::Number {
        found: text.to_owned(),
    })
}

fn metric_name(name: &str) -> Result<(), Fault> {
    names::metric_name(name).map_err(|_| Fault::Name {
        found: name.to_owned(),
    })
}

/// Unlike a label value's, an unknown escape stays as it is: some clients print help texts as
/// given.
fn unescape_help(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(escaped @ ('\\' | '"')) => out.push(escaped),
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    out
}
