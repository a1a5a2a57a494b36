//! All plugins of the process and which of them offers a name. Plugins come as parts: whoever has
//! the files has read and compiled them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use super::catalogue::Catalogue;
#[cfg(any(test, feature = "test-support"))]
use super::compile::{Compile, InProcess};
use super::component::{self, Plugin};
use super::engine::Engine;
use super::error::LoadError;
use super::grants::PluginPolicy;
use super::session::Session;
use super::stats::{PluginStats, Snapshot};
use crate::digest::Digest;
use crate::kernel::KernelFacts;

/// The plugin that ships inside the binary, built by build.rs from decoders/.
pub(crate) static STANDARD: &[u8] = include_bytes!(env!("STANDARD_PLUGIN"));
pub(crate) const STANDARD_NAME: &str = "standard";

/// What a config asks a plugin for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Decoder,
    Shaper,
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
}

/// What a plugin is made of.
#[derive(Debug)]
pub(crate) struct PluginParts {
    /// The file's name less `.wasm`.
    pub(crate) name: String,
    /// Of the `.wasm`, for messages; a name only for the standard plugin.
    pub(crate) path: PathBuf,
    /// Of the `.wasm`.
    pub(crate) digest: Digest,
    /// The text of its sidecar, where it has one.
    pub(crate) sidecar: Option<Vec<u8>>,
    /// Its compiled code in a sealed memfd, as `Compile` gives it. None: the registry before has a
    /// plugin of this name and digest.
    pub(crate) compiled: Option<OwnedFd>,
}

#[derive(Clone)]
struct Entry {
    plugin: Arc<Plugin>,
    catalogue: Catalogue,
}

impl Registry {
    /// A registry with the standard plugin, compiled in this process.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn new(engine: &Engine, facts: &Arc<KernelFacts>) -> Result<Self, LoadError> {
        let compiled = InProcess.compile(STANDARD_NAME, STANDARD)?;
        let parts = PluginParts::standard(Some(compiled));
        let (registry, mut failed) = Self::empty().rebuilt(engine, facts, vec![parts]);
        match failed.pop() {
            Some((_, error)) => Err(error),
            None => Ok(registry),
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            plugins: BTreeMap::new(),
            decoders: BTreeMap::new(),
            shapers: BTreeMap::new(),
            collectors: BTreeMap::new(),
        }
    }

    /// The registry of these plugins, in this order. Those whose file and sidecar are what they
    /// were are the same ones; of what cannot be used the version that this registry has stays in
    /// service, where there is one, and the reason is given with the path.
    pub(crate) fn rebuilt(
        &self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        parts: Vec<PluginParts>,
    ) -> (Self, Vec<(PathBuf, LoadError)>) {
        let mut next = Self::empty();
        let mut failed = Vec::new();
        for parts in parts {
            let known = self.plugins.get(parts.name.as_str());
            let added = match Entry::of(engine, facts, &parts, known) {
                Ok(entry) => next.add(entry),
                Err(error) => {
                    // The last good version, where there is one.
                    if let Some(known) = known {
                        let _ = next.add(known.clone());
                    }
                    Err(error)
                }
            };
            if let Err(error) = added {
                failed.push((parts.path, error));
            }
        }
        (next, failed)
    }

    /// What each plugin is, its file with its sidecar, by its name.
    pub(crate) fn versions(&self) -> BTreeMap<String, Digest> {
        self.plugins
            .iter()
            .map(|(name, entry)| (name.to_string(), entry.plugin.version()))
            .collect()
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
    #[cfg(test)]
    pub(crate) fn has(&self, session: &Session) -> bool {
        self.has_plugin(session.plugin())
    }

    /// Whether this version of a plugin is the one of this registry.
    #[cfg(test)]
    pub(crate) fn has_plugin(&self, plugin: &Arc<Plugin>) -> bool {
        let current = self.plugins.get(&plugin.name);
        current.is_some_and(|entry| Arc::ptr_eq(&entry.plugin, plugin))
    }

    /// The plugin that offers `name`, and what it calls it. `name` is the bare name, or
    /// `plugin/name`.
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

impl PluginParts {
    /// Those of the plugin inside the binary.
    pub(crate) fn standard(compiled: Option<OwnedFd>) -> Self {
        Self {
            name: STANDARD_NAME.to_owned(),
            path: STANDARD_NAME.into(),
            digest: Digest::of(STANDARD),
            sidecar: None,
            compiled,
        }
    }
}

impl Entry {
    /// `known`: the version before, where there is one.
    fn of(
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        parts: &PluginParts,
        known: Option<&Self>,
    ) -> Result<Self, LoadError> {
        let policy = if parts.name == STANDARD_NAME {
            PluginPolicy::standard()
        } else {
            PluginPolicy::read(&parts.path, parts.sidecar.as_deref())?
        };
        policy.check(parts.digest)?;
        match known {
            Some(known) if known.plugin.digest == parts.digest => Ok(known.under(policy)),
            _ => Self::load(engine, parts, facts, known, policy),
        }
    }

    /// Loads compiled code and asks it what it offers. A new version goes on with its predecessor's
    /// counters.
    fn load(
        engine: &Engine,
        parts: &PluginParts,
        facts: &Arc<KernelFacts>,
        predecessor: Option<&Self>,
        policy: PluginPolicy,
    ) -> Result<Self, LoadError> {
        let PluginParts { name, digest, .. } = parts;
        let compiled = parts.compiled.as_ref().ok_or(LoadError::NoCode)?;
        let component = component::load_compiled(engine, compiled.as_fd())?;
        let mut plugin = Plugin::link(engine, name, *digest, &component, facts)?.under(policy);
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
    fn under(&self, policy: PluginPolicy) -> Self {
        if self.plugin.policy.sidecar == policy.sidecar {
            return self.clone();
        }
        tracing::debug!(plugin = self.plugin.name(), "plugin under other terms");
        Self {
            plugin: Arc::new(self.plugin.under(policy)),
            catalogue: self.catalogue.clone(),
        }
    }
}

fn unknown(kind: &'static str, name: &str, index: &BTreeMap<String, Vec<Arc<str>>>) -> LookupError {
    let hint = crate::near::nearest(name, index.keys().map(String::as_str))
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
