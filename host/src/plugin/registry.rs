//! All plugins of the process and which of them offers a name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::component::Plugin;
use super::engine::Engine;
use super::error::LoadError;
use super::session::Session;
use super::stats::{PluginStats, Snapshot};
use crate::kernel::KernelFacts;

/// The plugin that ships inside the binary, built by build.rs from decoders/.
static STANDARD: &[u8] = include_bytes!(env!("STANDARD_PLUGIN"));
const STANDARD_NAME: &str = "standard";

/// What a config asks a plugin for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Decoder,
    Shaper,
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
    plugins: BTreeMap<Arc<str>, Arc<Plugin>>,
    decoders: BTreeMap<String, Vec<Arc<str>>>,
    shapers: BTreeMap<String, Vec<Arc<str>>>,
}

impl Registry {
    /// A registry with the standard plugin.
    pub(crate) fn new(engine: &Engine, facts: &Arc<KernelFacts>) -> Result<Self, LoadError> {
        let mut registry = Self {
            plugins: BTreeMap::new(),
            decoders: BTreeMap::new(),
            shapers: BTreeMap::new(),
        };
        registry.add(Plugin::load(engine, STANDARD_NAME, STANDARD, facts)?)?;
        Ok(registry)
    }

    /// Loads every `*.wasm` of a directory, in the order of their names. What cannot be used is reported and left out.
    pub(crate) fn load_directory(
        &mut self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        directory: &Path,
    ) -> std::io::Result<Vec<(PathBuf, LoadError)>> {
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            let hidden = path
                .file_name()
                .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
                && !hidden
            {
                files.push(path);
            }
        }
        files.sort();
        let mut failed = Vec::new();
        for path in files {
            let name = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default();
            let loaded =
                Plugin::load_file(engine, &name, &path, facts).and_then(|plugin| self.add(plugin));
            if let Err(error) = loaded {
                failed.push((path, error));
            }
        }
        Ok(failed)
    }

    fn add(&mut self, plugin: Plugin) -> Result<(), LoadError> {
        let catalogue = plugin.catalogue()?;
        let name = Arc::clone(&plugin.name);
        tracing::debug!(
            plugin = &*name,
            decoders = catalogue.decoders.join(","),
            shapers = catalogue.shapers.join(","),
            "plugin loaded"
        );
        for (offered, index) in [
            (catalogue.decoders, &mut self.decoders),
            (catalogue.shapers, &mut self.shapers),
        ] {
            for entry in offered {
                let owners = index.entry(entry).or_default();
                if !owners.contains(&name) {
                    owners.push(Arc::clone(&name));
                }
            }
        }
        self.plugins.insert(name, Arc::new(plugin));
        Ok(())
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
                .map(|plugin| (plugin, bare))
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
            .map(|(name, plugin)| (Arc::clone(name), PluginStats::snapshot(&plugin.stats)))
            .collect()
    }
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
