//! The one Wasm engine of the process and the clock that ends calls which run too long.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use wasmtime::{Cache, CacheConfig, Config, ModuleVersionStrategy};

use super::error::LoadError;

/// How often the epoch advances while a component runs: the resolution of every CPU limit.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Shared by every component. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: wasmtime::Engine,
}

impl Engine {
    /// `cache`: a directory for compiled code. Whoever can write there can run code in this process: it has to be ours alone.
    pub(crate) fn new(cache: Option<&Path>) -> Result<Self, LoadError> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        // Costs 2 to 5 times a call and brings features that no plugin needs.
        config.concurrency_support(false);
        config.wasm_relaxed_simd(false);
        config.wasm_memory64(false);
        // Not without multi-memory: a component made of several (JavaScript with stubbed WASI) needs it for the glue between them, and without
        // it wasmtime 48 panics while it compiles one.
        // A compiled component of another patch release may carry a compiler bug that this one has fixed.
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
        if let Some(directory) = cache {
            check_trusted(directory)?;
            let mut settings = CacheConfig::new();
            settings.with_directory(directory);
            // By itself wasmtime packs what has been used 256 times as small as it can, in whichever process uses it then: that takes 130 MB and seconds.
            settings.with_optimized_compression_usage_counter_threshold(u64::MAX);
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

/// Absolute, a real directory, owned by this user or root, writable for nobody else.
fn check_trusted(directory: &Path) -> Result<(), LoadError> {
    let refused = |why: String| {
        Err(LoadError::Cache {
            directory: directory.display().to_string(),
            why,
        })
    };
    if !directory.is_absolute() {
        return refused("expected an absolute path".into());
    }
    let real = match directory.canonicalize() {
        Ok(real) => real,
        Err(error) => return refused(error.to_string()),
    };
    if real != directory {
        return refused(format!(
            "a part of the path is a symbolic link, it leads to {}",
            real.display()
        ));
    }
    let metadata = match std::fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) => return refused(error.to_string()),
    };
    let own = std::fs::metadata("/proc/self")
        .map(|process| process.uid())
        .unwrap_or_default();
    if !metadata.is_dir() {
        return refused("expected a directory".into());
    }
    if metadata.uid() != own && metadata.uid() != 0 {
        return refused(format!(
            "it belongs to user {}, expected {own} or root",
            metadata.uid()
        ));
    }
    if metadata.mode() & 0o022 != 0 {
        return refused(format!(
            "others may write there (mode {:o}): chmod go-w",
            metadata.mode() & 0o777
        ));
    }
    Ok(())
}

/// An OS thread, not a task: a runtime that is stuck must not stop the clock. It ends with the engine, at its next tick.
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

/// How often the epoch advances while no component runs, so that an idle host stays idle: only to notice that the engine is gone.
const IDLE_TICK: Duration = Duration::from_secs(600);

/// How many are inside of components, of any engine.
static RUNNING: Mutex<usize> = Mutex::new(0);
static BEGUN: Condvar = Condvar::new();

/// Somebody is inside of a component: the clock ticks. Whoever enters one holds this until it is out.
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

/// Epochs after which a call that may run for `budget` is ended: one more than the budget, for the tick that has partly gone by.
pub(super) fn epochs(budget: Duration) -> u64 {
    let ticks = budget.as_nanos().div_ceil(TICK.as_nanos()) + 1;
    u64::try_from(ticks).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::thread;
    use std::time::Instant;

    use wasmtime::component::Component;

    use super::*;
    use crate::plugin::tests::component::Guest;

    /// The only file below the directory whose name ends so, once it is there.
    fn find(directory: &Path, end: &str) -> Option<PathBuf> {
        fs::read_dir(directory).ok()?.find_map(|entry| {
            let path = entry.ok()?.path();
            if path.is_dir() {
                return find(&path, end);
            }
            path.to_str()?.ends_with(end).then_some(path)
        })
    }

    #[test]
    fn compiled_code_is_packed_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let engine = Engine::new(Some(&path)).unwrap();
        let bytes = Guest::new().build();
        let deadline = Instant::now() + Duration::from_secs(60);
        let wait = |ready: &dyn Fn() -> bool| {
            while !ready() {
                assert!(Instant::now() < deadline);
                thread::yield_now();
            }
        };
        let load = || Component::new(engine.inner(), &bytes).unwrap();
        load();
        wait(&|| find(&path, ".stats").is_some());
        let stats = find(&path, ".stats").unwrap();
        // `usages = N` and the level of compression.
        let said = || -> (u64, String) {
            let text = fs::read_to_string(&stats).unwrap_or_default();
            let (usages, rest) = text.split_once('\n').unwrap_or_default();
            let number = usages
                .strip_prefix("usages = ")
                .and_then(|n| n.parse().ok());
            (number.unwrap_or(0), rest.to_owned())
        };
        wait(&|| said().0 > 0);
        let (_, level) = said();
        assert!(level.starts_with("optimized-compression = "), "{level}");
        fs::write(&stats, format!("usages = 100000\n{level}")).unwrap();
        wait(&|| {
            load();
            said().0 >= 100_003
        });
        assert_eq!(said().1, level);
    }

    #[test]
    fn a_cache_directory_is_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let mode =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o700);
        assert!(check_trusted(&path).is_ok());
        mode(0o770);
        assert!(
            check_trusted(&path)
                .unwrap_err()
                .to_string()
                .contains("others may write there (mode 770)")
        );
        mode(0o700);
        let link = path.join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(
            check_trusted(&link)
                .unwrap_err()
                .to_string()
                .contains("symbolic link")
        );
        assert!(check_trusted(Path::new("relative")).is_err());
    }

    #[test]
    fn a_budget_is_rounded_up_and_the_running_tick_added() {
        assert_eq!(epochs(Duration::from_millis(1)), 2);
        assert_eq!(epochs(Duration::from_millis(10)), 2);
        assert_eq!(epochs(Duration::from_millis(250)), 26);
    }
}
