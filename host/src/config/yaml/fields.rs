//! Reading typed fields out of a `Node`, leniently: what is wrong becomes a problem, and reading
//! goes on. Owns the wording of "expected …, found …" for types and of unknown keys; knows no key
//! by name.

use std::rc::Rc;
use std::time::Duration;

use super::diagnostic::{Diagnostics, LineColumn};
use super::duration::parse_duration;
use super::scalar;
use super::scalar::Numeric;
use super::tree::{Key, Node, NodeValue, Scalar, shorten};
use crate::near;

/// The keys that one kind of mapping may have.
pub(in crate::config) struct Schema {
    /// With article, for messages: `a counter`.
    pub(in crate::config) what: &'static str,
    pub(in crate::config) known: &'static [&'static str],
    /// Part of the format, but of no effect in this version.
    pub(in crate::config) later: &'static [&'static str],
}

/// A mapping whose keys have been checked.
pub(in crate::config) struct Fields<'n> {
    pub(in crate::config) at: LineColumn,
    entries: &'n [(Key, Rc<Node>)],
}

// === impl Fields ===

impl<'n> Fields<'n> {
    /// None: it is no mapping, which has been said.
    pub(in crate::config) fn of(
        node: &'n Node,
        schema: &Schema,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let NodeValue::Mapping(entries) = &node.value else {
            diagnostics.error(
                node.at,
                format!(
                    "expected {} as a mapping of keys, found {}",
                    schema.what,
                    node.describe()
                ),
            );
            return None;
        };
        for (key, _) in entries {
            let (name, what) = (key.scalar.text.as_str(), schema.what);
            if schema.known.contains(&name) {
                continue;
            }
            if schema.later.contains(&name) {
                diagnostics.warning(
                    key.at,
                    format!("`{name}` of {what} is not supported by this version and is ignored"),
                );
                continue;
            }
            let all = schema.known.iter().chain(schema.later).copied();
            let hint = match near::nearest(name, all) {
                Some(near) => format!(", did you mean `{near}`?"),
                None => " (it is ignored)".to_owned(),
            };
            diagnostics.lenient(
                key.at,
                format!("unknown key `{}` in {what}{hint}", shorten(name)),
            );
        }
        Some(Self {
            at: node.at,
            entries,
        })
    }

    /// None also where the key has no value, which is the same as not being there.
    pub(in crate::config) fn get(&self, name: &str) -> Option<&'n Node> {
        let (_, node) = self
            .entries
            .iter()
            .find(|(key, _)| key.scalar.text == name)?;
        if node.is_null() { None } else { Some(node) }
    }

    pub(in crate::config) fn text(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'n str> {
        text(self.get(name)?, &format!("`{name}`"), diagnostics)
    }

    /// `missing` is the error where the field is missing or empty.
    pub(in crate::config) fn required_text(
        &self,
        name: &str,
        missing: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<&'n str> {
        let Some(node) = self.get(name) else {
            diagnostics.error(self.at, missing);
            return None;
        };
        let found = text(node, &format!("`{name}`"), diagnostics)?;
        if found.is_empty() {
            diagnostics.error(node.at, missing);
            return None;
        }
        Some(found)
    }

    pub(in crate::config) fn boolean(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<bool> {
        boolean(self.get(name)?, name, diagnostics)
    }

    pub(in crate::config) fn integer(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<i64> {
        let node = self.get(name)?;
        integer(node, name, diagnostics)
    }

    pub(in crate::config) fn float(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<f64> {
        float(self.get(name)?, &format!("`{name}`"), diagnostics)
    }

    /// As Go writes them: see `parse_duration`.
    pub(in crate::config) fn duration(
        &self,
        name: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<Duration> {
        let node = self.get(name)?;
        match parse_duration(self.text(name, diagnostics)?) {
            Ok(duration) => Some(duration),
            Err(error) => {
                diagnostics.error(node.at, format!("`{name}`: {error}"));
                None
            }
        }
    }

    /// What `read` makes of the entries of the mapping `name`, in the order of the file. Each is
    /// of the name of `one` of `many`; `example` is a mapping of them.
    pub(in crate::config) fn named<T>(
        &self,
        name: &str,
        (one, many): (&str, &str),
        example: &str,
        diagnostics: &mut Diagnostics,
        mut read: impl FnMut(&Key, &Node, &mut Diagnostics) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = self.get(name) else {
            return Vec::new();
        };
        let NodeValue::Mapping(entries) = &node.value else {
            let found = node.describe();
            diagnostics.error(
                node.at,
                format!(
                    "expected `{name}` as a mapping of {many}, e.g. `{name}: {example}`, found {found}"
                ),
            );
            return Vec::new();
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            if key.scalar.raw_text().is_empty() {
                diagnostics.error(
                    key.at,
                    format!("expected the name of {one} in `{name}`, found nothing"),
                );
            } else {
                named.extend(read(key, node, diagnostics));
            }
        }
        named
    }

    /// Empty where there is none, and where it is no list, which has been said.
    pub(in crate::config) fn list(
        &self,
        name: &str,
        what: &str,
        diagnostics: &mut Diagnostics,
    ) -> &'n [Rc<Node>] {
        match self.get(name) {
            Some(node) => list(node, name, what, diagnostics),
            None => &[],
        }
    }
}

/// Any scalar, as yaml.v2 fills a string: with its raw text, whether it looks like a number or not.
pub(in crate::config) fn text<'n>(
    node: &'n Node,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'n str> {
    match &node.value {
        NodeValue::Scalar(scalar) => Some(scalar.raw_text()),
        _ => {
            diagnostics.error(
                node.at,
                format!("expected a text for {what}, found {}", node.describe()),
            );
            None
        }
    }
}

pub(in crate::config) fn list<'n>(
    node: &'n Node,
    name: &str,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> &'n [Rc<Node>] {
    match &node.value {
        NodeValue::List(items) => items,
        _ => {
            diagnostics.error(
                node.at,
                format!(
                    "expected a list of {what} for `{name}`, found {}: write `- …` or `[…]`",
                    node.describe()
                ),
            );
            &[]
        }
    }
}

pub(in crate::config) fn boolean(
    node: &Node,
    name: &str,
    diagnostics: &mut Diagnostics,
) -> Option<bool> {
    let found = plain(node).and_then(|scalar| scalar::boolean(&scalar.text));
    if found.is_none() {
        let hint = quotes_hint(node, |text| scalar::boolean(text).is_some());
        diagnostics.error(
            node.at,
            format!(
                "expected `true` or `false` for `{name}`, found {}{hint}",
                node.describe()
            ),
        );
    }
    found
}

/// A float is cut to an integer, as yaml.v2 does; where that loses something, there is a warning.
pub(in crate::config) fn integer(
    node: &Node,
    name: &str,
    diagnostics: &mut Diagnostics,
) -> Option<i64> {
    let found = match numeric(node) {
        Some(Numeric::Integer(value)) => i64::try_from(value).ok(),
        // The range in which the cast below is exact about whole numbers.
        Some(Numeric::Float(value)) if value.abs() < 9e18 => {
            let cut = value as i64;
            if cut as f64 != value {
                diagnostics.warning(
                    node.at,
                    format!(
                        "expected an integer for `{name}`, found {}: read as {cut}",
                        node.describe()
                    ),
                );
            }
            Some(cut)
        }
        _ => None,
    };
    if found.is_none() {
        not_numeric(node, &format!("an integer for `{name}`"), diagnostics);
    }
    found
}

/// Finite ones only.
pub(in crate::config) fn float(
    node: &Node,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Option<f64> {
    let found = match numeric(node) {
        Some(Numeric::Integer(value)) => Some(value as f64),
        Some(Numeric::Float(value)) if value.is_finite() => Some(value),
        _ => None,
    };
    if found.is_none() {
        not_numeric(node, &format!("a number for {what}"), diagnostics);
    }
    found
}

fn not_numeric(node: &Node, expected: &str, diagnostics: &mut Diagnostics) {
    let hint = quotes_hint(node, |text| scalar::numeric(text).is_some());
    let found = node.describe();
    diagnostics.error(node.at, format!("expected {expected}, found {found}{hint}"));
}

fn numeric(node: &Node) -> Option<Numeric> {
    scalar::numeric(&plain(node)?.text)
}

pub(in crate::config) fn plain(node: &Node) -> Option<&Scalar> {
    match &node.value {
        NodeValue::Scalar(scalar) if scalar.plain => Some(scalar),
        _ => None,
    }
}

fn quotes_hint(node: &Node, fits: impl Fn(&str) -> bool) -> &'static str {
    match &node.value {
        NodeValue::Scalar(scalar) if !scalar.plain && fits(&scalar.text) => ": remove the quotes",
        _ => "",
    }
}
