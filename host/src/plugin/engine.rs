//! The one Wasm engine of the process and the clock that ends calls which run too long; what an
//! engine compiles for.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rustix::process::{Resource, getrlimit};
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, ModuleVersionStrategy};

use super::error::LoadError;
use crate::digest::Digest;

/// How often the epoch advances while a component runs: the resolution of every CPU limit.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Shared by every component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: wasmtime::Engine,
}

impl Engine {
    /// Starts the clock, a thread.
    pub(crate) fn new() -> Result<Self, LoadError> {
        let inner = wasmtime::Engine::new(&config()?).map_err(LoadError::engine)?;
        start_ticker(&inner)?;
        Ok(Self { inner })
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

/// With fewer bytes of addresses (`ulimit -v`) a memory must not reserve the 4 GiB that make code
/// without checks of bounds possible.
const FREE_ADDRESSES: u64 = 1 << 42;
/// Bytes beyond a memory's own, where addresses are few.
const GROWTH: u64 = 1 << 20;
const GUARD: u64 = 64 << 10;

/// Of every engine that compiles or runs components: what one has compiled another can run.
pub(super) fn config() -> Result<Config, LoadError> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Costs 2 to 5 times a call and brings features that no plugin needs.
    config.concurrency_support(false);
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    // Not without multi-memory: a component made of several (JavaScript with stubbed WASI) needs it
    // for the glue between them, and without it wasmtime 48 panics while it compiles one.

    if getrlimit(Resource::As)
        .current
        .is_some_and(|bytes| bytes < FREE_ADDRESSES)
    {
        // A memory takes what it has, moves when it grows, and its bounds are checked by code.
        config.memory_reservation(0);
        config.memory_reservation_for_growth(GROWTH);
        config.memory_guard_size(GUARD);
    }
    // A compiled component of another patch release may carry a compiler bug that this one has
    // fixed.
    config
        .module_version(ModuleVersionStrategy::Custom(
            concat!(
                "exporter-host ",
                env!("CARGO_PKG_VERSION"),
                " wasmtime ",
                env!("WASMTIME_VERSION")
            )
            .into(),
        ))
        .map_err(LoadError::engine)?;
    Ok(config)
}

/// What compiled code is for: this version of host and engine, with its settings, on a CPU with
/// these features. Code with another one does not run here.
pub(crate) fn engine_version() -> Result<Digest, LoadError> {
    let mut config = config()?;
    // An engine that will run nothing installs no signal handlers. Nothing else is different, and
    // the digest is of all settings.
    config.signals_based_traps(false);
    let engine = wasmtime::Engine::new(&config).map_err(LoadError::engine)?;
    let mut bytes = Bytes(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut bytes);
    Ok(Digest::of(&bytes.0.finalize()))
}

/// A hasher that is the same in every process.
struct Bytes(Sha256);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

/// An OS thread, not a task: a runtime that is stuck must not stop the clock. It ends with the
/// engine, at its next tick.
fn start_ticker(engine: &wasmtime::Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("wasm-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
                let mut running = RUNNING.lock();
                if *running == 0 {
                    BEGUN.wait_for(&mut running, IDLE_TICK);
                }
            }
        })
        .map(drop)
        .map_err(LoadError::Thread)
}

/// How often the epoch advances while no component runs, so that an idle host stays idle: only to
/// notice that the engine is gone.
const IDLE_TICK: Duration = Duration::from_secs(600);

/// How many are inside of components, of any engine.
static RUNNING: Mutex<usize> = Mutex::new(0);
static BEGUN: Condvar = Condvar::new();

/// Somebody is inside of a component: the clock ticks. Whoever enters one holds this until it is
/// out.
pub(super) struct Ticking(());

impl Ticking {
    pub(super) fn start() -> Self {
        let mut running = RUNNING.lock();
        *running += 1;
        if *running == 1 {
            BEGUN.notify_all();
        }
        Self(())
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        *RUNNING.lock() -= 1;
    }
}

/// Epochs after which a call that may run for `budget` is ended: one more than the budget, for the
/// tick that has partly gone by.
pub(super) fn epochs(budget: Duration) -> u64 {
    let ticks = budget.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_rounded_up_and_the_running_tick_added() {
        assert_eq!(epochs(Duration::from_millis(1)), 2);
        assert_eq!(epochs(Duration::from_millis(10)), 2);
        assert_eq!(epochs(Duration::from_millis(250)), 26);
    }

    #[test]
    fn the_version_is_the_same_each_time() {
        assert_eq!(engine_version().unwrap(), engine_version().unwrap());
    }
}
