//! Labels of a metric and their decoders.

use std::collections::HashMap;

use super::decoder::read_decoders;
use super::names;
use super::plugin_use::PluginUse;
use crate::config::yaml::{Diagnostics, Fields, LineColumn, Node, Schema, Span, fields, shorten};

/// One label: a field of the key and the decoders that turn it into text.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct LabelConfig {
    pub(crate) name: String,
    /// The member of the key that it is, where that is called otherwise; nested ones with dots.
    pub(crate) member: Option<String>,
    /// Bytes of the field, at least 1. None: the member's, by its type.
    pub(crate) size: Option<usize>,
    /// Bytes after the field that belong to no label.
    pub(crate) padding: usize,
    /// Each gets what the one before it gave. At least one. None: those that fit the member's type.
    pub(crate) decoders: Option<Vec<PluginUse>>,
    pub(crate) at: Span,
}

impl LabelConfig {
    /// Its size and decoders. None: it leaves something to the type of the key.
    pub(crate) fn spelled_out(&self) -> Option<(usize, &[PluginUse])> {
        match (&self.member, self.size, &self.decoders) {
            (None, Some(size), Some(decoders)) => Some((size, decoders)),
            _ => None,
        }
    }
}

/// A key of a BPF map has at most some hundred bytes, a perf sample less than 64 KiB.
const MAX_LABEL_BYTES: i64 = 65_535;

pub(super) const LABEL: Schema = Schema {
    what: "a label",
    known: &["name", "member", "size", "padding", "decoders"],
    later: &[],
};

/// Reads `labels`. None: at min one of them could not be read, which has been said.
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
    let written = fields.required_text("name", "a label needs a `name`", diagnostics);
    let name = written.map(names::escape_label_name);
    if let (Some(name), Some(written), Some(node)) = (&name, written, fields.get("name")) {
        let shown = shorten(written);
        if let Err(why) = names::check_label_name(name) {
            diagnostics.error(node.at, format!("the label name `{shown}` {why}"));
        } else if name != written {
            diagnostics.warning(
                node.at,
                format!("the label name `{shown}` has more than letters, digits and `_`: the series have `{name}`"),
            );
        }
    }
    let what = written.unwrap_or("?");
    let size = match fields.get("size") {
        Some(node) => bytes(node, "size", 1, diagnostics).map(Some),
        None => Some(None),
    };
    let member = match fields.get("member") {
        Some(_) => fields.text("member", diagnostics).map(Some),
        None => Some(None),
    };
    let padding = fields
        .get("padding")
        .map_or(Some(0), |node| bytes(node, "padding", 0, diagnostics));
    let decoders = read_decoders(&fields, what, diagnostics);
    let (name, written, size, decoders) = (name?, written?, size?, decoders?);
    // The member of the key is called as it is written.
    let by_type = size.is_none() || decoders.is_none();
    let member = member?
        .filter(|member| !member.is_empty())
        .or_else(|| (by_type && name != written).then_some(written));
    Some(LabelConfig {
        member: member.map(str::to_owned),
        name,
        size,
        padding: padding?,
        decoders,
        at: diagnostics.position(fields.at),
    })
}

fn bytes(node: &Node, name: &str, min: i64, diagnostics: &mut Diagnostics) -> Option<usize> {
    let value = fields::integer(node, name, diagnostics)?;
    if !(min..=MAX_LABEL_BYTES).contains(&value) {
        diagnostics.error(node.at, format!("expected a number of bytes from {min} to {MAX_LABEL_BYTES} for `{name}`, found {value}"));
        return None;
    }
    usize::try_from(value).ok()
}
