//! A unit's life: prepared (object loaded and attached, which needs privilege), running (plugins opened, scraped), stopped.
//!
//! A unit owns what it needs: its object and links, its readers, its plugin sessions, its rows. Nothing that goes wrong in one takes away
//! another's series.

mod collectors;
mod dump;
mod error;
mod fleet;
mod labels;
mod maps;
mod opener;
pub(crate) mod outside;
mod plan;
mod prepare;
mod report;
mod running;
mod share;
mod source;
mod value;

pub(crate) use collectors::{Collector, Index as CollectorIndex, Selection, keep_polling};
pub(crate) use error::{Failure, Trouble};
pub(crate) use fleet::{Fleet, Scraped, UnitView};
pub(crate) use plan::{Action, Make, Now, Step, Wanted, decide};
pub(crate) use prepare::{Environment, Prepared, check, files_of, prepare};
pub(crate) use report::UnitReport;
#[cfg(test)]
pub(crate) use running::MapFill;
pub(crate) use running::{Running, UnitScrape};
