//! WASI 0.2 as far as the runtimes of languages drag it in: there is nothing behind it.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sync::io::poll;
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::HostState;

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
