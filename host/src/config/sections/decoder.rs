//! The decoders of a label.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::plugin_use::{PluginUse, json};
use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, NodeValue, fields, shorten};

const NAME: &str = "name";

type ReadOption = fn(&Node, &mut Diagnostics) -> Option<Value>;

/// The options that have a type, because ebpf_exporter gives them one.
const TYPED: [(&str, ReadOption); 3] = [
    ("static_map", static_map),
    ("regexps", regexps),
    ("allow_unknown", allow_unknown),
];

/// The keys that are known by name; all others are options too.
#[cfg(test)]
pub(super) fn known_keys() -> Vec<&'static str> {
    let typed = TYPED.iter().map(|(name, _)| *name);
    std::iter::once(NAME).chain(typed).collect()
}

/// `Some(None)`: there are none. None: one of them could not be read, which has been said.
pub(super) fn read_decoders(
    label: &Fields<'_>,
    label_name: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Option<Vec<PluginUse>>> {
    let nodes = label.list("decoders", "decoders", diagnostics);
    let Some(node) = label.get("decoders") else {
        return Some(None);
    };
    if nodes.is_empty() && matches!(node.value, NodeValue::List(_)) {
        diagnostics.error(
            node.at,
            format!("the label `{label_name}` needs `decoders`: at least one, e.g. `- name: uint`"),
        );
    }
    let decoders: Vec<PluginUse> = nodes
        .iter()
        .filter_map(|node| read_decoder(node, diagnostics))
        .collect();
    (!decoders.is_empty() && decoders.len() == nodes.len()).then_some(Some(decoders))
}

/// Everything but the name is the decoder's options. Those of ebpf_exporter's schema have a type of
/// their own; the rest is the plugin's.
fn read_decoder(node: &Node, diagnostics: &mut Diagnostics) -> Option<PluginUse> {
    const MISSING: &str = "a decoder needs a `name`, e.g. `uint`";
    let NodeValue::Mapping(entries) = &node.value else {
        let hint = match fields::plain(node) {
            Some(scalar) if !scalar.is_null() => {
                format!(": write `name: {}`", shorten(&scalar.text))
            }
            _ => String::new(),
        };
        diagnostics.error(
            node.at,
            format!(
                "expected a decoder as a mapping of keys, found {}{hint}",
                node.describe()
            ),
        );
        return None;
    };
    let mut name = None;
    let mut options = Map::new();
    for (key, value) in entries {
        let key_name = key.scalar.raw_text();
        if key_name == NAME {
            name = Some(value);
            continue;
        }
        // A key without a value is a key that isn't there, as everywhere.
        if value.is_null() {
            continue;
        }
        let option = match TYPED.iter().find(|(typed, _)| *typed == key_name) {
            Some((_, read)) => read(value, diagnostics),
            None => Some(json(value)),
        };
        if let Some(option) = option {
            options.insert(key_name.to_owned(), option);
        }
    }
    let name = match name.filter(|node| !node.is_null()) {
        Some(name) => fields::text(name, "`name`", diagnostics)?,
        None => "",
    };
    if name.is_empty() {
        diagnostics.error(node.at, MISSING);
        return None;
    }
    Some(PluginUse {
        name: name.to_owned(),
        options: Value::Object(options),
        at: diagnostics.position(node.at),
    })
}

fn allow_unknown(node: &Node, diagnostics: &mut Diagnostics) -> Option<Value> {
    fields::boolean(node, "allow_unknown", diagnostics).map(Value::Bool)
}

fn static_map(node: &Node, diagnostics: &mut Diagnostics) -> Option<Value> {
    let NodeValue::Mapping(entries) = &node.value else {
        diagnostics.error(
            node.at,
            format!(
                "expected a mapping of texts for `static_map`, found {}",
                node.describe()
            ),
        );
        return None;
    };
    let mut map = Map::new();
    for (key, value) in entries {
        let key = key.scalar.raw_text();
        let value = fields::text(value, "a value of `static_map`", diagnostics)?;
        map.insert(key.to_owned(), Value::String(value.to_owned()));
    }
    Some(Value::Object(map))
}

fn regexps(node: &Node, diagnostics: &mut Diagnostics) -> Option<Value> {
    let mut patterns = Vec::new();
    for item in fields::list(node, "regexps", "regular expressions", diagnostics) {
        let pattern = fields::text(item, "a regular expression", diagnostics)?;
        read_regexp(item.at, pattern, diagnostics);
        patterns.push(Value::String(pattern.to_owned()));
    }
    Some(Value::Array(patterns))
}

/// A pattern in Go's syntax. None: it doesn't compile, which has been said.
pub(super) fn read_regexp(
    at: LineColumn,
    pattern: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Regex> {
    let compiled = RegexBuilder::new(&go_regexp::translate(pattern))
        .size_limit(go_regexp::SIZE_LIMIT)
        .build();
    match compiled {
        Ok(regex) => Some(regex),
        Err(error) => {
            let (pattern, why) = (shorten(pattern), go_regexp::reason(&error));
            diagnostics.error(
                at,
                format!("the regular expression `{pattern}` does not compile: {why}"),
            );
            None
        }
    }
}
