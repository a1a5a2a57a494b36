//! What a store holds for its instance: the memory limit, the inert WASI context and the host's side of the imports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::exporter::plugin::{kernel, log, types};
use super::budget::LogBudget;
use super::error::LoadError;
use crate::kernel::{KernelFacts, PciKind, machine};

/// Longest log line taken from a plugin, in bytes.
const MAX_LOG_LINE: usize = 4096;

/// Longest time that one call may spend with questions to the host on top of its own: reading all symbols takes a tenth of a second, but a
/// call that asks and asks must end too.
const MOST_HOST_TIME: Duration = Duration::from_secs(1);

pub(super) struct HostState {
    pub(super) memory: MemoryLimit,
    /// When the running call began.
    entered: Instant,
    /// Time that the running call has spent in the host: it is not the plugin's.
    host_time: Duration,
    plugin: Arc<str>,
    facts: Arc<KernelFacts>,
    log_budget: Arc<LogBudget>,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl HostState {
    pub(super) fn new(
        plugin: Arc<str>,
        facts: Arc<KernelFacts>,
        log_budget: Arc<LogBudget>,
        memory: usize,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(256);
        // No files, no sockets, no environment, no arguments, no input: what a language's runtime drags in finds nothing.
        let wasi = WasiCtxBuilder::new().max_random_size(64 * 1024).build();
        Self {
            memory: MemoryLimit::new(memory),
            entered: Instant::now(),
            host_time: Duration::ZERO,
            plugin,
            facts,
            log_budget,
            wasi,
            table,
        }
    }
}

impl HostState {
    /// A call begins.
    pub(super) fn enter(&mut self) {
        self.entered = Instant::now();
        self.host_time = Duration::ZERO;
        self.memory.refused = false;
    }

    /// What the running call has left of its CPU time. None: it is used up.
    pub(super) fn left_of(&self, cpu: Duration) -> Option<Duration> {
        let given_back = self.host_time.min(MOST_HOST_TIME);
        let own = self.entered.elapsed().saturating_sub(given_back);
        cpu.checked_sub(own).filter(|left| !left.is_zero())
    }

    /// Asks for facts on the host's own time.
    fn ask<T>(&mut self, question: impl FnOnce(&KernelFacts) -> T) -> T {
        let started = Instant::now();
        let answer = question(&self.facts);
        self.host_time += started.elapsed();
        answer
    }
}

/// The imports that decoders and shapers may have.
pub(super) fn linker(engine: &wasmtime::Engine) -> Result<Linker<HostState>, LoadError> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(LoadError::engine)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<HostState, NeverWait<'static>>(&mut linker, |state| {
        NeverWait(&mut state.table)
    })
    .map_err(LoadError::engine)?;
    linker.allow_shadowing(false);
    log::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)
        .map_err(LoadError::engine)?;
    kernel::add_to_linker::<_, HasSelf<HostState>>(&mut linker, |state| state)
        .map_err(LoadError::engine)?;
    Ok(linker)
}

/// wasi:io/poll without waiting. Epochs cannot end a call that waits inside the host, so nothing may wait there: whatever a guest waits for
/// counts as ready, and one that insists on a time to have passed spins until its CPU limit.
struct NeverWait<'a>(&'a mut ResourceTable);

impl HasData for NeverWait<'static> {
    type Data<'a> = NeverWait<'a>;
}

impl poll::Host for NeverWait<'_> {
    fn poll(&mut self, waited_for: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        Ok((0..u32::try_from(waited_for.len())?).collect())
    }
}

impl poll::HostPollable for NeverWait<'_> {
    fn ready(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _: Resource<DynPollable>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.0, pollable)
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for HostState {}

impl log::Host for HostState {
    fn write(&mut self, level: log::Level, message: String) {
        // Lines that nobody will see must not use up the budget of those that count.
        let wanted = match level {
            log::Level::Error => tracing::enabled!(tracing::Level::ERROR),
            log::Level::Warn => tracing::enabled!(tracing::Level::WARN),
            log::Level::Info => tracing::enabled!(tracing::Level::INFO),
            log::Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            log::Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        };
        if !wanted {
            return;
        }
        let Some(suppressed) = self.log_budget.take() else {
            return;
        };
        let mut end = message.len().min(MAX_LOG_LINE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        // A plugin must not be able to forge log lines.
        let message = message[..end].escape_debug().to_string();
        let plugin = &*self.plugin;
        match level {
            log::Level::Error => tracing::error!(plugin, suppressed, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, suppressed, "{message}"),
            log::Level::Info => tracing::info!(plugin, suppressed, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, suppressed, "{message}"),
            log::Level::Trace => tracing::trace!(plugin, suppressed, "{message}"),
        }
    }
}

impl kernel::Host for HostState {
    fn symbols(&mut self, addresses: Vec<u64>) -> Vec<Option<kernel::KernelSymbol>> {
        let symbols = self.ask(|facts| facts.symbols(&addresses));
        symbols
            .into_iter()
            .map(|found| {
                found.map(|symbol| kernel::KernelSymbol {
                    name: symbol.name,
                    offset: symbol.offset,
                })
            })
            .collect()
    }

    fn cgroup_paths(&mut self, ids: Vec<u64>) -> Vec<Option<String>> {
        self.ask(|facts| facts.cgroup_paths(&ids))
    }

    fn interface_names(&mut self, indexes: Vec<u32>) -> Vec<Option<String>> {
        self.ask(|facts| facts.interface_names(&indexes))
    }

    fn block_devices(&mut self, devices: Vec<u32>) -> Vec<Option<String>> {
        self.ask(|facts| facts.block_devices(&devices))
    }

    fn machine(&mut self) -> String {
        machine().to_owned()
    }

    fn pci_names(&mut self, kind: kernel::PciKind, ids: Vec<u32>) -> Option<Vec<Option<String>>> {
        let kind = match kind {
            kernel::PciKind::Vendor => PciKind::Vendor,
            kernel::PciKind::Device => PciKind::Device,
            kernel::PciKind::Class => PciKind::Class,
            kernel::PciKind::Subclass => PciKind::Subclass,
        };
        self.ask(|facts| facts.pci_names(kind, &ids))
    }
}

/// Bounds the sum of all linear memories of a store, and the entries of its tables.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    /// A growth was refused: what follows is likely an abort, and this is why.
    pub(super) refused: bool,
}

/// Function references are 16 bytes; the largest known guest (CPython) has about 30,000.
const MAX_TABLE_ELEMENTS: usize = 100_000;

impl MemoryLimit {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            refused: false,
        }
    }

    /// Bytes of linear memory in use now. It never shrinks.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_of_one_store_share_the_limit() {
        let mut limit = MemoryLimit::new(100);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(
            !limit.memory_growing(0, 60, None).unwrap(),
            "a second memory must not double the limit"
        );
        assert!(limit.refused);
        assert!(limit.memory_growing(0, 40, None).unwrap());
        assert_eq!(limit.used(), 100);
    }
}
