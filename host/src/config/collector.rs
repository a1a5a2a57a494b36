//! The section `collectors`: plugins that are asked for families.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use super::diagnostic::Diagnostics;
use super::diagnostic::LineColumn;
use super::duration;
use super::fields;
use super::fields::Fields;
use super::fields::Schema;
use super::label;
use super::model::CollectorConfig;
use super::model::CollectorMode;
use super::model::PluginUse;
use super::names;
use super::near;
use super::node::Node;
use super::node::NodeValue;
use super::node::shorten;

const COLLECTOR: Schema = Schema {
    what: "a collector",
    known: &[
        "name",
        "plugin",
        "options",
        "mode",
        "targets",
        "target_label",
        "labels",
        "timeout",
        "interval",
        "probe_path",
    ],
    later: &[],
};

const MODES: [&str; 3] = ["scrape", "probe", "both"];
/// What Prometheus calls the other end of a scrape.
const TARGET_LABEL: &str = "instance";
/// A scrape is to wait for answers, not for the config's length.
const MAX_TARGETS: usize = 1000;
const MAX_NAME: usize = 128;
/// Below it somebody left out the unit, or wants what a scrape does anyway.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MIN_TIMEOUT: Duration = Duration::from_millis(10);

/// Collectors that could not be read are left out, and it has been said why.
pub(super) fn read_collectors(
    unit: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<CollectorConfig> {
    let mut collectors: Vec<CollectorConfig> = Vec::new();
    let mut names: HashMap<String, LineColumn> = HashMap::new();
    let mut paths: HashMap<String, LineColumn> = HashMap::new();
    for node in unit.list("collectors", "collectors", diagnostics) {
        let Some(collector) = read_collector(node, diagnostics) else {
            continue;
        };
        if let Some(first) = names.insert(collector.name.clone(), node.at) {
            let name = &collector.name;
            diagnostics.error(
                node.at,
                format!("duplicate collector `{name}`: it is already at {first}"),
            );
        }
        if let Some(path) = &collector.probe_path
            && let Some(first) = paths.insert(path.clone(), node.at)
        {
            diagnostics.error(
                node.at,
                format!("duplicate `probe_path` `{path}`: the collector at {first} has it already"),
            );
        }
        collectors.push(collector);
    }
    collectors
}

fn read_collector(node: &Node, diagnostics: &mut Diagnostics) -> Option<CollectorConfig> {
    let fields = Fields::of(node, &COLLECTOR, diagnostics)?;
    let name = fields.required_text(
        "name",
        "a collector needs a `name`, e.g. that of its plugin",
        diagnostics,
    );
    if let (Some(name), Some(node)) = (name, fields.get("name")) {
        check_name(name, node.at, diagnostics);
    }
    let plugin = match fields.text("plugin", diagnostics) {
        Some("") | None => name,
        Some(plugin) => Some(plugin),
    };
    let options = read_options(&fields, diagnostics);
    let targets = read_targets(&fields, diagnostics);
    let target_label = read_target_label(&fields, diagnostics);
    let labels = read_labels("labels", &fields, diagnostics);
    if let Some(node) = fields.get("labels")
        && labels.iter().any(|(name, _)| *name == target_label)
    {
        diagnostics.error(
            node.at,
            format!("the label `{target_label}` of `labels` is the targets' own: choose another `target_label`"),
        );
    }
    let timeout = read_duration("timeout", MIN_TIMEOUT, &fields, diagnostics);
    let interval = read_duration("interval", MIN_INTERVAL, &fields, diagnostics);
    let probe_path = read_probe_path(&fields, diagnostics);
    let mode = read_mode(&fields, &targets, probe_path.is_some(), diagnostics);
    check_mode(mode, &fields, diagnostics);
    Some(CollectorConfig {
        name: name?.to_owned(),
        plugin: PluginUse {
            name: plugin?.to_owned(),
            options,
            at: diagnostics.position(fields.at),
        },
        mode,
        targets,
        target_label,
        labels,
        timeout,
        interval,
        probe_path,
    })
}

/// It stands in URLs and in labels.
fn check_name(name: &str, at: LineColumn, diagnostics: &mut Diagnostics) {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        diagnostics.error(
            at,
            format!(
                "the collector name `{}` has a {bad:?}, but it is made of letters, digits, `_`, `-` and `.`",
                shorten(name)
            ),
        );
    } else if name.len() > MAX_NAME {
        diagnostics.error(
            at,
            format!("the collector name is longer than {MAX_NAME} characters"),
        );
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
    let mut options = label::json(node);
    if let Value::Object(options) = &mut options {
        // A key without a value is a key that isn't there, as everywhere.
        options.retain(|_, value| !value.is_null());
    }
    options
}

fn read_targets(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let nodes = fields.list("targets", "targets", diagnostics);
    if nodes.len() > MAX_TARGETS
        && let Some(node) = fields.get("targets")
    {
        diagnostics.error(
            node.at,
            format!(
                "{} targets, the limit is {MAX_TARGETS}: let Prometheus probe them",
                nodes.len()
            ),
        );
        return targets;
    }
    for node in nodes {
        match fields::text(node, "a target", diagnostics) {
            Some("") => diagnostics.error(node.at, "expected a target in `targets`, found nothing"),
            Some(target) if targets.iter().any(|known| known == target) => diagnostics.error(
                node.at,
                format!("the target `{}` is there twice", shorten(target)),
            ),
            Some(target) => targets.push(target.to_owned()),
            None => {}
        }
    }
    targets
}

fn read_target_label(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> String {
    let label = match fields.text("target_label", diagnostics) {
        Some("") | None => return TARGET_LABEL.to_owned(),
        Some(label) => label,
    };
    if let Err(why) = names::check_label_name(label)
        && let Some(node) = fields.get("target_label")
    {
        diagnostics.error(
            node.at,
            format!("the target label `{}` {why}", shorten(label)),
        );
    }
    label.to_owned()
}

/// A mapping of label names and their values.
pub(super) fn read_labels(
    key: &str,
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Vec<(String, String)> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let NodeValue::Mapping(entries) = &node.value else {
        diagnostics.error(
            node.at,
            format!(
                "expected a mapping of label names and values for `{key}`, found {}",
                node.describe()
            ),
        );
        return Vec::new();
    };
    let mut labels = Vec::new();
    for (key, value) in entries {
        let name = key.scalar.text.as_str();
        if let Err(why) = names::check_label_name(name) {
            diagnostics.error(key.at, format!("the label name `{}` {why}", shorten(name)));
        }
        if let Some(value) = fields::text(value, "a label's value", diagnostics) {
            labels.push((name.to_owned(), value.to_owned()));
        }
    }
    labels
}

fn read_duration(
    name: &str,
    least: Duration,
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Duration> {
    let text = fields.text(name, diagnostics)?;
    let at = fields.get(name)?.at;
    match duration::parse_duration(text) {
        Ok(found) if found < least => {
            diagnostics.error(
                at,
                format!("`{name}` is {}, the least is {least:?}", shorten(text)),
            );
            None
        }
        Ok(found) => Some(found),
        Err(error) => {
            diagnostics.error(at, format!("`{name}`: {error}"));
            None
        }
    }
}

/// The paths of the host itself cannot be taken. The telemetry path of a running host is the server's
/// to say.
fn read_probe_path(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let path = fields.text("probe_path", diagnostics)?;
    let at = fields.get("probe_path")?.at;
    let bad = path
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~')));
    let diagnostic = if !path.starts_with('/') {
        "expected a path that starts with `/`, e.g. `/hdhomerun`".to_owned()
    } else if let Some(bad) = bad {
        format!("expected letters, digits, `/`, `-`, `_`, `.` and `~` only, found {bad:?}")
    } else if crate::paths::is_reserved(path) {
        "this path is a page of the exporter's own: choose another".to_owned()
    } else {
        return Some(path.to_owned());
    };
    diagnostics.error(
        at,
        format!("`probe_path` `{}`: {diagnostic}", shorten(path)),
    );
    None
}

fn read_mode(
    fields: &Fields<'_>,
    targets: &[String],
    has_path: bool,
    diagnostics: &mut Diagnostics,
) -> CollectorMode {
    let by_default = if has_path && targets.is_empty() {
        CollectorMode::Probe
    } else {
        CollectorMode::Both
    };
    let Some(node) = fields.get("mode") else {
        return by_default;
    };
    match fields.text("mode", diagnostics) {
        Some("scrape") => CollectorMode::Scrape,
        Some("probe") => CollectorMode::Probe,
        Some("both") => CollectorMode::Both,
        Some(other) => {
            let hint = near::suggestion(other, &MODES);
            diagnostics.error(
                node.at,
                format!("unknown mode `{}` of a collector{hint}", shorten(other)),
            );
            by_default
        }
        None => by_default,
    }
}

/// Keys that would have no effect in this mode.
fn check_mode(mode: CollectorMode, fields: &Fields<'_>, diagnostics: &mut Diagnostics) {
    let useless: &[(&str, &str)] = match mode {
        CollectorMode::Probe => &[
            (
                "targets",
                "targets are those of a scrape, a probe brings its own",
            ),
            (
                "interval",
                "the background is asked by scrapes, not by probes",
            ),
            (
                "target_label",
                "Prometheus labels the series of a probe by relabelling",
            ),
        ],
        CollectorMode::Scrape => &[("probe_path", "there are no probes of this collector")],
        CollectorMode::Both => &[],
    };
    for (key, why) in useless {
        if let Some(node) = fields.get(key) {
            diagnostics.error(
                node.at,
                format!(
                    "`{key}` has no effect with `mode: {}`: {why}",
                    mode.as_str()
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
