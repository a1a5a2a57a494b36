//! The units that the loader has told of: what is served of each, and scraping them side by side.
//!
//! A unit has one home here, its `UnitEntry`. Which version is served and what its state is called
//! is the loader's decision; nothing in here loads or attaches.

mod dump;
mod entry;
mod error;
mod flight;
mod source;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio::task::JoinSet;

pub(super) use entry::UnitEntry;
pub(super) use error::OpenError;
pub(super) use flight::Flight;
#[cfg(test)]
pub(super) use version::MapFill;
pub(super) use version::{Program, UnitScrape, Version};

use super::collectors::{self, Selection};
use super::loader::Loader;
use crate::config::{Diagnostic, PluginUse};
use crate::link::ServedConfig;
use crate::plugin::Registry;
use crate::rows::check_decoders;

/// One unit's part of a scrape.
pub(super) enum Scraped {
    /// Perhaps shared with other requests.
    Done(Flight<UnitScrape>),
    /// It did not answer in time.
    Late,
}

pub(super) struct Units {
    entries: RwLock<BTreeMap<Arc<str>, Arc<UnitEntry>>>,
    loader: Arc<Loader>,
    /// Something has happened from which another time may follow at which a unit is idle.
    pub(super) changed: Arc<Notify>,
}

impl Units {
    pub(super) fn new(loader: &Arc<Loader>) -> Self {
        Self {
            entries: RwLock::default(),
            loader: Arc::clone(loader),
            changed: Arc::default(),
        }
    }

    /// None: the loader has told of no such unit.
    pub(super) fn get(&self, name: &str) -> Option<Arc<UnitEntry>> {
        self.entries.read().get(name).map(Arc::clone)
    }

    /// The unit of that name, which is made known by this.
    pub(super) fn entry(&self, name: &str) -> Arc<UnitEntry> {
        if let Some(entry) = self.get(name) {
            return entry;
        }
        let name: Arc<str> = name.into();
        let entry = UnitEntry::new(&name, &self.loader, &self.changed);
        Arc::clone(self.entries.write().entry(name).or_insert(Arc::new(entry)))
    }

    /// A unit is gone for good, with everything that is known of it.
    pub(super) fn forget(&self, name: &str) {
        let entry = self.entries.write().remove(name);
        if let Some(entry) = entry {
            entry.forget();
        }
    }

    /// All units, by name.
    pub(super) fn all(&self) -> Vec<Arc<UnitEntry>> {
        self.entries.read().values().map(Arc::clone).collect()
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.entries.read().keys().map(Arc::clone).collect()
    }

    /// Scrapes all units in service that are selected in parallel. A unit that is not done by
    /// `deadline` goes on by itself.
    pub(super) async fn scrape(
        &self,
        deadline: Instant,
        selection: &Selection,
    ) -> Vec<(Arc<UnitEntry>, Scraped)> {
        let mut entries = self.all();
        entries.retain(|entry| selection.has_unit(entry.name()));
        let mut tasks = JoinSet::new();
        for (index, entry) in entries.iter().enumerate() {
            let entry = Arc::clone(entry);
            tasks.spawn_blocking(move || (index, entry.scrape(deadline)));
        }
        let mut scraped: Vec<Option<Scraped>> =
            entries.iter().map(|_| Some(Scraped::Late)).collect();
        let until = tokio::time::Instant::from_std(deadline);
        while let Ok(Some(finished)) = tokio::time::timeout_at(until, tasks.join_next()).await {
            if let Ok((index, result)) = finished
                && let Some(unit_result) = scraped.get_mut(index)
            {
                *unit_result = result;
            }
        }
        // Those that have not begun never do. A walk cannot be cut short: it ends by itself, and
        // its result is for nobody.
        tasks.abort_all();
        tasks.detach_all();
        let named = entries.into_iter().zip(scraped);
        named
            .filter_map(|(entry, scraped)| Some((entry, scraped?)))
            .collect()
    }

    /// Calls `visit` with each version that is served, one after the other.
    fn for_each_served(&self, mut visit: impl FnMut(&Arc<str>, &mut Version)) {
        for entry in self.all() {
            entry.with_served(|version| visit(entry.name(), version));
        }
    }
}

/// Scrapes one unit. None: nothing of it is served.
pub(super) async fn scrape_one(entry: &Arc<UnitEntry>, deadline: Instant) -> Option<Scraped> {
    let entry = Arc::clone(entry);
    let mut scrape = tokio::task::spawn_blocking(move || entry.scrape(deadline));
    let until = tokio::time::Instant::from_std(deadline);
    match tokio::time::timeout_at(until, &mut scrape).await {
        Ok(Ok(scrape)) => scrape,
        // It panicked, which is in the log.
        Ok(Err(_)) => Some(Scraped::Late),
        Err(_) => {
            // If it has not begun it never does.
            scrape.abort();
            Some(Scraped::Late)
        }
    }
}

/// The whole story of a config that is wrong, for people: `diagnostics`, and what only its plugins
/// can tell.
pub(super) fn explain(
    config: &ServedConfig,
    decoders: &[PluginUse],
    mut diagnostics: Vec<Diagnostic>,
    registry: &Registry,
) -> OpenError {
    diagnostics.extend(check_decoders(decoders, registry));
    diagnostics.extend(collectors::check(config, registry));
    diagnostics.sort_by_key(|diagnostic| (diagnostic.at.line, diagnostic.at.column));
    OpenError::Config(diagnostics)
}
