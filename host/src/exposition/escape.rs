//! Label blocks and the escapes of the text formats. Values are UTF-8 here: who reads bytes repairs
//! them first (`String::from_utf8_lossy`).

use std::sync::Arc;

use memchr::{memchr2, memchr3};

/// Appends a label value's text, without the quotes: backslash, newline and double quote are
/// escaped, in both formats alike.
pub(crate) fn label_value(out: &mut String, value: &str) {
    escaped(out, value, in_label);
}

/// Appends a HELP text of format 0.0.4, where quotes stay as they are.
pub(super) fn help_text(out: &mut String, help: &str) {
    escaped(out, help, in_help);
}

/// Appends a HELP text of OpenMetrics.
pub(super) fn help_open_metrics(out: &mut String, help: &str) {
    escaped(out, help, in_label);
}

/// What has to be escaped in a label value, and in OpenMetrics' HELP: where the first of it is.
fn in_label(text: &[u8]) -> Option<usize> {
    memchr3(b'\\', b'\n', b'"', text)
}

/// The same in format 0.0.4's HELP.
fn in_help(text: &[u8]) -> Option<usize> {
    memchr2(b'\\', b'\n', text)
}

/// Whether bytes are text, and of label values as they are: nothing in them has to be repaired or
/// escaped.
pub(super) fn is_plain_ascii(bytes: &[u8]) -> bool {
    bytes.is_ascii() && in_label(bytes).is_none()
}

fn escaped(out: &mut String, text: &str, special: impl Fn(&[u8]) -> Option<usize>) {
    let mut rest = text;
    while let Some(at) = special(rest.as_bytes()) {
        let (clean, from) = rest.split_at(at);
        out.push_str(clean);
        let mut chars = from.chars();
        match chars.next() {
            Some('\n') => out.push_str("\\n"),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

/// Undoes `label_value`: the only escapes are `\\`, `\"` and `\n`. `None` if there is another or a
/// lone backslash at the end.
#[cfg(any(test, feature = "test-support"))]
pub(super) fn unescape_strict(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            plain => out.push(plain),
        }
    }
    Some(out)
}

/// The order and the fixed text of a family's label block: made once, rendered for every new row.
#[derive(Debug, Clone)]
pub(crate) struct LabelTemplate {
    /// By label name: the index of the value and `name="`, with the quote and comma behind the one
    /// before.
    parts: Vec<(usize, String)>,
    /// What comes after the last value.
    tail: String,
}

impl LabelTemplate {
    pub(crate) fn new<N: AsRef<str>>(names: &[N]) -> Self {
        Self::with_constants(names, &[])
    }

    /// `constants`: further labels, each with its value; no name twice.
    pub(crate) fn with_constants<N: AsRef<str>>(
        names: &[N],
        constants: &[(String, String)],
    ) -> Self {
        let of_rows = names.iter().enumerate();
        let of_rows = of_rows.map(|(index, name)| (name.as_ref(), Err(index)));
        let constants = constants.iter();
        let constants = constants.map(|(name, value)| (name.as_str(), Ok(value)));
        let mut sorted: Vec<(&str, Result<&String, usize>)> = of_rows.chain(constants).collect();
        sorted.sort_by_key(|&(name, _)| name);
        let (mut parts, mut text) = (Vec::with_capacity(names.len()), String::new());
        for (index, (name, value)) in sorted.into_iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(name);
            text.push_str("=\"");
            match value {
                Err(index) => {
                    parts.push((index, std::mem::take(&mut text)));
                    // Behind the value.
                    text.push('"');
                }
                Ok(value) => {
                    label_value(&mut text, value);
                    text.push('"');
                }
            }
        }
        Self { parts, tail: text }
    }

    /// Appends the label pairs as they are written, without the braces. `value_of` gives the value
    /// of the name at that index in `new`.
    pub(crate) fn render_into<V: AsRef<str>>(
        &self,
        out: &mut String,
        value_of: impl Fn(usize) -> V,
    ) {
        for (index, text) in &self.parts {
            out.push_str(text);
            label_value(out, value_of(*index).as_ref());
        }
        out.push_str(&self.tail);
    }

    /// The texts before the values, each with the index in `new` of that value's name.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&str, usize)> {
        let parts = self.parts.iter();
        parts.map(|(index, text)| (text.as_str(), *index))
    }

    /// What comes after the last value.
    pub(super) fn tail(&self) -> &str {
        &self.tail
    }
}

/// The label pairs as they are written, sorted by name, without the braces. For one block: of many
/// with the same names a `LabelTemplate` is quicker.
pub(crate) fn label_block(labels: &[(&str, &str)]) -> Arc<str> {
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let mut out = String::new();
    LabelTemplate::new(&names).render_into(&mut out, |index| {
        labels.get(index).map_or("", |(_, value)| value)
    });
    out.into()
}

/// The label pairs as they are written, sorted by label name, without the braces:
/// `cpu="0",kind="a\"b"`.
#[cfg(test)]
pub(crate) fn labels<N: AsRef<str>, V: AsRef<str>>(names: &[N], values: &[V]) -> String {
    let mut out = String::new();
    LabelTemplate::new(names).render_into(&mut out, |index| {
        values.get(index).map_or("", AsRef::as_ref)
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_stand_among_the_others() {
        let constants = ["b", "d"].map(|name| (name.to_owned(), format!("{name}\"")));
        let written = |names: &[&str]| {
            let mut out = String::new();
            LabelTemplate::with_constants(names, &constants)
                .render_into(&mut out, |index| index.to_string());
            out
        };
        assert_eq!(
            written(&["c", "e", "a"]),
            "a=\"2\",b=\"b\\\"\",c=\"0\",d=\"d\\\"\",e=\"1\""
        );
        assert_eq!(written(&["c"]), "b=\"b\\\"\",c=\"0\",d=\"d\\\"\"");
        assert_eq!(written(&[]), "b=\"b\\\"\",d=\"d\\\"\"");
    }

    #[test]
    fn values_are_escaped_and_read_back() {
        let value = "a\"b\\c\nd\u{fffd}é";
        let text = labels(&["comm"], &[value]);
        assert_eq!(text, "comm=\"a\\\"b\\\\c\\nd\u{fffd}é\"");
        let inner = text
            .strip_prefix("comm=\"")
            .unwrap()
            .strip_suffix('"')
            .unwrap();
        assert_eq!(unescape_strict(inner).as_deref(), Some(value));
        assert_eq!(unescape_strict("a\\t"), None);
        assert_eq!(unescape_strict("a\\"), None);
    }

    #[test]
    fn labels_are_sorted_by_name() {
        assert_eq!(
            labels(&["op", "cpu", "z"], &["read", "0", ""]),
            "cpu=\"0\",op=\"read\",z=\"\""
        );
        assert_eq!(labels::<&str, &str>(&[], &[]), "");
    }

    #[test]
    fn help_escapes_differ_in_the_quote() {
        let (mut text, mut open) = (String::new(), String::new());
        help_text(&mut text, "a \"b\" \\ \n");
        help_open_metrics(&mut open, "a \"b\" \\ \n");
        assert_eq!(text, "a \"b\" \\\\ \\n");
        assert_eq!(open, "a \\\"b\\\" \\\\ \\n");
    }
}
