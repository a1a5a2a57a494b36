//! A YAML document as a tree that remembers where everything stood and how it was written. Meaning
//! is given to it elsewhere.

use std::rc::Rc;

use super::diagnostic::LineColumn;
use super::scalar;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) struct Node {
    pub(in crate::config) at: LineColumn,
    pub(in crate::config) value: NodeValue,
}

/// Children are shared, because an alias stands for the very node it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::config) enum NodeValue {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    /// In the order of the file; no key twice.
    Mapping(Vec<(Key, Rc<Node>)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Scalar {
    /// As written, less quotes and folding.
    pub(in crate::config) text: String,
    /// Written without quotes and without `!!str`, so that it may be a number, a boolean or null.
    pub(in crate::config) plain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct Key {
    pub(in crate::config) at: LineColumn,
    pub(in crate::config) scalar: Scalar,
}

// === impl Scalar ===

impl Scalar {
    pub(in crate::config) fn is_null(&self) -> bool {
        self.plain && scalar::is_null(&self.text)
    }

    /// The raw text, as yaml.v2 fills a string from it: null is the empty string, everything else
    /// what was written.
    pub(in crate::config) fn raw_text(&self) -> &str {
        if self.is_null() { "" } else { &self.text }
    }
}

// === impl Node ===

impl Node {
    pub(in crate::config) fn is_null(&self) -> bool {
        matches!(&self.value, NodeValue::Scalar(scalar) if scalar.is_null())
    }

    /// What this is, for "expected …, found …".
    pub(in crate::config) fn describe(&self) -> String {
        match &self.value {
            NodeValue::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            NodeValue::Scalar(scalar) if !scalar.plain => {
                format!("the text `{}` in quotes", shorten(&scalar.text))
            }
            NodeValue::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// A text as it may stand in a message: one line, not too long.
pub(in crate::config) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(48)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
