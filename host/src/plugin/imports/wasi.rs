//! WASI 0.2 as far as the runtimes of languages drag it in: there is nothing behind it.

use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::HostState;
use super::log::Lines;
use super::stdio::Printed;
use crate::config::sidecar::Grants;
use crate::plugin::bindings::exporter::plugin::log::Level;

/// No files, no sockets, no arguments, no input: what a language's runtime drags in finds nothing.
/// Variables and the clock are as granted; what is printed becomes lines of the log.
pub(super) fn context(grants: &Grants, lines: &Lines) -> WasiCtx {
    let printed = |level| Printed::new(lines.clone(), level);
    let mut builder = WasiCtxBuilder::new();
    builder
        .max_random_size(64 * 1024)
        .envs(&grants.env)
        .stdout(printed(Level::Info))
        .stderr(printed(Level::Warn));
    if !grants.clock {
        builder.wall_clock(Stopped).monotonic_clock(Stopped);
    }
    builder.build()
}

/// Of a plugin without a clock: it is 1970-01-01 00:00:00 UTC for ever.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// For calls that may wait: the deadline ends them while they do.
pub(super) fn add_async(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// For calls in which nothing may wait.
pub(super) fn add_sync(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<HostState, NeverWait<'static>>(linker, |state| {
        NeverWait(&mut state.table)
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

/// wasi:io/poll without waiting. Epochs cannot end a call that waits inside the host, so nothing
/// may wait there: whatever a guest waits for counts as ready, and one that insists on a time to
/// have passed spins until its CPU limit.
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
