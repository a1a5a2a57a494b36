//! `maps`: what is wanted of a BPF map itself, whether metrics are made from it or not.

use crate::config::yaml::{Diagnostics, Fields, Node, Schema, Span, shorten};

/// What is wanted of a map of the object.
#[derive(Debug, Clone)]
pub(crate) struct MapConfig {
    pub(crate) name: String,
    /// Kept in bpffs, so that its entries outlive the process.
    pub(crate) pin: bool,
    /// At least 1. None: what the object says.
    pub(crate) max_entries: Option<u32>,
    pub(crate) at: Span,
}

pub(super) const MAP: Schema = Schema {
    what: "a map",
    known: &["pin", "max_entries"],
    later: &[],
};

/// In the order of the file.
pub(super) fn read(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<MapConfig> {
    fields.named(
        "maps",
        ("a BPF map", "map names"),
        "{NAME: {max_entries: 1024}}",
        diagnostics,
        |key, node, diagnostics| read_map(key.scalar.raw_text(), key.at, node, diagnostics),
    )
}

fn read_map(
    name: &str,
    at: crate::config::yaml::LineColumn,
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<MapConfig> {
    let fields = Fields::of(node, &MAP, diagnostics)?;
    let max_entries = match fields.integer("max_entries", diagnostics) {
        None => None,
        Some(number) => match u32::try_from(number) {
            Ok(number @ 1..) => Some(number),
            _ => {
                let at = fields.get("max_entries").map_or(fields.at, |node| node.at);
                diagnostics.error(
                    at,
                    format!(
                        "expected 1 to {} for `max_entries` of the map `{}`, found {number}",
                        u32::MAX,
                        shorten(name)
                    ),
                );
                None
            }
        },
    };
    Some(MapConfig {
        name: name.to_owned(),
        pin: fields.boolean("pin", diagnostics).unwrap_or(false),
        max_entries,
        at: diagnostics.position(at),
    })
}
