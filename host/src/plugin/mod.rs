//! Running plugins: the engine, components and where they come from, instances with their budgets,
//! and the worlds they export.
//!
//! Everything a component answers is checked here; what leaves this room can be trusted to have the
//! shape it should have. What labels and slots mean is the business of `rows`, which plugins a unit
//! uses that of `unit`.

mod answer;
mod bindings;
mod breaker;
mod budget;
mod call_permits;
mod capture;
mod catalogue;
mod cells;
mod collector;
mod compile;
mod component;
mod diagnosis;
mod engine;
mod error;
mod grants;
mod guard;
mod imports;
mod instance;
mod interface;
mod meter;
mod registry;
mod session;
mod stats;
#[cfg(any(test, feature = "test-support"))]
pub(crate) mod test_support;
mod tool;
mod world;

pub(crate) use answer::Answer;
pub(crate) use capture::LogCapture;
pub(crate) use cells::Cells;
pub(crate) use collector::{CollectRequest, Collector};
pub(crate) use compile::{Compile, CompileLimits, InProcess, Slowness, compile, reference};
pub(crate) use component::{MAX_COMPILED, MAX_FILE, Offered, Plugin, read as read_component};
pub(crate) use engine::{Engine, engine_version};
pub(crate) use error::{CallError, CollectError, CompileError, FailureKind, LoadError};
pub(crate) use grants::files as granted;
pub(crate) use grants::foreign::{ForeignAnswer, ForeignFiles, ForeignRefusal, set_foreign_files};
pub(crate) use grants::on_waiting_thread;
pub(crate) use registry::{Offer, PluginParts, Registry, STANDARD, STANDARD_NAME};
pub(crate) use session::{Blame, DecoderId, Session, ShaperId, new_labels};
pub(crate) use stats::Snapshot;
pub(crate) use tool::{Inspection, Location, Tool};
pub(crate) use world::{
    Decoded, Encoding, NumberSource, Placed, Placement, SeriesPart, ShapedFamily,
};

#[cfg(test)]
pub(crate) mod tests;
