//! `cgroup_id_map`: which cgroups a map of the object is told of.

use regex::Regex;

use super::decoder::read_regexp;
use crate::config::yaml::{Diagnostics, Fields, Node, Schema, Span, fields, shorten};
use crate::near;
use crate::object_input::CgroupIdMapKind;

pub(super) const CGROUP_ID_MAP: Schema = Schema {
    what: "`cgroup_id_map`",
    known: &["name", "type", "regexps"],
    later: &[],
};

const CGROUP_ID_MAP_KINDS: [&str; 2] = ["hash", "cgrp_storage"];

/// A map of the object that is told which cgroups match.
#[derive(Debug, Clone)]
pub(crate) struct CgroupIdMap {
    pub(crate) map: String,
    pub(crate) kind: CgroupIdMapKind,
    /// Unanchored; a cgroup whose absolute path matches any of them is in.
    pub(crate) regexps: Vec<Regex>,
    pub(crate) at: Span,
}

pub(super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<CgroupIdMap> {
    let fields = Fields::of(node, &CGROUP_ID_MAP, diagnostics)?;
    let map = fields.required_text(
        "name",
        "`cgroup_id_map` needs a `name`: the BPF map's",
        diagnostics,
    );
    let kind = match fields.get("type") {
        Some(node) => match fields.text("type", diagnostics)? {
            "" | "hash" => Some(CgroupIdMapKind::Hash),
            "cgrp_storage" => Some(CgroupIdMapKind::CgrpStorage),
            other => {
                let hint = near::suggestion(other, &CGROUP_ID_MAP_KINDS);
                diagnostics.error(
                    node.at,
                    format!("unknown type `{}` of `cgroup_id_map`{hint}", shorten(other)),
                );
                None
            }
        },
        None => Some(CgroupIdMapKind::Hash),
    };
    let patterns = fields.list("regexps", "regular expressions", diagnostics);
    if patterns.is_empty() {
        diagnostics.warning(
            fields.at,
            "`cgroup_id_map` has no `regexps`: no cgroup will be in it",
        );
    }
    let mut regexps: Vec<Regex> = Vec::new();
    for node in patterns {
        if let Some(pattern) = fields::text(node, "a regular expression", diagnostics) {
            regexps.extend(read_regexp(node.at, pattern, diagnostics));
        }
    }
    Some(CgroupIdMap {
        map: map?.to_owned(),
        kind: kind?,
        regexps,
        at: diagnostics.position(fields.at),
    })
}
