//! What the web side needs to know of the units.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::exposition::Family;
use crate::link::UnitPhase;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whatever can be scraped and asked how it is.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// All families, sorted by name, each name once (see `exposition::merge`). What is not ready at
    /// the deadline is left out. `Err`: the filter means nothing; why is for whoever asked.
    fn scrape<'a>(
        &'a self,
        deadline: Instant,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Family>, String>>;

    /// Asks one collector about one target. Its unit is started for it if it is on demand.
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'_, Probed>;

    /// What can be probed.
    fn probes(&self) -> Vec<ProbeView>;

    /// The families of one unit, which is started for it if it is on demand. Keeps its deadline.
    fn scrape_unit<'a>(
        &'a self,
        name: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<Family>, Unavailable>>;

    fn status(&self) -> Vec<UnitStatus>;

    /// The units by the digests of their parts, as JSON. Waits for no scrape, as `status` and
    /// `probes`.
    fn units(&self) -> String;

    /// The maps' contents as text, for debugging. May block.
    fn dump_maps(&self) -> String;

    /// Brings everything in line with the directories.
    fn reload(&self) -> BoxFuture<'_, ReloadAnswer>;

    /// `Err`: why there is nothing to be had, in words.
    fn ready(&self) -> Result<(), String>;
}

/// The values of `collect[]` and `exclude[]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) collect: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct ProbeRequest {
    pub(crate) module: Module,
    pub(crate) target: Option<String>,
    /// All other query parameters, in their order.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) deadline: Instant,
    /// Tell what the collector logs.
    pub(crate) debug: bool,
}

/// How a collector is named by who probes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Module {
    Name(String),
    /// By the path that its config gives it.
    Path(String),
}

/// What came of a probe. Texts are sentences for whoever asked.
#[derive(Debug)]
pub(crate) enum Probed {
    /// No collector has this path.
    NoPath,
    /// The request cannot be meant.
    Bad(String),
    /// The collector's unit does not run, and cannot be started for this.
    Unavailable(Unavailable),
    Done(ProbeResult),
}

#[derive(Debug)]
pub(crate) struct ProbeResult {
    /// The collector's families, and those about the probe; see `exposition::merge`.
    pub(crate) families: Vec<Family>,
    /// Why the probe has failed.
    pub(crate) error: Option<String>,
    /// Why there can be no answer, if it is not for the target to give one.
    pub(crate) refused: Option<Refused>,
    /// With `debug`: lines of the log, and the collector's config as YAML.
    pub(crate) log: Vec<String>,
    pub(crate) config: String,
}

/// Why a probe was not made, as the collector has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The operator does not let the collector have this target.
    ByOperator,
    /// The target, or a parameter, is none for this collector.
    AsWrong,
}

/// A collector that can be probed, for people.
#[derive(Debug, Clone)]
pub(crate) struct ProbeView {
    /// For `module=`.
    pub(crate) module: String,
    pub(crate) path: Option<String>,
    pub(crate) needs_target: bool,
}

/// Why there are no families of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// There is no such unit.
    Unknown,
    /// It does not run, or does not answer in time.
    NotNow { why: String, retry_after: Duration },
}

/// What came of a reload that was asked for, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReloadAnswer {
    Done(String),
    /// Not everything is as the directories want it.
    Failed(String),
    /// It goes on, or is yet to begin; nobody waits for it any longer.
    NotYet(String),
}

/// A unit's row on the status page.
#[derive(Debug, Clone)]
pub(crate) struct UnitStatus {
    pub(crate) name: String,
    pub(crate) phase: UnitPhase,
    /// What is wrong: why the unit failed, which program is not attached and why. Empty if all is
    /// well.
    pub(crate) reasons: Vec<String>,
    /// It is started by a request for its own metrics, and stopped when nobody asks any more.
    pub(crate) on_demand: bool,
    /// How long until it, or its programs that are not attached, are tried again.
    pub(crate) next_try: Option<Duration>,
}
