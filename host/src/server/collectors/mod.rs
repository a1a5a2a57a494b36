//! The collectors of units: opened with their unit, called by scrapes, by probes and in the
//! background.
//!
//! They stand beside the units' maps: a call takes as long as a network does, so it must hold no
//! lock of its unit. `Index` finds the collectors of all units that are in service.

mod collector;
mod index;
mod open;
mod outcome;
mod poll;
mod selection;
mod shared;
mod target_cache;

use std::sync::Arc;

pub(super) use collector::Collector;
pub(super) use index::Index;
pub(super) use open::check;
pub(super) use poll::keep_polling;
pub(super) use selection::Selection;

use crate::config::Diagnostic;
use crate::digest::Digest;
use crate::link::ServedConfig;
use crate::plugin::Registry;

/// The collectors of one version of a unit.
pub(super) struct Collectors {
    unit: String,
    index: Arc<Index>,
    list: Arc<Vec<Arc<Collector>>>,
}

impl Collectors {
    /// Opens what `config` wants; every collector that cannot be opened is reported. Those that the
    /// version in service has in the same way go on as they are, with what they know. Runs plugin
    /// code.
    pub(super) fn open(
        index: &Arc<Index>,
        config: &ServedConfig,
        registry: &Registry,
    ) -> Result<Self, Vec<Diagnostic>> {
        let known = index.of_unit(&config.name);
        let list = open::open(index, config, registry, &known)?;
        Ok(Self {
            unit: config.name.clone(),
            index: Arc::clone(index),
            list: Arc::new(list),
        })
    }

    /// From now on they are found in the index, as the unit's, as long as this is alive.
    pub(super) fn publish(&self) {
        self.index.add(&self.unit, &self.list);
    }

    /// Their plugins, by the contents of their files and sidecars.
    pub(super) fn plugins(&self) -> impl Iterator<Item = (&str, Digest)> {
        let plugins = self.list.iter().map(|collector| collector.plugin());
        plugins.map(|plugin| (plugin.name(), plugin.version()))
    }
}
