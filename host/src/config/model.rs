//! What a unit's YAML means once it has been read and checked: every default filled in, nothing left to ask "is it set?".

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::digest::Digest;

/// A place in a config file, for messages. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
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
    pub(crate) kaddrs: Vec<(String, Position)>,
    pub(crate) cgroup_id_map: Option<CgroupIdMap>,
}

/// One metric: a map (or a perf event array) and how it is labelled and shaped.
#[derive(Debug, Clone)]
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
    pub(crate) at: Position,
}

/// Where a metric's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricSource {
    /// The entries of a map, walked at each scrape.
    Map,
    /// Samples sent through a perf event array: each adds 1 to the series its bytes decode to. All counts start again at 0 every `flush_interval`.
    PerfEventArray { flush_interval: Duration },
}

/// One label: a field of the key and the decoders that turn it into text.
#[derive(Debug, Clone)]
pub(crate) struct LabelConfig {
    pub(crate) name: String,
    /// Bytes of the field.
    pub(crate) size: usize,
    /// Bytes after the field that belong to no label.
    pub(crate) padding: usize,
    /// At least one; each gets what the one before it gave.
    pub(crate) decoders: Vec<PluginUse>,
    pub(crate) at: Position,
}

/// A decoder or shaper of some plugin, by name, with its options as they are handed to the component.
#[derive(Debug, Clone)]
pub(crate) struct PluginUse {
    pub(crate) name: String,
    /// A JSON object.
    pub(crate) options: serde_json::Value,
    pub(crate) at: Position,
}

/// A map of the object that is told which cgroups match.
#[derive(Debug, Clone)]
pub(crate) struct CgroupIdMap {
    pub(crate) map: String,
    pub(crate) kind: CgroupIdMapKind,
    /// Unanchored; a cgroup whose absolute path matches any of them is in.
    pub(crate) regexps: Vec<Regex>,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CgroupIdMapKind {
    /// Key: the cgroup's id, u64. Value: u64 1.
    Hash,
    /// A BPF_MAP_TYPE_CGRP_STORAGE, addressed by the cgroup directory's file descriptor.
    CgrpStorage,
}
