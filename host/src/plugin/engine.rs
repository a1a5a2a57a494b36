//! The one Wasm engine of the process and the clock that ends calls which run too long.

use std::path::Path;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, ModuleVersionStrategy};

use super::error::LoadError;

/// How often the epoch advances: the resolution of every CPU limit.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Shared by every component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: wasmtime::Engine,
}

impl Engine {
    /// `cache`: a directory for compiled code, used only if nobody but the host may write there (see `trusted`).
    pub(crate) fn new(cache: Option<&Path>) -> Result<Self, LoadError> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Costs 2 to 5 times a call and brings features that no plugin needs.
        config.concurrency_support(false);
        config.wasm_relaxed_simd(false);
        config.wasm_multi_memory(false);
        config.wasm_memory64(false);
        // A compiled component of another patch release may carry a compiler bug that this one has fixed.
        config
            .module_version(ModuleVersionStrategy::Custom(concat!("exporter-host ", env!("CARGO_PKG_VERSION"), " wasmtime ", env!("WASMTIME_VERSION")).into()))
            .map_err(LoadError::engine)?;
        if let Some(directory) = cache {
            let mut settings = CacheConfig::new();
            settings.with_directory(directory);
            config.cache(Some(Cache::new(settings).map_err(LoadError::engine)?));
        }
        let inner = wasmtime::Engine::new(&config).map_err(LoadError::engine)?;
        start_ticker(&inner)?;
        Ok(Self { inner })
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.inner
    }
}

/// An OS thread, not a task: a runtime that is stuck must not stop the clock. It ends with the engine.
fn start_ticker(engine: &wasmtime::Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("wasm-epoch".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })
        .map(drop)
        .map_err(LoadError::Thread)
}

/// Epochs after which a call that may run for `budget` is ended: one more than the budget, for the tick that has partly gone by.
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
}
