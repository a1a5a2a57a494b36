//! The section `collectors`: plugins that are asked for families.

use std::collections::HashMap;
use std::time::Duration;

use super::names;
use super::plugin_use::{PluginUse, read_options};
use crate::config::yaml::{
    Diagnostics, Fields, LineColumn, Node, NodeValue, Schema, fields, shorten,
};
use crate::near;

/// A collector of some plugin and how it is called.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CollectorConfig {
    /// How it is called in `/probe?module=NAME`, `collect[]=NAME` and the host's own metrics:
    /// letters, digits, `_`, `-` and `.`.
    pub(crate) name: String,
    /// The collector's name in its plugin's catalogue, or `plugin/name`.
    pub(crate) plugin: PluginUse,
    pub(crate) mode: CollectorMode,
    /// What a scrape collects from: one call each. Empty: one call without a target.
    pub(crate) targets: Vec<String>,
    /// The label that tells the targets' series apart.
    pub(crate) target_label: String,
    /// Labels of all its series.
    pub(crate) labels: Vec<(String, String)>,
    /// Of one call. None: what the scrape's deadline leaves.
    pub(crate) timeout: Option<Duration>,
    /// Called in the background this often; a scrape gets the last good answer. None: called by
    /// each scrape.
    pub(crate) interval: Option<Duration>,
    /// A path of its own beside `/probe?module=NAME`.
    pub(crate) probe_path: Option<String>,
}

impl CollectorConfig {
    /// Whether a probe has to say a target.
    pub(crate) fn needs_target(&self) -> bool {
        self.mode == CollectorMode::Probe || !self.targets.is_empty()
    }
}

/// Who may have a collector called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum CollectorMode {
    /// A scrape of everything.
    Scrape,
    /// A probe, with a target.
    Probe,
    Both,
}

impl CollectorMode {
    pub(crate) fn scraped(self) -> bool {
        self != Self::Probe
    }

    pub(crate) fn probed(self) -> bool {
        self != Self::Scrape
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scrape => "scrape",
            Self::Probe => "probe",
            Self::Both => "both",
        }
    }
}

pub(super) const COLLECTOR: Schema = Schema {
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
    min: Duration,
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Duration> {
    let found = fields.duration(name, diagnostics)?;
    if found < min {
        let written = fields.text(name, diagnostics).unwrap_or_default();
        let at = fields.get(name).map_or(fields.at, |node| node.at);
        diagnostics.error(
            at,
            format!("`{name}` is {}, the least is {min:?}", shorten(written)),
        );
        return None;
    }
    Some(found)
}

/// The paths of the host itself cannot be taken. The telemetry path of a running host is the
/// server's to say.
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
