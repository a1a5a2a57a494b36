//! What is wanted of a plugin: something that it offers, by name, and its options.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::config::yaml::{Diagnostics, Fields, Node, NodeValue, Span, scalar};

/// A decoder, shaper or collector of some plugin, by name, with its options as they are handed to
/// the component.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct PluginUse {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) options: serde_json::Value,
    pub(crate) at: Span,
}

/// Whether calls mean the same: where it is written does not count.
impl PartialEq for PluginUse {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.options == other.options
    }
}

pub(super) fn read_options(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Value {
    let Some(node) = fields.get("options") else {
        return Value::Object(Map::new());
    };
    if !matches!(node.value, NodeValue::Mapping(_)) {
        diagnostics.error(
            node.at,
            format!(
                "expected a mapping of keys for `options`, found {}",
                node.describe()
            ),
        );
    }
    let mut options = json(node);
    if let Value::Object(options) = &mut options {
        // A key without a value is a key that isn't there, as everywhere.
        options.retain(|_, value| !value.is_null());
    }
    options
}

/// Options as they are handed to a plugin.
pub(super) fn json(node: &Node) -> Value {
    match &node.value {
        NodeValue::Scalar(scalar) if scalar.plain => scalar::json(&scalar.text),
        NodeValue::Scalar(scalar) => Value::String(scalar.text.clone()),
        NodeValue::List(items) => {
            Value::Array(items.iter().map(|item| json(Rc::as_ref(item))).collect())
        }
        NodeValue::Mapping(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, value)| (key.scalar.text.clone(), json(value)))
                .collect(),
        ),
    }
}
