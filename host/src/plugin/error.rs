//! What can go wrong with a plugin, told apart where someone acts on the difference.

use std::fmt;
use std::time::Duration;

use super::cells::CellsError;
use super::interface::INTERFACE_VERSION;
use crate::config::Diagnostic;
use crate::digest::Digest;

/// A file that cannot be used as a plugin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("cannot set up the WebAssembly engine: {0}")]
    Engine(String),
    #[error("cannot start the WebAssembly epoch thread: {0}")]
    Thread(std::io::Error),
    #[error("cannot keep compiled code in {directory}: {why}")]
    Cache { directory: String, why: String },
    #[error("it is no regular file")]
    NoFile,
    #[error("cannot read it: {0}{hint}", hint = crate::privileges::denied(.0))]
    Read(std::io::Error),
    #[error("it has {found} bytes; a plugin may have {limit} at most")]
    TooLarge { found: u64, limit: u64 },
    #[error(
        "it is a core WebAssembly module, not a component: build it with --target wasm32-wasip2, or make it a component with `wasm-tools component new`"
    )]
    CoreModule,
    #[error(
        "it is a core WebAssembly module that imports wasi_snapshot_preview1, not a component: build it with --target wasm32-wasip2, or make it a component with `wasm-tools component new --adapt wasi_snapshot_preview1.reactor.wasm`"
    )]
    Preview1,
    #[error(
        "it is precompiled machine code, which is not accepted: give the .wasm it was made from"
    )]
    Precompiled,
    #[error(
        "it is not a WebAssembly component (a component starts with the bytes 00 61 73 6d 0d 00 01 00, this file with {0})"
    )]
    NotWasm(String),
    #[error("it does not compile, the file may be cut short or damaged: {0}")]
    Compile(String),
    #[error(
        "the WebAssembly compiler failed on it, which is an error of the compiler's: {0}: please report it, with the file"
    )]
    Compiler(String),
    /// In the words of whoever compiled it, perhaps another process.
    #[error(transparent)]
    NotCompiled(#[from] CompileError),
    #[error(
        "its compiled code did not come with it, which is an error of the host's: please report it"
    )]
    NoCode,
    #[error(
        "its compiled code cannot be used, which is an error of the host's: {0}: please report it"
    )]
    BadCode(String),
    #[error("it exports none of exporter:plugin/decoding@{version}, exporter:plugin/shaping@{version}, exporter:plugin/collecting@{version}: build it for the world decoder-plugin, shaper-plugin or collector-plugin; it exports: {found}", version = INTERFACE_VERSION)]
    NoWorld { found: String },
    #[error("it was built for exporter:plugin@{found}, this host knows {known}: build it against the wit/ of this host's version", known = INTERFACE_VERSION)]
    OtherVersion { found: String },
    #[error(
        "it imports {import}, which only plugins with collectors may: build it for the world collector-plugin, or without that import"
    )]
    CollectorsOnly { import: String },
    #[error("it imports what this host does not have: build it for the world decoder-plugin, shaper-plugin or collector-plugin of exporter:plugin@{version} (with WASI 0.2 at most): {0}", version = INTERFACE_VERSION)]
    Import(String),
    #[error("what it exports is not as exporter:plugin@{version} has it: build it against the wit/ of this host's version: {0}", version = INTERFACE_VERSION)]
    Export(String),
    #[error("its sidecar cannot be used: {}", listed(.0))]
    Sidecar(Vec<Diagnostic>),
    #[error(
        "its bytes are not those that its sidecar names: expected SHA-256 {expected}, found {found}"
    )]
    OtherBytes { expected: Digest, found: Digest },
    #[error("there is a plugin called `{0}` already: rename the file")]
    NameTaken(String),
    #[error("its catalogue cannot be read: {0}")]
    Catalogue(CallError),
    #[error(
        "its catalogue names {0:?}, which is no name for a decoder, shaper or collector: letters, digits, _ and - only"
    )]
    BadName(String),
}

/// No compiled code for a component. The texts are complete.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompileError {
    /// These bytes are never compiled: whoever asks again gets the same answer.
    #[error("{0}")]
    Refused(String),
    /// The attempt failed for another reason, such as want of memory or processes: another one may
    /// not.
    #[error("{0}")]
    Lost(String),
}

/// How many problems of a sidecar stand in one message.
const LISTED: usize = 8;

fn listed(diagnostics: &[Diagnostic]) -> String {
    let texts = diagnostics.iter().take(LISTED).map(ToString::to_string);
    let mut texts: Vec<String> = texts.collect();
    if diagnostics.len() > LISTED {
        texts.push(format!("and {} more", diagnostics.len() - LISTED));
    }
    texts.join("; ")
}

impl CompileError {
    /// Compiled code cannot be put into a memfd.
    pub(crate) fn no_memory(error: &std::io::Error) -> Self {
        Self::Lost(format!(
            "its compiled code cannot be kept in memory: {error}"
        ))
    }
}

impl LoadError {
    pub(super) fn engine(error: impl fmt::Display) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

/// A decoder or shaper that cannot be opened with the options it was given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The component's own words, for the operator.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Call(#[from] CallError),
    /// What the component declared is no family.
    #[error("its answer is not usable: {0}")]
    Invalid(String),
}

/// A collector's call without families.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// The plugin's own answer: it did its work, and there was nothing to be had.
    #[error("{kind}: {message}")]
    Failed { kind: FailureKind, message: String },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{0} collectors are being called, and none of them was done in time: see `timeout`")]
    Busy(usize),
    #[error("the call has ended unexpectedly, see the log")]
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Unreachable,
    Timeout,
    Invalid,
    /// What was asked cannot be meant.
    Request,
    Denied,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "no answer in time",
            Self::Invalid => "an invalid answer",
            Self::Request => "an invalid request",
            Self::Denied => "denied",
        })
    }
}

impl CollectError {
    /// The value of the `reason` label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Failed { kind, .. } => match kind {
                FailureKind::Unreachable => "unreachable",
                FailureKind::Timeout => "timeout",
                FailureKind::Invalid => "invalid",
                FailureKind::Request => "request",
                FailureKind::Denied => "denied",
            },
            Self::Call(error) => error.reason(),
            Self::Busy(_) => "busy",
            Self::Lost => "lost",
        }
    }

    /// Whether the plugin is to blame, rather than what it was asked about.
    pub(crate) fn is_the_plugins(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::Busy(_) => false,
            Self::Call(error) => error.is_the_plugins(),
            Self::Lost => true,
        }
    }
}

/// A call that gave no answer. After each of these but `Busy` and `BackOff` the instance is thrown
/// away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(
        "it used more than its {} ms of CPU time: ask for less, or raise `limits.cpu` in its .plugin.yaml",
        .0.as_millis()
    )]
    Cpu(Duration),
    #[error("it was still computing after its {} ms, which are its `timeout`", .0.as_millis())]
    Computing(Duration),
    #[error(
        "it had {} ms of CPU time within {} ms, as the machine or other plugins were busy",
        .spent.as_millis(), .whole.as_millis()
    )]
    Starved { spent: Duration, whole: Duration },
    #[error("it asked for more than its {} MiB of memory", .0 >> 20)]
    Memory(usize),
    #[error("its answer is larger than its {} MiB of output", .0 >> 20)]
    Output(usize),
    #[error("it trapped: {0}")]
    Trap(String),
    #[error("its answer is malformed: {0}")]
    Malformed(String),
    #[error(
        "its answer has {found} series, the limit is {limit}: ask for less, or raise `series` in its .plugin.yaml"
    )]
    Series { found: usize, limit: usize },
    /// A panic of ours, or of wasmtime's.
    #[error("the host failed in it, which is an error of the host's: {0}: please report it")]
    Host(String),
    #[error("it gave no answer within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("a new instance cannot be made: {0}")]
    Instantiate(String),
    #[error("timed out waiting for one of its {0} concurrent call slots")]
    Busy(usize),
    #[error("it failed {failures} times in a row and is tried again in {} s", .retry_in.as_secs().max(1))]
    BackOff { failures: u32, retry_in: Duration },
}

impl CallError {
    /// Whether what the call was given may be the cause: another input may get an answer.
    pub(crate) fn may_be_the_inputs(&self) -> bool {
        match self {
            Self::Cpu(_)
            | Self::Computing(_)
            | Self::Memory(_)
            | Self::Output(_)
            | Self::Trap(_)
            | Self::Malformed(_)
            | Self::Host(_) => true,
            Self::Series { .. }
            | Self::Late(_)
            | Self::Starved { .. }
            | Self::Instantiate(_)
            | Self::Busy(_)
            | Self::BackOff { .. } => false,
        }
    }

    /// Whether the plugin is to blame, rather than its target, its siblings or the machine.
    pub(crate) fn is_the_plugins(&self) -> bool {
        !matches!(self, Self::Late(_) | Self::Busy(_) | Self::Starved { .. })
    }

    /// The value of the `reason` label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Cpu(_) | Self::Computing(_) => "cpu",
            Self::Starved { .. } => "starved",
            Self::Memory(_) => "memory",
            Self::Output(_) => "output",
            Self::Trap(_) => "trap",
            Self::Malformed(_) => "malformed",
            Self::Series { .. } => "series",
            Self::Host(_) => "host",
            Self::Late(_) => "timeout",
            Self::Instantiate(_) => "instantiate",
            Self::Busy(_) => "busy",
            Self::BackOff { .. } => "back-off",
        }
    }
}

impl From<CellsError> for CallError {
    fn from(error: CellsError) -> Self {
        Self::Malformed(error.to_string())
    }
}
