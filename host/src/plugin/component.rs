//! One plugin: its file read, its compiled code loaded and linked, ready to be instantiated.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use super::bindings::exports::exporter::plugin::{collecting, decoding, shaping, uniform_shaping};
use super::budget::LogBudget;
use super::call_permits::CallPermits;
use super::capture::LogCapture;
use super::diagnosis::Interfaces;
use super::engine::Engine;
use super::error::LoadError;
use super::grants::{Denials, PluginPolicy, Waiting};
use super::guard::guarded;
use super::imports::{self, HostContext, HostState};
use super::stats::PluginStats;
use crate::bounded_file::{self, FileError};
use crate::digest::Digest;
use crate::kernel::KernelFacts;
use crate::link::check_sealed;

/// Largest plugin file, in bytes: CPython inside a component takes 18 MiB.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// Most bytes of compiled code. CPython takes 34 MiB.
pub(crate) const MAX_COMPILED: usize = 512 << 20;

/// A loaded plugin.
pub(crate) struct Plugin {
    pub(super) name: Arc<str>,
    /// Of the file.
    pub(super) digest: Digest,
    /// For decoders and shapers, and to ask for every catalogue.
    pub(super) pre: InstancePre<HostState>,
    pub(super) decoding: Option<decoding::GuestIndices>,
    pub(super) shaping: Option<shaping::GuestIndices>,
    pub(super) uniform: Option<uniform_shaping::GuestIndices>,
    pub(super) collecting: Option<CollectorPre>,
    /// What it may reach and use.
    pub(super) policy: PluginPolicy,
    pub(super) denials: Arc<Denials>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) call_permits: Arc<CallPermits>,
    pub(super) facts: Arc<KernelFacts>,
    pub(super) log_budget: Arc<LogBudget>,
    pub(super) stats: Arc<PluginStats>,
}

/// One thing that a plugin offers, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) name: String,
    pub(crate) summary: String,
    /// A JSON schema, or empty.
    pub(crate) options_schema: String,
}

/// What a component that exports `collecting` is made and entered through.
#[derive(Clone)]
pub(super) struct CollectorPre {
    /// Linked with `files` and `net`: `instantiate_async` only.
    pub(super) pre: InstancePre<HostState>,
    pub(super) indices: collecting::GuestIndices,
    /// `catalogue` in the synchronous instance: it has nothing to wait for.
    pub(super) catalogue: ComponentExportIndex,
}

/// What a plugin offers, by its own catalogue.
#[derive(Debug, Default, Clone)]
pub(crate) struct Offers {
    pub(crate) decoders: Vec<Offered>,
    pub(crate) shapers: Vec<Offered>,
    pub(crate) collectors: Vec<Offered>,
}

impl Offers {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Offered> {
        let Self {
            decoders,
            shapers,
            collectors,
        } = self;
        decoders.iter().chain(shapers).chain(collectors)
    }
}

impl Plugin {
    /// Links a component, to which nothing is granted. `name`: what it is called in logs, metrics
    /// and `plugin/decoder` names; `digest`: of the file that it was compiled from.
    pub(super) fn link(
        engine: &Engine,
        name: &str,
        digest: Digest,
        component: &Component,
        facts: &Arc<KernelFacts>,
    ) -> Result<Self, LoadError> {
        guarded(|| Self::link_unguarded(engine.inner(), name, digest, component, facts))
            .map_err(LoadError::Compiler)?
    }

    fn link_unguarded(
        engine: &wasmtime::Engine,
        name: &str,
        digest: Digest,
        component: &Component,
        facts: &Arc<KernelFacts>,
    ) -> Result<Self, LoadError> {
        let exports = Interfaces::of(component, engine)?;
        let pre = imports::linker(engine)?
            .instantiate_pre(component)
            .map_err(wrong_import)?;
        let decoding = exports
            .has("decoding")
            .then(|| decoding::GuestIndices::new(&pre))
            .transpose()
            .map_err(wrong_export)?;
        let shaping = exports
            .has("shaping")
            .then(|| shaping::GuestIndices::new(&pre))
            .transpose()
            .map_err(wrong_export)?;
        let uniform = exports
            .has("uniform-shaping")
            .then(|| uniform_shaping::GuestIndices::new(&pre))
            .transpose()
            .map_err(wrong_export)?;
        let collecting = exports
            .full_name("collecting")
            .map(|interface| CollectorPre::new(engine, component, interface))
            .transpose()?;
        Ok(Self {
            name: name.into(),
            digest,
            pre,
            decoding,
            shaping,
            uniform,
            collecting,
            policy: PluginPolicy::none(),
            denials: Arc::default(),
            waiting: Arc::default(),
            call_permits: Arc::new(CallPermits::new(None)),
            facts: Arc::clone(facts),
            log_budget: Arc::new(LogBudget::new()),
            stats: Arc::default(),
        })
    }

    /// The same plugin under other terms. `PluginPolicy::check` is up to whoever has them.
    pub(super) fn with_policy(&self, policy: PluginPolicy) -> Self {
        Self {
            name: Arc::clone(&self.name),
            digest: self.digest,
            pre: self.pre.clone(),
            decoding: self.decoding.clone(),
            shaping: self.shaping.clone(),
            uniform: self.uniform.clone(),
            collecting: self.collecting.clone(),
            call_permits: Arc::new(CallPermits::new(policy.limits.instances)),
            policy,
            denials: Arc::default(),
            waiting: Arc::clone(&self.waiting),
            facts: Arc::clone(&self.facts),
            log_budget: Arc::clone(&self.log_budget),
            stats: Arc::clone(&self.stats),
        }
    }

    /// What a store holds for one instance, made with either linker. `capture` gets its log lines
    /// besides the log.
    pub(super) fn host_state(&self, capture: Option<Arc<LogCapture>>) -> HostState {
        let context = HostContext {
            name: &self.name,
            policy: &self.policy,
            denials: &self.denials,
            waiting: &self.waiting,
            facts: &self.facts,
            log_budget: &self.log_budget,
            stats: &self.stats,
        };
        HostState::new(context, capture)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Of the component's file, and of its sidecar if it has one.
    pub(crate) fn version(&self) -> Digest {
        self.digest.with(self.policy.sidecar)
    }
}

/// Compiles, loads and links a component, as the parts of the host do it together.
#[cfg(test)]
impl Plugin {
    pub(super) fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        facts: &Arc<KernelFacts>,
    ) -> Result<Self, LoadError> {
        use std::os::fd::AsFd;
        let code = super::compile::compile(bytes)?;
        let code = crate::link::sealed(name, &code).map_err(LoadError::Read)?;
        let component = load_compiled(engine, code.as_fd())?;
        Self::link(engine, name, Digest::of(bytes), &component, facts)
    }
}

/// The component that compiled code in a sealed memfd is of. `compiled` has to come from `Compile`,
/// by whichever process; what is not sealed, too large, or another engine's is refused.
#[expect(unsafe_code, reason = "compiled code is trusted to be code")]
pub(super) fn load_compiled(
    engine: &Engine,
    compiled: BorrowedFd<'_>,
) -> Result<Component, LoadError> {
    check_sealed(compiled, MAX_COMPILED).map_err(|error| LoadError::BadCode(error.to_string()))?;
    let path = format!("/proc/self/fd/{}", compiled.as_raw_fd());
    guarded(|| {
        // SAFETY: the bytes were written by `compile` of this same binary (a cache that holds them
        // belongs to this user alone), and wasmtime checks that they are its own format, of this
        // engine's version and settings. The file is mapped, and nobody can change it: it has all
        // seals.
        unsafe { Component::deserialize_file(engine.inner(), path) }
    })
    .map_err(LoadError::Compiler)?
    .map_err(|error| LoadError::BadCode(format!("{error:#}")))
}

impl CollectorPre {
    /// `interface`: the name under which the component exports `collecting`.
    fn new(
        engine: &wasmtime::Engine,
        component: &Component,
        interface: &str,
    ) -> Result<Self, LoadError> {
        let pre = imports::collector_linker(engine)?
            .instantiate_pre(component)
            .map_err(wrong_import)?;
        let indices = collecting::GuestIndices::new(&pre).map_err(wrong_export)?;
        let interface = component.get_export_index(None, interface);
        let catalogue = component
            .get_export_index(interface.as_ref(), "catalogue")
            .ok_or_else(|| LoadError::Export("`collecting` has no `catalogue`".to_owned()))?;
        Ok(Self {
            pre,
            indices,
            catalogue,
        })
    }
}

fn wrong_import(error: wasmtime::Error) -> LoadError {
    LoadError::Import(format!("{error:#}"))
}

fn wrong_export(error: wasmtime::Error) -> LoadError {
    LoadError::Export(format!("{error:#}"))
}

/// The bytes of a plugin's file, which has not more than a plugin may have.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    bounded_file::read(path, MAX_FILE).map_err(|error| match error {
        FileError::Io(error) => LoadError::Read(error),
        FileError::NotRegular => LoadError::NoFile,
        FileError::TooLarge { found, limit } => LoadError::TooLarge { found, limit },
    })
}
