//! One file's text -> one `UnitConfig`, or everything that is wrong with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::cgroup_id_map::CgroupIdMap;
use super::collector::CollectorConfig;
use super::globals::GlobalConfig;
use super::kernel::KernelNeeds;
use super::lifecycle::Lifecycle;
use super::maps::MapConfig;
use super::metric::MetricConfig;
use super::metrics::{self, Metrics};
use super::plugin_use::PluginUse;
use super::programs::ProgramConfig;
use super::{cgroup_id_map, collector, globals, kernel, lifecycle, maps, names, programs};
use crate::config::yaml::{
    Diagnostic, Diagnostics, Fields, Node, NodeValue, Schema, Span, fields, parse, shorten,
};
use crate::digest::Digest;

/// One config file = one unit.
#[derive(Debug, Clone)]
pub(crate) struct UnitConfig {
    /// The file's path below the config directory less its extension, e.g. `timers` or `net/drops`.
    pub(crate) name: String,
    pub(crate) file: Arc<PathBuf>,
    /// Of the file.
    pub(crate) digest: Digest,
    /// The BPF object's path. `None`: the unit has neither metrics from maps nor programs.
    pub(crate) object: Option<PathBuf>,
    /// Where `object` stands. None: the object is called as the unit is.
    pub(crate) object_at: Option<Span>,
    /// Prefix of the metrics' names, without the underscore; empty for none.
    pub(crate) namespace: String,
    pub(crate) metrics: Vec<MetricConfig>,
    /// Symbols whose addresses are written into the globals `kaddr_<symbol>` before the object is
    /// loaded.
    pub(crate) kaddrs: Vec<(String, Span)>,
    pub(crate) cgroup_id_map: Option<CgroupIdMap>,
    /// No two of one name.
    pub(crate) collectors: Vec<CollectorConfig>,
    pub(crate) lifecycle: Lifecycle,
    /// Of a unit on demand: how long after the last request it is stopped, 0 for never. None: what
    /// `--keepalive` says.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) maps: Vec<MapConfig>,
    pub(crate) kernel: KernelNeeds,
    /// Written into the object before it is loaded.
    pub(crate) globals: Vec<GlobalConfig>,
    pub(crate) programs: Vec<ProgramConfig>,
    /// Labels of all series made from maps, with their values; collectors have them among their
    /// own.
    pub(crate) config_labels: Vec<(String, String)>,
    /// Why metrics of the YAML are not among `metrics`.
    pub(crate) left_out: Vec<Diagnostic>,
    /// Metrics that are left out, as far as they could be read: more may be wrong with them.
    pub(crate) wrong_metrics: Vec<MetricConfig>,
}

impl UnitConfig {
    /// All decoders that the labels of its metrics name, be they left out.
    pub(crate) fn decoders(&self) -> impl Iterator<Item = &PluginUse> {
        let metrics = self.metrics.iter().chain(&self.wrong_metrics);
        let labels = metrics.flat_map(|metric| &metric.labels);
        labels.flat_map(|label| label.decoders.iter().flatten())
    }
}

const DEFAULT_NAMESPACE: &str = "ebpf_exporter";

/// `name` and `bpfpath` are fields of ebpf_exporter's own struct: it takes them from a file and
/// overwrites them.
pub(super) const UNIT: Schema = Schema {
    what: "a unit",
    known: &[
        "metrics",
        "kaddrs",
        "cgroup_id_map",
        "collectors",
        "namespace",
        "object",
        "lifecycle",
        "keepalive",
        "maps",
        "kernel",
        "globals",
        "programs",
        "config_labels",
        "name",
        "bpfpath",
    ],
    later: &["tracing", "processes"],
};

/// A unit that can be started, and what should be said about its file nevertheless.
#[derive(Debug)]
pub(crate) struct ReadUnit {
    pub(crate) config: UnitConfig,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// A unit that cannot be started.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// In the order of the file, at least one of them an error.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What could be read all the same.
    pub(crate) partial: Option<Box<UnitConfig>>,
}

/// What is an error that need not be one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Strictness {
    /// Unknown and duplicate keys.
    pub(crate) keys: bool,
    /// What is wrong with a metric costs its unit, not the metric alone.
    pub(crate) metrics: bool,
}

/// Reads the text of `file`.
pub(crate) fn read_unit(
    name: &str,
    file: &Arc<PathBuf>,
    bytes: &[u8],
    strict: Strictness,
) -> Result<ReadUnit, Unreadable> {
    let mut diagnostics = Diagnostics::new(file, strict.keys);
    let root = parse(bytes, "a mapping with `metrics`", &mut diagnostics);
    let config =
        root.and_then(|root| read_root(name, file, Digest::of(bytes), &root, &mut diagnostics));
    // A unit of which nothing is left is none.
    let nothing = |config: &UnitConfig| config.metrics.is_empty() && config.collectors.is_empty();
    if strict.metrics || config.as_ref().is_none_or(nothing) {
        diagnostics.fail_metrics();
    }
    match config {
        Some(mut config) if !diagnostics.any_error() => {
            config.left_out = diagnostics.take_of_metrics();
            Ok(ReadUnit {
                config,
                warnings: diagnostics.into_sorted(),
            })
        }
        partial => {
            diagnostics.fail_metrics();
            Err(Unreadable {
                diagnostics: diagnostics.into_sorted(),
                partial: partial.map(Box::new),
            })
        }
    }
}

fn read_root(
    name: &str,
    file: &Arc<PathBuf>,
    digest: Digest,
    root: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<UnitConfig> {
    let fields = Fields::of(root, &UNIT, diagnostics)?;
    if is_of_before(&fields) {
        let at = fields.get("programs").map_or(fields.at, |node| node.at);
        diagnostics.error(
            at,
            "this is a config of ebpf_exporter 1.x, whose `programs` are a list with code: since 2.0 each program is a unit of its own. \
             Move what is below its `metrics` to `metrics:` at the top of a file of its own, NAME.yaml, write its `code` against libbpf (the map of a \
             metric is called as the metric is, SEC() says what a program is attached to), and compile it to NAME.bpf.o beside the YAML",
        );
        return None;
    }
    let namespace = read_namespace(&fields, diagnostics);
    let metrics = match fields.get("metrics") {
        Some(node) => metrics::read_metrics(node, diagnostics),
        None => Metrics {
            list: Vec::new(),
            wrong: Vec::new(),
            any_section: false,
        },
    };
    let kaddrs = read_kaddrs(&fields, diagnostics);
    let cgroup_id_map = fields
        .get("cgroup_id_map")
        .map(|node| cgroup_id_map::read(node, diagnostics));
    let bpf = metrics.any_section || fields.get("tracing").is_some();
    if !bpf && fields.get("collectors").is_none() {
        diagnostics.error(fields.at, "the unit exports nothing: expected `metrics` with `counters`, `gauges` or `histograms`, or `collectors`");
    }
    let collectors = collector::read_collectors(&fields, diagnostics);
    if let (Some(tracing), false) = (fields.get("tracing"), metrics.any_section)
        && fields.get("collectors").is_none()
    {
        diagnostics.error(
            tracing.at,
            "the unit has `tracing` alone, and this version builds no spans: nothing would come of it. Leave the unit out, or give it `metrics`",
        );
    }
    let object = read_object(name, file, &fields, bpf, diagnostics);
    let life = lifecycle::read(name, &fields, diagnostics);
    let maps = maps::read(&fields, diagnostics);
    let kernel = kernel::read(&fields, diagnostics);
    let globals = globals::read(&fields, diagnostics);
    let programs = programs::read(&fields, diagnostics);
    let config_labels = collector::read_labels("config_labels", &fields, diagnostics);
    let mut collectors = collectors;
    add_labels(
        &config_labels,
        &mut collectors,
        &metrics.list,
        &fields,
        diagnostics,
    );
    Some(UnitConfig {
        digest,
        name: name.to_owned(),
        file: Arc::clone(file),
        object,
        object_at: fields
            .get("object")
            .map(|node| diagnostics.position(node.at)),
        namespace: namespace?,
        metrics: metrics.list,
        kaddrs,
        cgroup_id_map: match cgroup_id_map {
            Some(read) => Some(read?),
            None => None,
        },
        collectors,
        lifecycle: life.lifecycle,
        keepalive: life.keepalive,
        maps,
        kernel,
        globals,
        programs,
        config_labels,
        left_out: Vec::new(),
        wrong_metrics: metrics.wrong,
    })
}

/// A list of programs, each with its metrics, is the format of ebpf_exporter before 2.0.
fn is_of_before(fields: &Fields<'_>) -> bool {
    let Some(NodeValue::List(programs)) = fields.get("programs").map(|node| &node.value) else {
        return false;
    };
    programs
        .iter()
        .any(|program| matches!(program.value, NodeValue::Mapping(_)))
}

/// Gives the labels of the unit to its collectors, where they say nothing else, and sees that no
/// metric has them already.
fn add_labels(
    labels: &[(String, String)],
    collectors: &mut [CollectorConfig],
    metrics: &[MetricConfig],
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) {
    let at = fields
        .get("config_labels")
        .map_or(fields.at, |node| node.at);
    for (name, value) in labels {
        if name == "le" {
            diagnostics.error(
                at,
                "the label `le` of `config_labels` is that of buckets: choose another name",
            );
        }
        for metric in metrics {
            if metric.labels.iter().any(|label| label.name == *name) {
                diagnostics.error(
                    at,
                    format!(
                        "the label `{}` of `config_labels` is one of the metric `{}` already",
                        shorten(name),
                        shorten(&metric.name)
                    ),
                );
            }
        }
        for collector in &mut *collectors {
            if collector.target_label == *name && !collector.targets.is_empty() {
                diagnostics.error(
                    at,
                    format!(
                        "the label `{}` of `config_labels` is the `target_label` of the collector `{}`",
                        shorten(name),
                        shorten(&collector.name)
                    ),
                );
            } else if !collector.labels.iter().any(|(known, _)| known == name) {
                collector.labels.push((name.clone(), value.clone()));
            }
        }
    }
}

fn read_namespace(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let Some(node) = fields.get("namespace") else {
        return Some(DEFAULT_NAMESPACE.to_owned());
    };
    let namespace = fields.text("namespace", diagnostics)?;
    if let Err(why) = names::check_metric_name(namespace) {
        diagnostics.error(
            node.at,
            format!("the namespace `{}` {why}", shorten(namespace)),
        );
    }
    Some(namespace.to_owned())
}

/// `object` is relative to the YAML; without it, it is `<name>.bpf.o` beside it.
fn read_object(
    name: &str,
    file: &Path,
    fields: &Fields<'_>,
    bpf: bool,
    diagnostics: &mut Diagnostics,
) -> Option<PathBuf> {
    let directory = file.parent().unwrap_or(Path::new(""));
    match fields.text("object", diagnostics) {
        Some("") => {
            let at = fields.get("object").map_or(fields.at, |node| node.at);
            diagnostics.error(
                at,
                "expected the path of a BPF object for `object`, found an empty text",
            );
            None
        }
        Some(path) => Some(directory.join(path)),
        None => {
            let stem = name.rsplit('/').next().unwrap_or(name);
            bpf.then(|| directory.join(format!("{stem}.bpf.o")))
        }
    }
}

fn read_kaddrs(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Vec<(String, Span)> {
    let mut symbols = Vec::new();
    for node in fields.list("kaddrs", "kernel symbols", diagnostics) {
        match fields::text(node, "a kernel symbol of `kaddrs`", diagnostics) {
            Some("") => diagnostics.error(
                node.at,
                "expected a kernel symbol in `kaddrs`, found nothing",
            ),
            Some(symbol) => symbols.push((symbol.to_owned(), diagnostics.position(node.at))),
            None => {}
        }
    }
    symbols
}

#[cfg(test)]
mod tests {
    use crate::config::testing::diagnostics;
    use crate::config::testing::good;

    #[test]
    fn a_units_labels_are_its_collectors_too() {
        let unit = good(
            "config_labels: {team: kernel, site: 1}\ncollectors: [{name: a, labels: {team: net}}, {name: b}]\n",
        );
        let own = |text: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = text.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        assert_eq!(
            unit.config_labels,
            own(&[("team", "kernel"), ("site", "1")])
        );
        // What a collector says of itself stays.
        assert_eq!(
            unit.collectors[0].labels,
            own(&[("team", "net"), ("site", "1")])
        );
        assert_eq!(unit.collectors[1].labels, unit.config_labels);
    }

    #[test]
    fn labels_that_are_taken() {
        let found = diagnostics(
            "config_labels: {le: x, l: x, instance: x, a-b: x}\n\
             metrics: {counters: [{name: c, help: h, labels: [{name: l, size: 4, decoders: [{name: uint}]}]}]}\n\
             collectors: [{name: k, targets: [t]}]\n",
        );
        for expected in [
            ":1:16: error: the label `le` of `config_labels` is that of buckets: choose another name\n",
            ":1:16: error: the label `l` of `config_labels` is one of the metric `c` already\n",
            ":1:16: error: the label `instance` of `config_labels` is the `target_label` of the collector `k`\n",
            ":1:43: error: the label name `a-b` has a '-', but a label's name is made of letters",
        ] {
            assert!(found.contains(expected), "{expected}\n{found}");
        }
        assert!(
            diagnostics("config_labels: [a]\ncollectors: [{name: k}]\n")
                .contains("for `config_labels`, found a list")
        );
    }
}
