//! The YAML: schema, loading, validation. Owns the way from a directory of files to `UnitConfig`s
//! that leave no question open, and the sentences about everything that is wrong on that way, all
//! of a file's at once. Does not open BPF objects or plugins: what only shows there is reported by
//! those rooms, as further `Diagnostic`s at the positions that the sections carry.
//!
//! `discover` finds the files, `yaml` makes a tree of a text, `sections` and `sidecar` give it
//! meaning, `load` does all of it for a directory.

pub(crate) mod discover;
mod failed_unit;
pub(crate) mod load;
mod sections;
pub(crate) mod sidecar;
mod yaml;

pub(crate) use failed_unit::FailedUnit;
pub(crate) use load::load;
pub(crate) use sections::*;
pub(crate) use yaml::{Diagnostic, Span, joined, parse_duration};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
