//! All plugins of the process and which of them offers a name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::component::{self, Catalogue, Plugin};
use super::engine::Engine;
use super::error::LoadError;
use super::grants::Terms;
use super::session::Session;
use super::stats::{PluginStats, Snapshot};
use crate::config::sidecar;
use crate::digest::Digest;
use crate::kernel::KernelFacts;

/// The plugin that ships inside the binary, built by build.rs from decoders/.
pub(super) static STANDARD: &[u8] = include_bytes!(env!("STANDARD_PLUGIN"));
pub(crate) const STANDARD_NAME: &str = "standard";

/// What a config asks a plugin for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Decoder,
    Shaper,
    #[allow(dead_code, reason = "no unit has collectors yet")]
    Collector,
}

/// A name that leads to no plugin, or to several.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("no plugin offers the {kind} `{name}`{hint}; there are: {known}")]
    Unknown {
        kind: &'static str,
        name: String,
        hint: String,
        known: String,
    },
    #[error("the {kind} `{name}` is offered by several plugins: write {choices}")]
    Ambiguous {
        kind: &'static str,
        name: String,
        choices: String,
    },
}

pub(crate) struct Registry {
    plugins: BTreeMap<Arc<str>, Entry>,
    decoders: BTreeMap<String, Vec<Arc<str>>>,
    shapers: BTreeMap<String, Vec<Arc<str>>>,
    collectors: BTreeMap<String, Vec<Arc<str>>>,
    /// Sidecars that belong to no plugin, which has been said.
    strays: Vec<String>,
}

#[derive(Clone)]
struct Entry {
    plugin: Arc<Plugin>,
    catalogue: Catalogue,
}

impl Registry {
    /// A registry with the standard plugin.
    pub(crate) fn new(engine: &Engine, facts: &Arc<KernelFacts>) -> Result<Self, LoadError> {
        let mut registry = Self::empty();
        let terms = Terms::standard();
        registry.add(Entry::load(
            engine,
            STANDARD_NAME,
            STANDARD,
            facts,
            None,
            terms,
        )?)?;
        Ok(registry)
    }

    fn empty() -> Self {
        Self {
            plugins: BTreeMap::new(),
            decoders: BTreeMap::new(),
            shapers: BTreeMap::new(),
            collectors: BTreeMap::new(),
            strays: Vec::new(),
        }
    }

    /// Loads every `*.wasm` of a directory, each under the terms of its sidecar, in the order of their names. What cannot be used is reported and left out.
    pub(crate) fn load_directory(
        &mut self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        directory: &Path,
    ) -> io::Result<Vec<(PathBuf, LoadError)>> {
        self.load_files(engine, facts, directory, &Self::empty())
    }

    /// The registry of the same directories as they are now. Plugins whose files and sidecars have not changed are the same ones; of a file that cannot be
    /// used now the version that this registry has stays in service.
    pub(crate) fn successor(
        &self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        directories: &[&Path],
    ) -> io::Result<(Self, Vec<(PathBuf, LoadError)>)> {
        let mut next = Self::empty();
        let mut failed = Vec::new();
        if let Some(standard) = self.plugins.get(STANDARD_NAME) {
            // It was added to this registry, so it can be added to that one.
            let _ = next.add(standard.clone());
        }
        for directory in directories {
            failed.extend(next.load_files(engine, facts, directory, self)?);
        }
        Ok((next, failed))
    }

    fn load_files(
        &mut self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        directory: &Path,
        previous: &Self,
    ) -> io::Result<Vec<(PathBuf, LoadError)>> {
        let mut failed = Vec::new();
        for stray in sidecar::strays(directory)? {
            let text = stray.to_string();
            if !previous.strays.contains(&text) && !self.strays.contains(&text) {
                tracing::warn!("{text}");
            }
            self.strays.push(text);
        }
        for path in plugin_files(directory)? {
            let stem = path.file_stem().unwrap_or_default();
            let name = stem.to_string_lossy().into_owned();
            let known = previous.plugins.get(name.as_str());
            let loaded = component::read(&path).and_then(|bytes| {
                let terms = Terms::beside(&path)?;
                let digest = Digest::of(&bytes);
                terms.check(digest)?;
                match known {
                    Some(known) if known.plugin.digest == digest => Ok(known.under(terms)),
                    _ => Entry::load(engine, &name, &bytes, facts, known, terms),
                }
            });
            let added = match loaded {
                Ok(entry) => self.add(entry),
                Err(error) => {
                    // The last good version, where there is one.
                    if let Some(known) = known {
                        let _ = self.add(known.clone());
                    }
                    Err(error)
                }
            };
            if let Err(error) = added {
                failed.push((path, error));
            }
        }
        Ok(failed)
    }

    fn add(&mut self, entry: Entry) -> Result<(), LoadError> {
        let name = Arc::clone(&entry.plugin.name);
        if self.plugins.contains_key(&name) {
            return Err(LoadError::NameTaken(name.to_string()));
        }
        for (offered, index) in [
            (&entry.catalogue.decoders, &mut self.decoders),
            (&entry.catalogue.shapers, &mut self.shapers),
            (&entry.catalogue.collectors, &mut self.collectors),
        ] {
            for offer in offered {
                let owners = index.entry(offer.clone()).or_default();
                if !owners.contains(&name) {
                    owners.push(Arc::clone(&name));
                }
            }
        }
        self.plugins.insert(name, entry);
        Ok(())
    }

    /// Whether a session's plugin is still the one of this registry.
    pub(crate) fn has(&self, session: &Session) -> bool {
        self.has_plugin(session.plugin())
    }

    /// Whether this version of a plugin is the one of this registry.
    pub(crate) fn has_plugin(&self, plugin: &Arc<Plugin>) -> bool {
        let current = self.plugins.get(&plugin.name);
        current.is_some_and(|entry| Arc::ptr_eq(&entry.plugin, plugin))
    }

    /// The plugin that offers `name`, and what it calls it. `name` is the bare name, or `plugin/name`.
    pub(crate) fn find<'a>(
        &self,
        offer: Offer,
        name: &'a str,
    ) -> Result<(&Arc<Plugin>, &'a str), LookupError> {
        let (index, kind) = match offer {
            Offer::Decoder => (&self.decoders, "decoder"),
            Offer::Shaper => (&self.shapers, "shaper"),
            Offer::Collector => (&self.collectors, "collector"),
        };
        let (wanted, bare) = match name.split_once('/') {
            Some((plugin, bare)) => (Some(plugin), bare),
            None => (None, name),
        };
        let owners = index.get(bare).map(Vec::as_slice).unwrap_or_default();
        let owners: Vec<&Arc<str>> = owners
            .iter()
            .filter(|owner| wanted.is_none_or(|wanted| ***owner == *wanted))
            .collect();
        match owners.as_slice() {
            [owner] => self
                .plugins
                .get(*owner)
                .map(|entry| (&entry.plugin, bare))
                .ok_or_else(|| unknown(kind, name, index)),
            [] => Err(unknown(kind, name, index)),
            several => {
                let choices: Vec<String> = several
                    .iter()
                    .map(|owner| format!("`{owner}/{bare}`"))
                    .collect();
                Err(LookupError::Ambiguous {
                    kind,
                    name: name.to_owned(),
                    choices: choices.join(" or "),
                })
            }
        }
    }

    /// A session with the plugin of that name.
    pub(crate) fn session(&self, plugin: &Arc<Plugin>) -> Session {
        Session::new(Arc::clone(plugin))
    }

    /// Every plugin's name and cost.
    pub(crate) fn stats(&self) -> Vec<(Arc<str>, Snapshot)> {
        self.plugins
            .iter()
            .map(|(name, entry)| (Arc::clone(name), PluginStats::snapshot(&entry.plugin.stats)))
            .collect()
    }
}

impl Entry {
    /// Compiles a component and asks it what it offers. A new version goes on with its predecessor's counters.
    fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        facts: &Arc<KernelFacts>,
        predecessor: Option<&Self>,
        terms: Terms,
    ) -> Result<Self, LoadError> {
        let mut plugin = Plugin::load(engine, name, bytes, facts)?.under(terms);
        if let Some(predecessor) = predecessor {
            plugin.stats = Arc::clone(&predecessor.plugin.stats);
            // What hangs there still has its threads.
            plugin.waiting = Arc::clone(&predecessor.plugin.waiting);
        }
        let catalogue = plugin.catalogue()?;
        tracing::debug!(
            plugin = name,
            decoders = catalogue.decoders.join(","),
            shapers = catalogue.shapers.join(","),
            collectors = catalogue.collectors.join(","),
            "plugin loaded"
        );
        Ok(Self {
            plugin: Arc::new(plugin),
            catalogue,
        })
    }

    /// The same one if the terms are what they were; otherwise the same component as a new version.
    fn under(&self, terms: Terms) -> Self {
        if self.plugin.terms.sidecar == terms.sidecar {
            return self.clone();
        }
        tracing::debug!(plugin = self.plugin.name(), "plugin under other terms");
        Self {
            plugin: Arc::new(self.plugin.under(terms)),
            catalogue: self.catalogue.clone(),
        }
    }
}

/// The `*.wasm` of a directory, sorted; hidden files are somebody's temporary ones.
pub(crate) fn plugin_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.ends_with(b".wasm") && !name.starts_with(b".") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unknown(kind: &'static str, name: &str, index: &BTreeMap<String, Vec<Arc<str>>>) -> LookupError {
    let hint = crate::config::nearest(name, index.keys().map(String::as_str))
        .map(|near| format!(", did you mean `{near}`?"))
        .unwrap_or_default();
    let known: Vec<&str> = index.keys().map(String::as_str).collect();
    LookupError::Unknown {
        kind,
        name: name.to_owned(),
        hint,
        known: known.join(", "),
    }
}
