//! The host's side of everything a component may import, and what a store holds for it.
//!
//! There are two linkers, since a store with one asynchronous import can only be entered
//! asynchronously, which decoders and shapers must not pay for: the synchronous one has `log`,
//! `kernel` and WASI and answers every question of `files` and `net` with `denied`; the
//! asynchronous one, for collectors, has all of it.

mod files;
mod kernel;
mod log;
mod memory;
pub(super) mod net;
mod stdio;
mod wasi;

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiCtx;

use self::log::Lines;
use self::memory::MemoryLimit;
use super::bindings::exporter::plugin as imported;
use super::budget::LogBudget;
use super::capture::LogCapture;
use super::error::LoadError;
use super::grants::{Denials, Interface, PluginPolicy, Waiting};
use super::meter::thread_time;
use super::stats::PluginStats;
use crate::config::sidecar::Grants;
use crate::kernel::KernelFacts;

/// Longest time that one call without a deadline may spend with questions to the host on top of its
/// own: reading all symbols takes a tenth of a second, but a call that asks and asks must end too.
const MAX_HOST_TIME: Duration = Duration::from_secs(1);

/// A call that does not wait, on a busy machine, takes so many times its CPU time at most. Scrapes
/// wait for it.
const MAX_STARVED: u32 = 10;

/// Left to a plugin after whatever it waits for, at most.
const MARGIN: Duration = Duration::from_millis(50);

/// What a store holds for its instance.
pub(super) struct HostState {
    /// Give it to `Store::limiter`.
    pub(super) memory: MemoryLimit,
    /// When the running call began.
    entered: Instant,
    /// The CPU time of its thread then, of a call that does not wait.
    entered_cpu: Duration,
    /// A call that does not wait was ended for its time on the clock: its CPU time, and that one.
    pub(super) starved: Option<(Duration, Duration)>,
    /// A file or a connection has been opened.
    pub(super) has_read: bool,
    /// When the running call has to have ended, if it may wait at all.
    deadline: Instant,
    /// Time that the running call has spent in the host: it is not the plugin's.
    host_time: Duration,
    facts: Arc<KernelFacts>,
    grants: Arc<Grants>,
    denials: Arc<Denials>,
    waiting: Arc<Waiting>,
    /// Most bytes of one file.
    max_input: usize,
    /// Open ones.
    sockets: usize,
    stats: Arc<PluginStats>,
    lines: Lines,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// What the host side of an instance takes over from its plugin.
#[derive(Clone, Copy)]
pub(super) struct HostContext<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) policy: &'a PluginPolicy,
    pub(super) denials: &'a Arc<Denials>,
    pub(super) waiting: &'a Arc<Waiting>,
    pub(super) facts: &'a Arc<KernelFacts>,
    pub(super) log_budget: &'a Arc<LogBudget>,
    pub(super) stats: &'a Arc<PluginStats>,
}

impl HostState {
    /// For one instance. `capture` gets its log lines besides the log.
    pub(super) fn new(plugin: HostContext<'_>, capture: Option<Arc<LogCapture>>) -> Self {
        let lines = Lines {
            plugin: Arc::clone(plugin.name),
            budget: Arc::clone(plugin.log_budget),
            stats: Arc::clone(plugin.stats),
            capture,
        };
        let mut table = ResourceTable::new();
        table.set_max_capacity(256);
        Self {
            memory: MemoryLimit::new(plugin.policy.limits.memory),
            entered: Instant::now(),
            entered_cpu: thread_time(),
            starved: None,
            has_read: false,
            deadline: Instant::now(),
            host_time: Duration::ZERO,
            facts: Arc::clone(plugin.facts),
            grants: Arc::clone(&plugin.policy.grants),
            denials: Arc::clone(plugin.denials),
            waiting: Arc::clone(plugin.waiting),
            max_input: plugin.policy.limits.input(),
            sockets: 0,
            stats: Arc::clone(plugin.stats),
            wasi: wasi::context(&plugin.policy.grants, &lines),
            lines,
            table,
        }
    }

    /// A call begins that does not wait.
    pub(super) fn enter(&mut self) {
        self.entered = Instant::now();
        self.entered_cpu = thread_time();
        self.host_time = Duration::ZERO;
        self.memory.refused = false;
    }

    /// A call begins that may wait in the host. What it asks of `files` and `net` is answered
    /// before `deadline`, with `timeout` if need be; to end the call itself then is up to whoever
    /// enters it, and so is its CPU time.
    pub(super) fn enter_until(&mut self, deadline: Instant) {
        self.enter();
        self.deadline = deadline;
    }

    /// When whatever the plugin waits for has to be answered, so that it has time left to say what
    /// it has.
    fn latest(&self) -> tokio::time::Instant {
        let whole = self.deadline.saturating_duration_since(self.entered);
        let margin = (whole / 10).min(MARGIN);
        (self.deadline - margin).into()
    }

    /// What the running call has left of its CPU time. None: it is used up. For calls that do not
    /// wait.
    pub(super) fn left_of(&mut self, cpu: Duration) -> Option<Duration> {
        let given_back = self.host_time.min(MAX_HOST_TIME);
        let used = thread_time().saturating_sub(self.entered_cpu);
        let own = used.saturating_sub(given_back);
        let elapsed = self.entered.elapsed();
        if own < cpu && elapsed > (cpu * MAX_STARVED).max(MAX_HOST_TIME) {
            self.starved = Some((own, elapsed));
            return None;
        }
        cpu.checked_sub(own).filter(|left| !left.is_zero())
    }

    /// Something was asked for that is not granted.
    fn deny(&self, interface: Interface, thing: &str) {
        self.denials
            .note(&self.lines.plugin, &self.stats, interface, thing);
    }

    /// Whether the running call has had what the host gives it of its own time.
    fn host_time_is_up(&self) -> bool {
        self.host_time > MAX_HOST_TIME
    }

    fn spent_in_host(&mut self, time: Duration) {
        self.host_time += time;
    }
}

/// The imports of decoders and shapers. For a component that exports collectors too, `files` and
/// `net` are there and deny everything.
pub(super) fn linker(engine: &wasmtime::Engine) -> Result<Linker<HostState>, LoadError> {
    build(engine, |linker| {
        wasi::add_sync(linker)?;
        files::add_denied(linker)?;
        net::add_denied(linker)
    })
}

/// The imports of collectors. Their store can only be entered with `call_async`.
pub(super) fn collector_linker(engine: &wasmtime::Engine) -> Result<Linker<HostState>, LoadError> {
    build(engine, |linker| {
        wasi::add_async(linker)?;
        imported::files::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
        imported::net::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)
    })
}

fn build(
    engine: &wasmtime::Engine,
    add: impl FnOnce(&mut Linker<HostState>) -> wasmtime::Result<()>,
) -> Result<Linker<HostState>, LoadError> {
    let mut linker = Linker::new(engine);
    let add = |linker: &mut Linker<HostState>| {
        imported::log::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
        imported::kernel::add_to_linker::<_, HasSelf<HostState>>(linker, |state| state)?;
        add(linker)
    };
    add(&mut linker).map_err(LoadError::engine)?;
    Ok(linker)
}

impl imported::types::Host for HostState {}
