//! What a unit's YAML means once it has been read and checked: every default filled in, nothing left to ask "is it set?".

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use super::bounds::SeriesBounds;
use super::globals::GlobalConfig;
use super::kernel::KernelNeeds;
use super::programs::ProgramConfig;
use super::value::ValueConfig;
use crate::digest::Digest;

/// A place in a config file, for messages. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Span {
    /// For people: over a socket it is text, with U+FFFD for what is not UTF-8.
    #[serde(with = "super::shown_path")]
    pub(crate) file: Arc<PathBuf>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

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
    /// Prefix of the metrics' names, without the underscore; empty for none.
    pub(crate) namespace: String,
    pub(crate) metrics: Vec<MetricConfig>,
    /// Symbols whose addresses are written into the globals `kaddr_<symbol>` before the object is loaded.
    pub(crate) kaddrs: Vec<(String, Span)>,
    pub(crate) cgroup_id_map: Option<CgroupIdMap>,
    /// No two of one name.
    pub(crate) collectors: Vec<CollectorConfig>,
    pub(crate) lifecycle: Lifecycle,
    /// Of a unit on demand: how long after the last request it is stopped, 0 for never. None: what `--keepalive` says.
    pub(crate) keepalive: Option<Duration>,
    pub(crate) maps: Vec<MapConfig>,
    pub(crate) kernel: KernelNeeds,
    /// Written into the object before it is loaded.
    pub(crate) globals: Vec<GlobalConfig>,
    pub(crate) programs: Vec<ProgramConfig>,
    /// Labels of all series made from maps, with their values; collectors have them among their own.
    pub(crate) config_labels: Vec<(String, String)>,
}

/// When a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Lifecycle {
    /// All the time.
    #[default]
    Autostart,
    /// From the first request for its own metrics until nobody has asked for a while.
    OnDemand,
}

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

/// One metric: a map (or a perf event array) and how it is labelled and shaped.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct MetricConfig {
    /// Without the namespace.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The BPF map's name.
    pub(crate) map: String,
    pub(crate) source: MetricSource,
    pub(crate) labels: Vec<LabelConfig>,
    /// The shaper by name and its options, e.g. `counter`, `gauge`, `exp2`.
    pub(crate) shape: PluginUse,
    /// The map's values may have any size: the shaper says where its numbers are. Otherwise they are one u64, unless `value` says more.
    pub(crate) any_value: bool,
    pub(crate) value: Option<ValueConfig>,
    pub(crate) bounds: SeriesBounds,
    pub(crate) at: Span,
}

/// Where a metric's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum MetricSource {
    /// The entries of a map, walked at each scrape.
    Map,
    /// Samples that programs send: each adds 1 to the series its bytes decode to. All counts start again at 0 every `flush_interval`.
    Samples {
        through: SampleMap,
        flush_interval: Duration,
    },
}

/// What samples are sent through.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum SampleMap {
    PerfEventArray,
    Ringbuf,
}

impl SampleMap {
    pub(crate) const ALL: [Self; 2] = [Self::PerfEventArray, Self::Ringbuf];

    /// The field of the YAML that asks for it.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::PerfEventArray => "perf_event_array",
            Self::Ringbuf => "ringbuf",
        }
    }
}

/// One label: a field of the key and the decoders that turn it into text.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct LabelConfig {
    pub(crate) name: String,
    /// The member of the key that it is, where that is called otherwise; nested ones with dots.
    pub(crate) member: Option<String>,
    /// Bytes of the field. 0: the member's, by its type.
    pub(crate) size: usize,
    /// Where in the key the field is, once its member is known. None: after the one before it.
    pub(crate) offset: Option<usize>,
    /// Bytes after the field that belong to no label.
    pub(crate) padding: usize,
    /// Each gets what the one before it gave. None at all: those that fit the member's type.
    pub(crate) decoders: Vec<PluginUse>,
    pub(crate) at: Span,
}

impl LabelConfig {
    /// It leaves something to the type of the key.
    pub(crate) fn is_by_type(&self) -> bool {
        self.member.is_some() || self.size == 0 || self.decoders.is_empty()
    }
}

/// A decoder, shaper or collector of some plugin, by name, with its options as they are handed to the component.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct PluginUse {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) options: serde_json::Value,
    pub(crate) at: Span,
}

/// A collector of some plugin and how it is called.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct CollectorConfig {
    /// How it is called in `/probe?module=NAME`, `collect[]=NAME` and the host's own metrics: letters, digits, `_`, `-` and `.`.
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
    /// Called in the background this often; a scrape gets the last good answer. None: called by each scrape.
    pub(crate) interval: Option<Duration>,
    /// A path of its own beside `/probe?module=NAME`.
    pub(crate) probe_path: Option<String>,
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

impl CollectorConfig {
    /// Whether calls mean the same: positions in the file don't count.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let Self {
            name,
            plugin,
            mode,
            targets,
            target_label,
            labels,
            timeout,
            interval,
            probe_path,
        } = self;
        *name == other.name
            && plugin.name == other.plugin.name
            && plugin.options == other.plugin.options
            && *mode == other.mode
            && *targets == other.targets
            && *target_label == other.target_label
            && *labels == other.labels
            && *timeout == other.timeout
            && *interval == other.interval
            && *probe_path == other.probe_path
    }

    /// Whether a probe has to say a target.
    pub(crate) fn needs_target(&self) -> bool {
        self.mode == CollectorMode::Probe || !self.targets.is_empty()
    }
}

/// A map of the object that is told which cgroups match.
#[derive(Debug, Clone)]
pub(crate) struct CgroupIdMap {
    pub(crate) map: String,
    pub(crate) kind: CgroupIdMapKind,
    /// Unanchored; a cgroup whose absolute path matches any of them is in.
    pub(crate) regexps: Vec<Regex>,
    pub(crate) at: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupIdMapKind {
    /// Key: the cgroup's id, u64. Value: u64 1.
    Hash,
    /// A BPF_MAP_TYPE_CGRP_STORAGE, addressed by the cgroup directory's file descriptor.
    CgrpStorage,
}
