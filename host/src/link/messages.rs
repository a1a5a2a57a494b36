//! The messages of the loader and the server. Where a message comes with descriptors, its type says
//! which and in which order.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub(crate) use crate::bpf::MapLayout;
use crate::bpf::{Attached, Cause, ProgramStatus};
use crate::config::{CollectorConfig, Diagnostic, PluginUse, UnitConfig};
use crate::digest::Digest;
use crate::privileges::Feature;
use crate::rows::MetricSpec;

/// What the loader says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToServer {
    /// The first message. Descriptors: the listeners, then kallsyms and pci.ids as far as the two
    /// flags say that they are there.
    Welcome {
        /// Servers before this one.
        predecessors: u64,
        listeners: usize,
        kallsyms: bool,
        pci_ids: bool,
        /// The loader's own hardening, and `split`.
        features: Vec<Feature>,
    },
    /// All plugins from now on. Descriptors: the compiled code of those that say so, in order.
    /// Answered by `PluginsOpened`.
    Plugins {
        id: u64,
        plugins: Vec<PluginMessage>,
    },
    /// A version of a unit to open beside the one that is served. Descriptors: see `ServedUnit`.
    /// Answered by `Opened`.
    Open(Box<ServedUnit>),
    /// What is wrong with a config for reasons that the loader knows; the server adds what only
    /// the plugins can tell. Answered by `Opened` with an error.
    Explain {
        generation: u64,
        config: Box<ServedConfig>,
        /// All that its labels name.
        decoders: Vec<PluginUse>,
        diagnostics: Vec<Diagnostic>,
    },
    /// The opened version is attached: it is served in place of the one before.
    Serve {
        unit: String,
        generation: u64,
    },
    /// The opened version does not come into service.
    Discard {
        unit: String,
        generation: u64,
    },
    /// Nothing of the unit is in service any more; its status stays.
    Withdraw {
        unit: String,
    },
    /// The unit is gone for good, with its status and its series.
    Forget {
        unit: String,
    },
    /// Where a unit is in its life, whenever that changes.
    Status(Box<UnitStatus>),
    /// A CPU has come: one more buffer of all perf event arrays of a map. Descriptor: the buffer.
    PerfBuffer {
        unit: String,
        map: String,
        metric: usize,
        cpu: u32,
    },
    /// Everything that there is has been sent: from now on requests are answered.
    Ready {
        summary: String,
    },
    /// A reload has ended. `id`: of the request for it.
    Reloaded {
        id: Option<u64>,
        successful: bool,
        /// Seconds since 1970 of the last successful one.
        last_success: Option<f64>,
        text: String,
    },
    /// How changes of the directories are noticed, whenever that changes.
    Watching(WatchMode),
    /// What the loader and the starter use.
    Figures(ProcessFigures),
    /// Answers `File`. Descriptor: the file, of `FileAnswer::Opened`.
    File {
        id: u64,
        answer: Result<FileAnswer, FileRefusal>,
    },
    Ping {
        number: u64,
    },
    /// Answered by `Passed` once everything that was said before has been done.
    Barrier {
        number: u64,
    },
    /// Answer what is being asked, then end.
    Stop,
}

/// What the server says. The loader takes none of it for granted: names are looked up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToLoader {
    /// After `Welcome`: the hardening of the server, and what its check found to be allowed.
    Started {
        features: Vec<Feature>,
        allowed: Vec<String>,
    },
    PluginsOpened {
        id: u64,
        /// Path and reason of those that cannot be used; a version before goes on.
        failed: Vec<(String, String)>,
        /// Of those in use now: the digests of their files with their sidecars, by name.
        versions: Vec<(String, Digest)>,
    },
    Opened {
        unit: String,
        generation: u64,
        /// The plugins in use with their versions, or why it cannot be opened.
        outcome: Result<Vec<(String, Digest)>, OpenRefusal>,
    },
    /// Somebody asks for a unit on demand.
    Start {
        unit: String,
    },
    /// Nobody has asked for it for its keepalive.
    Idle {
        unit: String,
    },
    Reload {
        id: u64,
    },
    /// From now on the numbers of this metric need what only this server knows.
    Holds {
        unit: String,
        metric: String,
    },
    /// A granted file that the server's user may not open.
    File {
        id: u64,
        path: String,
        wish: FileWish,
    },
    Pong {
        number: u64,
    },
    Passed {
        number: u64,
    },
}

/// How changes of the directories are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WatchMode {
    /// The kernel tells.
    Events,
    /// By looking.
    Poll,
    /// Not at all.
    Off,
}

impl WatchMode {
    pub(crate) const ALL: [Self; 3] = [Self::Events, Self::Poll, Self::Off];

    /// As the flag has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Poll => "poll",
            Self::Off => "off",
        }
    }
}

/// Why a version of a unit cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenRefusal {
    pub(crate) why: String,
    /// It may go away without anybody changing a file.
    pub(crate) retryable: bool,
    /// Metrics without which it could be opened, by their indices, with what is wrong with each.
    pub(crate) metrics: Vec<(usize, Diagnostic)>,
}

/// A version of a unit as the server opens it. Descriptors: those of the sources one after the
/// other, then those of the programs that have one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServedUnit {
    pub(crate) generation: u64,
    /// Versions of one number share maps, links and buffers: counted samples go on.
    pub(crate) kernel_side: u64,
    pub(crate) config: ServedConfig,
    /// In the order of the YAML.
    pub(crate) metrics: Vec<MetricSpec>,
    /// In the order of the YAML, each with its metrics.
    pub(crate) sources: Vec<ServedSource>,
    pub(crate) programs: Vec<ServedProgram>,
    /// Metrics for which a server before has said `Holds`: they are shown from 0.
    pub(crate) held: Vec<String>,
    /// A server before has shown it.
    pub(crate) resumed: bool,
}

/// What of a unit's YAML the server needs, besides its metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServedConfig {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) collectors: Vec<CollectorConfig>,
    pub(crate) config_labels: Vec<(String, String)>,
}

impl From<&UnitConfig> for ServedConfig {
    fn from(config: &UnitConfig) -> Self {
        Self {
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            collectors: config.collectors.clone(),
            config_labels: config.config_labels.clone(),
        }
    }
}

/// Where metrics get their entries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ServedSource {
    /// One walk of a map serves all metrics made from it. Descriptor: the map.
    Map {
        map: String,
        metrics: Vec<usize>,
        /// None: it was there before the loader.
        created: Option<SystemTime>,
    },
    /// Samples of a perf event array, counted for one metric. Descriptors: a buffer each CPU.
    Perf {
        map: String,
        metric: usize,
        /// Bytes.
        key_size: usize,
        flush_interval: Duration,
        /// Of each buffer.
        pages: usize,
        cpus: Vec<u32>,
    },
    /// Samples of a ring buffer, counted for one metric. Descriptor: the map.
    Ring {
        map: String,
        metric: usize,
        /// Bytes.
        key_size: usize,
        flush_interval: Duration,
    },
}

impl ServedSource {
    /// How many of the unit's descriptors are this source's.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::Map { .. } | Self::Ring { .. } => 1,
            Self::Perf { cpus, .. } => cpus.len(),
        }
    }
}

/// A program of a unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServedProgram {
    /// The function's name.
    pub(crate) name: String,
    /// The kernel's number of the program; none: it is not loaded, and has no descriptor.
    pub(crate) id: Option<u32>,
}

/// A plugin as it is from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PluginMessage {
    pub(crate) name: String,
    /// For people.
    pub(crate) path: String,
    /// Of the component's file.
    pub(crate) digest: Digest,
    /// The text of the sidecar beside it.
    pub(crate) sidecar: Option<Vec<u8>>,
    /// Its compiled code comes along; if not, the server has it from before.
    pub(crate) compiled: bool,
}

/// Where a unit is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum UnitPhase {
    Starting,
    Running,
    /// It runs, but not all of it: who has to do something about the rest.
    Degraded(Cause),
    /// A unit on demand that nobody has asked for lately is being taken down.
    Stopping,
    /// On demand, and nobody has asked for it lately.
    Stopped,
    /// Not for this kernel, as its YAML has it.
    Skipped,
    Failed,
}

impl UnitPhase {
    /// A version is in service.
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Degraded(_))
    }

    /// Of a unit that runs, and not all of it.
    pub(crate) fn cause(self) -> Option<Cause> {
        match self {
            Self::Degraded(cause) => Some(cause),
            _ => None,
        }
    }

    /// As `exporter_host_unit_state` has it: a number stays the same for ever.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Failed => 0,
            Self::Running => 1,
            Self::Starting => 2,
            Self::Stopping => 3,
            Self::Stopped => 4,
            Self::Skipped => 5,
            Self::Degraded(_) => 6,
        }
    }

    /// As the pages have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded(_) => "degraded",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// How many programs of a unit are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProgramCounts {
    pub(crate) attached: u64,
    pub(crate) failed: u64,
    pub(crate) disabled: u64,
}

impl UnitStatus {
    pub(crate) fn program_counts(&self) -> ProgramCounts {
        let mut counts = ProgramCounts::default();
        for program in &self.programs {
            match program.attached {
                Attached::Yes => counts.attached += 1,
                Attached::Failed(_) => counts.failed += 1,
                Attached::Disabled => counts.disabled += 1,
                Attached::No => {}
            }
        }
        counts
    }
}

/// Everything that people and Prometheus are told of a unit's life.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UnitStatus {
    pub(crate) unit: String,
    pub(crate) phase: UnitPhase,
    /// Why the last load or reload failed. A running unit with one is the last good version.
    pub(crate) diagnostic: Option<String>,
    pub(crate) on_demand: Option<OnDemand>,
    /// How long from now until it, or its programs that are not attached, are tried again.
    pub(crate) next_try: Option<Duration>,
    /// Of the YAML of the version that runs or waits, or by which it is not for this kernel.
    pub(crate) config: Option<Digest>,
    /// Of the object's file. Only of a version that runs.
    pub(crate) object: Option<Digest>,
    /// Of what the YAML wants to be done before the object is attached, of a version that runs.
    pub(crate) preparation: Option<Digest>,
    /// Of the version that runs.
    pub(crate) programs: Vec<ProgramStatus>,
    /// What the entries of its maps are, of the version that runs.
    pub(crate) maps: Vec<MapLayout>,
    /// What does not keep the unit from running, but should be known.
    pub(crate) remarks: Vec<String>,
    pub(crate) load: LoadFigures,
    /// Attempts to start it again.
    pub(crate) restarts: u64,
    /// Updates of the cgroup id map that the kernel refused, since the version started.
    pub(crate) cgroup_errors: u64,
}

/// What the server has to know of a unit on demand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OnDemand {
    /// Zero: never stopped.
    pub(crate) keepalive: Duration,
    /// Those that will be there once it runs.
    pub(crate) collectors: Vec<CollectorConfig>,
}

/// How the last load or reload of a unit went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoadFigures {
    /// None: nothing has been loaded yet.
    pub(crate) successful: Option<bool>,
    /// Seconds since 1970.
    pub(crate) last_success: Option<f64>,
    pub(crate) duration: Duration,
}

/// What a process uses, of /proc, and what it lacks. Sums over several where it is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProcessFigures {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) threads: Option<u64>,
    /// Seconds since 1970.
    pub(crate) start_time: Option<f64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    pub(crate) max_fds: Option<u64>,
    /// Not of /proc: its log is not read as fast as it is written.
    pub(crate) log_lines_dropped: u64,
    /// The limit on virtual memory; u64's greatest where there is none.
    pub(crate) max_virtual_bytes: Option<u64>,
    /// Bytes of IP packets of its network namespace since that was made.
    pub(crate) received_bytes: Option<u64>,
    pub(crate) sent_bytes: Option<u64>,
}

/// What is wanted of a granted file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileWish {
    /// Its content.
    Read,
    Metadata,
    /// The names in it.
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileKind {
    File,
    Directory,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileAnswer {
    /// It comes as a descriptor, opened for reading.
    Opened,
    Metadata {
        kind: FileKind,
        size: u64,
        /// Nanoseconds since 1970.
        modified: u64,
    },
    List(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileRefusal {
    Denied(String),
    NotFound,
    TooLarge(u64),
    Io(String),
}
