//! One live instance in a store of its own, and the rules of every call into it: a deadline, a
//! memory limit, an output limit, and no second chance after an error.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::TypedFunc;
use wasmtime::{Store, Trap, UpdateDeadline};

use super::bindings::exporter::plugin::types::Description;
use super::bindings::exports::exporter::plugin::{decoding, shaping, uniform_shaping};
use super::cells::Cells;
use super::component::{Offered, Offers, Plugin};
use super::engine::{Ticking, epochs};
use super::error::{CallError, OpenError};
use super::grants::Limits;
use super::guard::guarded;
use super::imports::HostState;
use super::stats::PluginStats;
use super::world::{self, Decoded, NumberSource, Placed, Placement, ShapeLimits, ShapedFamily};

pub(super) struct Instance {
    store: Store<HostState>,
    decoding: Option<decoding::Guest>,
    shaping: Option<shaping::Guest>,
    uniform: Option<uniform_shaping::Guest>,
    collectors: Option<CollectorCatalogue>,
    limits: Limits,
    stats: Arc<PluginStats>,
}

/// The one function of `collecting` that can be called here.
type CollectorCatalogue = TypedFunc<(), (Vec<Description>,)>;

/// The interfaces that the instance exports.
struct Exports<'a> {
    decoding: Option<&'a decoding::Guest>,
    shaping: Option<&'a shaping::Guest>,
    uniform: Option<&'a uniform_shaping::Guest>,
}

/// What `open` of a shaper gave.
pub(super) struct OpenedShaper {
    pub(super) handle: u32,
    pub(super) families: Vec<ShapedFamily>,
    pub(super) numbers: Vec<NumberSource>,
}

impl Instance {
    /// A new store with a new instance. Runs the component's start code within its limits.
    pub(super) fn new(plugin: &Plugin) -> Result<Self, CallError> {
        let limits = plugin.policy.limits;
        let mut store = Store::new(plugin.pre.engine(), plugin.host_state(None));
        store.limiter(|state| &mut state.memory);
        store.set_max_component_handles(256);
        // Epochs are wall time: what of it the host, or others, took is given back.
        store.epoch_deadline_callback(move |mut context| {
            match context.data_mut().left_of(limits.cpu) {
                Some(left) => Ok(UpdateDeadline::Continue(epochs(left))),
                None => Err(Trap::Interrupt.into()),
            }
        });
        store.set_epoch_deadline(epochs(limits.cpu));
        store.set_hostcall_fuel(limits.output);
        let _ticking = Ticking::start();
        let make = || -> wasmtime::Result<_> {
            let instance = plugin.pre.instantiate(&mut store)?;
            let decoding = plugin
                .decoding
                .as_ref()
                .map(|indices| indices.load(&mut store, &instance))
                .transpose()?;
            let shaping = plugin
                .shaping
                .as_ref()
                .map(|indices| indices.load(&mut store, &instance))
                .transpose()?;
            let uniform = plugin
                .uniform
                .as_ref()
                .map(|indices| indices.load(&mut store, &instance))
                .transpose()?;
            let collectors = plugin
                .collecting
                .as_ref()
                .map(|collecting| instance.get_typed_func(&mut store, collecting.catalogue))
                .transpose()?;
            Ok((decoding, shaping, uniform, collectors))
        };
        match unharmed(make) {
            Ok((decoding, shaping, uniform, collectors)) => Ok(Self {
                store,
                decoding,
                shaping,
                uniform,
                collectors,
                limits,
                stats: Arc::clone(&plugin.stats),
            }),
            Err(error) => {
                let error = match classify(&error, &store, limits) {
                    CallError::Trap(detail) | CallError::Malformed(detail) => {
                        CallError::Instantiate(detail)
                    }
                    other => other,
                };
                plugin.stats.failed(&error);
                Err(error)
            }
        }
    }

    pub(super) fn offers(&mut self) -> Result<Offers, CallError> {
        let mut offers = Offers::default();
        if self.decoding.is_some() {
            let offered = self.call(0, |store, exports| {
                exports.decoding()?.call_catalogue(store)
            })?;
            offers.decoders = offered.into_iter().map(offered_by).collect();
        }
        if self.shaping.is_some() {
            let offered =
                self.call(0, |store, exports| exports.shaping()?.call_catalogue(store))?;
            offers.shapers = offered.into_iter().map(offered_by).collect();
        }
        if let Some(collectors) = self.collectors {
            let (offered,) = self.call(0, |store, _| collectors.call(store, ()))?;
            offers.collectors = offered.into_iter().map(offered_by).collect();
        }
        Ok(offers)
    }

    pub(super) fn open_decoder(&mut self, name: &str, options: &str) -> Result<u32, OpenError> {
        self.call(0, |store, exports| {
            exports.decoding()?.call_open(store, name, options)
        })?
        .map_err(OpenError::Refused)
    }

    pub(super) fn decode(&mut self, handle: u32, input: &Cells) -> Result<Decoded, CallError> {
        let rows = input.len();
        let answer = self.call(rows, |store, exports| {
            let input = decoding::CellsParam {
                bytes: input.bytes(),
                ends: input.ends(),
            };
            exports.decoding()?.call_decode(store, handle, input)
        })?;
        self.checked(world::decoded(answer, rows))
    }

    pub(super) fn open_shaper(
        &mut self,
        name: &str,
        options: &str,
    ) -> Result<OpenedShaper, OpenError> {
        let opened = self
            .call(0, |store, exports| {
                exports.shaping()?.call_open(store, name, options)
            })?
            .map_err(OpenError::Refused)?;
        let (handle, families, numbers) = world::opened(opened)?;
        Ok(OpenedShaper {
            handle,
            families,
            numbers,
        })
    }

    /// Where a shaper that treats all keys alike puts each; none: it wants to be asked.
    pub(super) fn uniform(
        &mut self,
        handle: u32,
        limits: &ShapeLimits,
    ) -> Result<Vec<Placement>, CallError> {
        if self.uniform.is_none() {
            return Ok(Vec::new());
        }
        let answer = self.call(0, |store, exports| {
            let uniform = exports.uniform;
            let uniform = uniform
                .ok_or_else(|| wasmtime::format_err!("it does not export uniform-shaping"))?;
            uniform.call_placements(store, handle)
        })?;
        self.checked(world::uniform(answer, limits))
    }

    pub(super) fn place_rows(
        &mut self,
        handle: u32,
        rows: u32,
        keys: &Cells,
        labels: &[impl Borrow<Cells>],
        limits: &ShapeLimits,
    ) -> Result<Placed, CallError> {
        let answer = self.call(rows as usize, |store, exports| {
            let columns: Vec<_> = labels
                .iter()
                .map(Borrow::borrow)
                .map(|column| shaping::CellsParam {
                    bytes: column.bytes(),
                    ends: column.ends(),
                })
                .collect();
            let keys = shaping::CellsParam {
                bytes: keys.bytes(),
                ends: keys.ends(),
            };
            exports
                .shaping()?
                .call_place(store, handle, rows, keys, &columns)
        })?;
        self.checked(world::placed(answer, rows as usize, limits))
    }

    /// Enters the component. `rows` is only for the statistics.
    fn call<T>(
        &mut self,
        rows: usize,
        enter: impl FnOnce(&mut Store<HostState>, &Exports<'_>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        let _ticking = Ticking::start();
        self.store.set_epoch_deadline(epochs(self.limits.cpu));
        self.store.set_hostcall_fuel(self.limits.output);
        self.store.data_mut().enter();
        let started = Instant::now();
        let exports = Exports {
            decoding: self.decoding.as_ref(),
            shaping: self.shaping.as_ref(),
            uniform: self.uniform.as_ref(),
        };
        let answer = unharmed(|| enter(&mut self.store, &exports));
        self.stats
            .called(started.elapsed(), rows, self.store.data().memory.used());
        answer.map_err(|error| {
            let error = classify(&error, &self.store, self.limits);
            self.stats.failed(&error);
            error
        })
    }

    fn checked<T>(&self, answer: Result<T, CallError>) -> Result<T, CallError> {
        answer.inspect_err(|error| self.stats.failed(error))
    }
}

impl Exports<'_> {
    fn decoding(&self) -> wasmtime::Result<&decoding::Guest> {
        self.decoding
            .ok_or_else(|| wasmtime::format_err!("it does not export decoding"))
    }

    fn shaping(&self) -> wasmtime::Result<&shaping::Guest> {
        self.shaping
            .ok_or_else(|| wasmtime::format_err!("it does not export shaping"))
    }
}

fn offered_by(description: Description) -> Offered {
    Offered {
        name: description.name,
        summary: description.summary,
        options_schema: description.options_schema,
    }
}

/// What the host, or wasmtime, panicked with during a call.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct HostFailed(String);

/// A panic ends the call only.
fn unharmed<T>(enter: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<T> {
    guarded(enter).unwrap_or_else(|why| Err(HostFailed(why).into()))
}

/// Why a call gave no answer. Refused memory comes first: the abort that follows looks like any
/// trap.
pub(super) fn classify(
    error: &wasmtime::Error,
    store: &Store<HostState>,
    limits: Limits,
) -> CallError {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return match store.data().starved {
            Some((spent, whole)) => CallError::Starved { spent, whole },
            None => CallError::Cpu(limits.cpu),
        };
    }
    if let Some(HostFailed(why)) = error.downcast_ref() {
        return CallError::Host(why.clone());
    }
    if store.data().memory.refused {
        return CallError::Memory(store.data().memory.limit());
    }
    let detail = format!("{error:#}");
    if detail.contains("fuel allocated for hostcalls has been exhausted") {
        return CallError::Output(limits.output);
    }
    if error.downcast_ref::<Trap>().is_some() {
        CallError::Trap(first_line(&detail))
    } else {
        CallError::Malformed(first_line(&detail))
    }
}

/// The message without the guest's stack, which is of use only to the plugin's author (debug log).
fn first_line(detail: &str) -> String {
    tracing::debug!("plugin call failed: {detail}");
    match detail.rsplit_once("wasm trap: ") {
        Some((_, trap)) => trap.trim().to_owned(),
        None => detail.lines().next().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::tests::component::Guest;

    #[test]
    fn a_panic_in_a_call_is_that_calls_error() {
        let plugin = Guest::new().load().unwrap();
        let mut instance = Instance::new(&plugin).unwrap();
        let error = instance
            .call::<()>(0, |_, _| panic!("as asked"))
            .unwrap_err();
        assert!(
            matches!(&error, CallError::Host(why) if why.starts_with("as asked (")),
            "{error}"
        );
        assert_eq!(plugin.stats.snapshot().failures, [("host", 1)]);
    }
}
