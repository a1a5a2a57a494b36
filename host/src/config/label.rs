//! Labels of a metric and their decoders.

use std::collections::HashMap;
use std::rc::Rc;

use regex::Regex;
use serde_json::Map;
use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::diagnostic::LineColumn;
use super::fields;
use super::fields::Fields;
use super::fields::Schema;
use super::model::LabelConfig;
use super::model::PluginUse;
use super::names;
use super::node::Node;
use super::node::NodeValue;
use super::scalar;

/// A key of a BPF map has at most some hundred bytes, a perf sample less than 64 KiB.
const MAX_LABEL_BYTES: i64 = 65_535;

const LABEL: Schema = Schema {
    what: "a label",
    known: &["name", "member", "size", "padding", "decoders"],
    later: &[],
};

/// Reads `labels`. None: at least one of them could not be read, which has been said.
pub(super) fn read_labels(
    metric: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<LabelConfig>> {
    let nodes = metric.list("labels", "labels", diagnostics);
    let labels: Vec<LabelConfig> = nodes
        .iter()
        .filter_map(|node| read_label(node, diagnostics))
        .collect();
    let mut seen = HashMap::new();
    for label in &labels {
        let at = LineColumn::from(&label.at);
        if let Some(first) = seen.insert(label.name.as_str(), at) {
            diagnostics.error(
                at,
                format!("duplicate label `{}`: it is already at {first}", label.name),
            );
        }
    }
    (labels.len() == nodes.len()).then_some(labels)
}

fn read_label(node: &Node, diagnostics: &mut Diagnostics) -> Option<LabelConfig> {
    let fields = Fields::of(node, &LABEL, diagnostics)?;
    let name = fields.required_text("name", "a label needs a `name`", diagnostics);
    if let (Some(name), Some(node)) = (name, fields.get("name"))
        && let Err(why) = names::check_label_name(name)
    {
        diagnostics.error(
            node.at,
            format!("the label name `{}` {why}", super::node::shorten(name)),
        );
    }
    let what = name.unwrap_or("?");
    let size = match fields.get("size") {
        Some(node) => bytes(node, "size", 1, diagnostics),
        None => Some(0),
    };
    let member = match fields.get("member") {
        Some(_) => fields.text("member", diagnostics).map(Some),
        None => Some(None),
    };
    let padding = fields
        .get("padding")
        .map_or(Some(0), |node| bytes(node, "padding", 0, diagnostics));
    let decoders = read_decoders(&fields, what, diagnostics);
    Some(LabelConfig {
        name: name?.to_owned(),
        member: member?
            .filter(|member| !member.is_empty())
            .map(str::to_owned),
        size: size?,
        offset: None,
        padding: padding?,
        decoders: decoders?,
        at: diagnostics.position(fields.at),
    })
}

fn bytes(node: &Node, name: &str, least: i64, diagnostics: &mut Diagnostics) -> Option<usize> {
    let value = fields::integer(node, name, diagnostics)?;
    if !(least..=MAX_LABEL_BYTES).contains(&value) {
        diagnostics.error(node.at, format!("expected a number of bytes from {least} to {MAX_LABEL_BYTES} for `{name}`, found {value}"));
        return None;
    }
    usize::try_from(value).ok()
}

fn read_decoders(
    label: &Fields<'_>,
    label_name: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<PluginUse>> {
    let nodes = label.list("decoders", "decoders", diagnostics);
    let Some(node) = label.get("decoders") else {
        return Some(Vec::new());
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
    (!decoders.is_empty() && decoders.len() == nodes.len()).then_some(decoders)
}

/// Everything but the name is the decoder's options. Those of ebpf_exporter's schema have a type of their own; the rest is the plugin's.
fn read_decoder(node: &Node, diagnostics: &mut Diagnostics) -> Option<PluginUse> {
    const MISSING: &str = "a decoder needs a `name`, e.g. `uint`";
    let NodeValue::Mapping(entries) = &node.value else {
        let hint = match fields::plain(node) {
            Some(scalar) if !scalar.is_null() => {
                format!(": write `name: {}`", super::node::shorten(&scalar.text))
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
        if key_name == "name" {
            name = Some(value);
            continue;
        }
        // A key without a value is a key that isn't there, as everywhere.
        if value.is_null() {
            continue;
        }
        let option = match key_name {
            "static_map" => static_map(value, diagnostics),
            "regexps" => regexps(value, diagnostics),
            "allow_unknown" => fields::boolean(value, key_name, diagnostics).map(Value::Bool),
            _ => Some(json(value)),
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

/// None: it doesn't compile, which has been said.
pub(super) fn read_regexp(
    at: LineColumn,
    pattern: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Regex> {
    match Regex::new(pattern) {
        Ok(regex) => Some(regex),
        Err(error) => {
            // The crate draws the pattern and a caret over several lines; its last line says what is wrong.
            let text = error.to_string();
            let why = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .trim_start_matches("error: ");
            diagnostics.error(
                at,
                format!(
                    "the regular expression `{}` does not compile: {why}",
                    super::node::shorten(pattern)
                ),
            );
            None
        }
    }
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
