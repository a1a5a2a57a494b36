//! One line: a comment, metadata, a sample.

use exporter_guest_sdk::families::{Kind, Value};

use super::Problem;

/// Label pairs as in the line; values unescaped.
pub(super) type Pairs = Vec<(String, String)>;

#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    Help {
        name: &'a str,
        help: String,
    },
    Type {
        name: &'a str,
        kind: Kind,
    },
    Sample(SampleLine<'a>),
}

#[derive(Debug, PartialEq)]
pub(super) struct SampleLine<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Pairs,
    pub(super) value: &'a str,
}

/// What is left of a line.
struct Rest<'a>(&'a str);

impl<'a> Line<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, Problem> {
        let mut rest = Rest(line);
        rest.skip_blanks();
        if rest.0.is_empty() {
            return Ok(Self::Nothing);
        }
        match rest.0.strip_prefix('#') {
            Some(comment) => Self::comment(Rest(comment)),
            None => SampleLine::parse(rest).map(Self::Sample),
        }
    }

    fn comment(mut rest: Rest<'a>) -> Result<Self, Problem> {
        rest.skip_blanks();
        let keyword = rest.token();
        if !matches!(keyword, "HELP" | "TYPE") {
            return Ok(Self::Nothing);
        }
        rest.skip_blanks();
        let name = rest.metric_name()?;
        if !rest.0.is_empty() && !rest.0.starts_with([' ', '\t']) {
            return Err(Problem::name(rest.0));
        }
        rest.skip_blanks();
        if keyword == "HELP" {
            let help = unescape(rest.0, false)?;
            return Ok(Self::Help { name, help });
        }
        let found = rest.token();
        let kind = match found.to_ascii_lowercase().as_str() {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            "untyped" => Kind::Unknown,
            _ => return Err(Problem::Type { found: cut(found) }),
        };
        rest.skip_blanks();
        match rest.0 {
            "" => Ok(Self::Type { name, kind }),
            more => Err(Problem::Type {
                found: cut(&format!("{found} {more}")),
            }),
        }
    }
}

impl<'a> SampleLine<'a> {
    fn parse(mut rest: Rest<'a>) -> Result<Self, Problem> {
        let whole = rest.0;
        let name = rest.metric_name()?;
        let after_name = rest.0;
        rest.skip_blanks();
        let labels = match rest.0.strip_prefix('{') {
            Some(labels) => {
                rest.0 = labels;
                let labels = rest.labels()?;
                rest.skip_blanks();
                labels
            }
            // `a-b 1`, or nothing at all.
            None if rest.0.len() == after_name.len() && !after_name.is_empty() => {
                return Err(Problem::name(whole));
            }
            None => Pairs::new(),
        };
        let value = rest.token();
        rest.skip_blanks();
        if !rest.0.is_empty() {
            let found = cut(rest.0);
            return Err(match rest.0.trim_end_matches([' ', '\t']).parse::<i64>() {
                Ok(_) => Problem::Timestamp { found },
                Err(_) => Problem::AfterValue { found },
            });
        }
        Ok(Self {
            name,
            labels,
            value,
        })
    }
}

impl<'a> Rest<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    /// Up to the next blank.
    fn token(&mut self) -> &'a str {
        let end = self.0.find([' ', '\t']).unwrap_or(self.0.len());
        self.take(end)
    }

    fn take(&mut self, end: usize) -> &'a str {
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    fn metric_name(&mut self) -> Result<&'a str, Problem> {
        self.name(":").ok_or_else(|| Problem::name(self.0))
    }

    fn name(&mut self, also: &str) -> Option<&'a str> {
        if self.0.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
        let end = self.0.find(|c| !fits(c)).unwrap_or(self.0.len());
        Some(self.take(end)).filter(|name| !name.is_empty())
    }

    /// After the opening brace, to behind the closing one. A comma may stand before that.
    fn labels(&mut self) -> Result<Pairs, Problem> {
        let mut pairs = Pairs::new();
        loop {
            self.skip_blanks();
            if self.starts_with('}') {
                return Ok(pairs);
            }
            let before = self.0;
            let error = || Problem::Labels { found: cut(before) };
            let name = self.name("").ok_or_else(error)?;
            self.skip_blanks();
            let equals = self.starts_with('=');
            self.skip_blanks();
            if !equals || !self.starts_with('"') {
                return Err(error());
            }
            let end = closing_quote(self.0).ok_or_else(error)?;
            let value = unescape(self.take(end), true)?;
            self.starts_with('"');
            if name.starts_with("__") {
                return Err(Problem::ReservedLabel {
                    name: name.to_owned(),
                });
            }
            if pairs.iter().any(|(known, _)| known == name) {
                return Err(Problem::LabelTwice {
                    name: name.to_owned(),
                });
            }
            pairs.push((name.to_owned(), value));
            self.skip_blanks();
            if !self.starts_with(',') && !self.0.starts_with('}') {
                return Err(error());
            }
        }
    }

    /// Takes this character if it is the next one.
    fn starts_with(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

/// Where the quote is that no backslash stands before.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })
}

/// `\\` and `\n`, in a label's value also `\"`; the format knows no others.
fn unescape(text: &str, in_label: bool) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('"') if in_label => out.push('"'),
            other => {
                let found = other.map_or_else(|| "\\".to_owned(), |other| format!("\\{other}"));
                return Err(Problem::Escape { found });
            }
        }
    }
    Ok(out)
}

/// A float as Go reads it in this format: decimal, or Inf and NaN in any case.
pub(super) fn float(text: &str) -> Result<f64, Problem> {
    let number = text.parse().ok().filter(|number: &f64| {
        // Rust makes infinity of what is too large, and takes a sign before NaN.
        let is_too_large = number.is_infinite() && text.contains(|c: char| c.is_ascii_digit());
        let has_sign = text.starts_with(['+', '-']);
        !(is_too_large || number.is_nan() && has_sign)
    });
    number.ok_or_else(|| Problem::Number { found: cut(text) })
}

/// As `float`; integers stay exact.
pub(super) fn number(text: &str) -> Result<Value, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Ok(Value::Unsigned(number));
        }
        if let Ok(number) = text.parse() {
            return Ok(Value::Signed(number));
        }
    }
    float(text).map(Value::Real)
}

/// A number of observations; the format writes it as a float.
pub(super) fn count(text: &str) -> Result<u64, Problem> {
    if let Ok(count) = text.parse() {
        return Ok(count);
    }
    let count = float(text)?;
    // Above 2^53 a float that is no integer does not exist, and below 2^64 the cast is exact.
    if count >= 0.0 && count.fract() == 0.0 && count < 18_446_744_073_709_551_616.0 {
        return Ok(count as u64);
    }
    Err(Problem::Count { found: cut(text) })
}

/// What is shown of a line.
pub(super) fn cut(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
