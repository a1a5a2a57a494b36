//! What the web side needs to know of the units.

use std::pin::Pin;
use std::time::Instant;

use crate::exposition::Family;
use crate::telemetry::UnitState;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whatever can be scraped and asked how it is.
pub(crate) trait Exporter: Send + Sync + 'static {
    /// All families, sorted by name, each name once (see `exposition::merge`). What is not ready at the deadline is left out.
    fn scrape(&self, deadline: Instant) -> BoxFuture<'_, Vec<Family>>;

    fn status(&self) -> Vec<UnitStatus>;

    /// The maps' contents as text, for debugging. May block.
    fn dump_maps(&self) -> String;

    /// Brings everything in line with the directories. Gives a text for people: what was done, or `Err` if something could not be.
    fn reload(&self) -> BoxFuture<'_, Result<String, String>>;

    /// Whether the first load is done.
    fn ready(&self) -> bool;
}

/// A unit's row on the status page.
#[derive(Debug, Clone)]
pub(crate) struct UnitStatus {
    pub(crate) name: String,
    pub(crate) state: UnitState,
    /// What is wrong: why the unit failed, which program is not attached and why. Empty if all is well.
    pub(crate) reasons: Vec<String>,
}
