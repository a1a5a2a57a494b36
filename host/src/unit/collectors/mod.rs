//! The collectors of units: opened with their unit, called by scrapes, by probes and in the background.
//!
//! They stand beside the units' kernel side: a call takes as long as a network does, so it must hold no lock of its unit. `Index` finds the
//! collectors of all units that are in service.

mod collector;
mod index;
mod latest;
mod open;
mod poll;
mod selection;
mod shared;

use std::sync::Arc;

pub(crate) use collector::Collector;
pub(crate) use index::Index;
pub(crate) use open::check;
pub(crate) use poll::keep_polling;
pub(crate) use selection::Selection;

use crate::config::{Problem, UnitConfig};
use crate::digest::Digest;
use crate::plugin::Registry;

/// The collectors of one unit. They are in the index as long as this is alive.
pub(super) struct Collectors {
    index: Arc<Index>,
    list: Arc<Vec<Arc<Collector>>>,
}

impl Collectors {
    /// Opens what `config` wants; every collector that cannot be opened is reported. Those that another version of the unit has in the same
    /// way go on as they are, with what they know. Runs plugin code.
    pub(super) fn open(
        index: &Arc<Index>,
        config: &UnitConfig,
        registry: &Registry,
    ) -> Result<Self, Vec<Problem>> {
        let known = index.of_unit(&config.name);
        let list = open::open(index, config, registry, &known)?;
        let list = Arc::new(list);
        index.add(&config.name, &list);
        Ok(Self {
            index: Arc::clone(index),
            list,
        })
    }

    pub(super) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// One of their plugins that is not the registry's.
    pub(super) fn stale_plugin(&self, registry: &Registry) -> Option<String> {
        let mut plugins = self.list.iter().map(|collector| collector.plugin());
        let stale = plugins.find(|plugin| !registry.has_plugin(plugin))?;
        Some(stale.name().to_owned())
    }

    /// Their plugins, by the contents of their files and sidecars.
    pub(super) fn plugins(&self) -> impl Iterator<Item = (&str, Digest)> {
        let plugins = self.list.iter().map(|collector| collector.plugin());
        plugins.map(|plugin| (plugin.name(), plugin.version()))
    }
}
