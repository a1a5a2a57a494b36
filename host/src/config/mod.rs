//! The YAML: schema, loading, validation. Owns the way from a directory of files to `UnitConfig`s that leave no question open, and the
//! sentences about everything that is wrong on that way, all of a file's at once. Does not open BPF objects or plugins: what only shows
//! there is reported by those rooms, as further `Diagnostic`s at the positions that the model carries.
//!
//! `discover` finds the files, `parse` makes `node`s of a text, `unit` and its sections (`metric`, `histogram`, `label`, `collector`) give them meaning,
//! `load` does all of it for a directory.

mod bounds;
mod collector;
pub(crate) mod diagnostic;
pub(crate) mod discover;
pub(crate) mod duration;
mod fields;
mod globals;
mod histogram;
mod kernel;
mod label;
mod lifecycle;
pub(crate) mod load;
mod maps;
mod metric;
pub(crate) mod model;
mod names;
pub(crate) mod near;
mod node;
mod parse;
mod programs;
mod scalar;
mod shaped;
pub(crate) mod shown_path;
pub(crate) mod sidecar;
pub(crate) mod unit;
mod value;

pub(crate) use bounds::SeriesBounds;
pub(crate) use diagnostic::Diagnostic;
pub(crate) use globals::{GlobalScalar, GlobalValue};
pub(crate) use kernel::{KernelFeature, KernelNeeds};
pub(crate) use load::load;
pub(crate) use model::{
    CollectorConfig, LabelConfig, Lifecycle, MetricConfig, MetricSource, PluginUse, SampleMap,
    UnitConfig,
};
pub(crate) use near::nearest;
pub(crate) use programs::Enabled;
pub(crate) use value::{ValueConfig, ValuePlace, ValueType};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
