//! Plugin files as `exporter-host plugin` sees them: looked at one by one, used without a unit.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::compile::Compile;
use super::component::{self, Offers, Plugin};
use super::engine::Engine;
use super::error::LoadError;
use super::grants::PluginPolicy;
use super::registry::{STANDARD, STANDARD_NAME};
use super::session::Session;
use crate::digest::Digest;
use crate::kernel::KernelFacts;

/// Where a plugin is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Location<'a> {
    /// Inside the binary.
    Standard,
    File(&'a Path),
}

/// What can be said of a plugin file, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) name: String,
    /// In bytes. None: the file cannot be read.
    pub(crate) size: Option<usize>,
    pub(crate) digest: Option<Digest>,
    /// By their names in the component, e.g. `exporter:plugin/log@0.1.0`.
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) offers: Offers,
    /// What its sidecar grants it, one thing a line.
    pub(crate) granted: Vec<String>,
    /// Its limits, one a line.
    pub(crate) limits: Vec<String>,
    /// Why the host would leave it out.
    pub(crate) diagnostic: Option<LoadError>,
}

/// A plugin that can be called.
pub(crate) struct Tool {
    plugin: Arc<Plugin>,
    pub(crate) offers: Offers,
}

// === impl Location ===

impl Location<'_> {
    /// What the plugin is called: its file's name less `.wasm`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Standard => STANDARD_NAME.to_owned(),
            Self::File(path) => {
                let stem = path.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, LoadError> {
        match self {
            Self::Standard => Ok(STANDARD.to_vec()),
            Self::File(path) => component::read(path),
        }
    }

    fn policy(&self) -> Result<PluginPolicy, LoadError> {
        match self {
            Self::Standard => Ok(PluginPolicy::standard()),
            Self::File(path) => PluginPolicy::load_for(path),
        }
    }
}

// === impl Inspection ===

impl Inspection {
    /// Has the component compiled and asks it what it offers, within the usual limits.
    pub(crate) fn of(
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        compile: &dyn Compile,
        location: Location<'_>,
    ) -> Self {
        let mut inspection = Self {
            name: location.name(),
            size: None,
            digest: None,
            imports: Vec::new(),
            exports: Vec::new(),
            offers: Offers::default(),
            granted: Vec::new(),
            limits: Vec::new(),
            diagnostic: None,
        };
        inspection.diagnostic = inspection.fill(engine, facts, compile, location).err();
        inspection
    }

    /// Fills in what it can, up to the first thing that is wrong.
    fn fill(
        &mut self,
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        compile: &dyn Compile,
        location: Location<'_>,
    ) -> Result<(), LoadError> {
        let bytes = location.bytes()?;
        self.size = Some(bytes.len());
        let digest = Digest::of(&bytes);
        self.digest = Some(digest);
        let policy = location.policy()?;
        self.granted = policy.grant_lines();
        self.limits = policy.limit_lines();
        policy.check(digest)?;
        let compiled = compile.compile(&self.name, &bytes)?;
        let component = component::load_compiled(engine, compiled.as_fd())?;
        (self.imports, self.exports) = interfaces(engine, &component);
        let plugin =
            Plugin::link(engine, &self.name, digest, &component, facts)?.with_policy(policy);
        self.offers = plugin.offers()?;
        Ok(())
    }

    /// The version of exporter:plugin that it was built for.
    pub(crate) fn interface_version(&self) -> Option<&str> {
        let mut ours = self.exports.iter().chain(&self.imports);
        ours.find_map(|name| name.strip_prefix("exporter:plugin/")?.split_once('@'))
            .map(|(_, version)| version)
    }
}

/// The names of imported and exported interfaces and functions.
fn interfaces(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let kind = component.component_type();
    let names = |items: &mut dyn Iterator<Item = (String, ComponentItem)>| -> Vec<String> {
        items
            .filter(|(_, item)| {
                matches!(
                    item,
                    ComponentItem::ComponentInstance(_) | ComponentItem::ComponentFunc(_)
                )
            })
            .map(|(name, _)| name)
            .collect()
    };
    let imports = kind.imports(engine.inner());
    let imports = names(&mut imports.map(|(name, item)| (name.to_owned(), item.ty)));
    let exports = kind.exports(engine.inner());
    let exports = names(&mut exports.map(|(name, item)| (name.to_owned(), item.ty)));
    (imports, exports)
}

// === impl Tool ===

impl Tool {
    /// A plugin with its grants and limits as the host would load it.
    pub(crate) fn load(
        engine: &Engine,
        facts: &Arc<KernelFacts>,
        compile: &dyn Compile,
        location: Location<'_>,
    ) -> Result<Self, LoadError> {
        let (name, bytes) = (location.name(), location.bytes()?);
        let policy = location.policy()?;
        let digest = Digest::of(&bytes);
        policy.check(digest)?;
        let compiled = compile.compile(&name, &bytes)?;
        let component = component::load_compiled(engine, compiled.as_fd())?;
        let plugin = Plugin::link(engine, &name, digest, &component, facts)?.with_policy(policy);
        let offers = plugin.offers()?;
        Ok(Self {
            plugin: Arc::new(plugin),
            offers,
        })
    }

    pub(crate) fn name(&self) -> &str {
        self.plugin.name()
    }

    pub(crate) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// A use of the plugin of its own, with no instance yet.
    pub(crate) fn session(&self) -> Session {
        Session::new(Arc::clone(&self.plugin))
    }

    /// Largest linear memory that an instance has had so far, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.plugin.stats.snapshot().memory_high_water
    }
}
