//! Panics of the WebAssembly compiler and runtime, and of what components call: errors here, so
//! that no file can end or harm who reads it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

thread_local! {
    /// Guards that this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Where its last guarded panic happened, by file and line.
    static LOCATION: Cell<Option<String>> = const { Cell::new(None) };
}
/// Guards that any thread is in.
static GUARDS: AtomicUsize = AtomicUsize::new(0);
/// As `LOCATION`, of the compiler's helpers.
static HELPER_LOCATION: Mutex<Option<String>> = Mutex::new(None);

/// What `work` gives, or what it panicked with and where. Whatever `work` was changing is to be
/// thrown away then.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let location = || info.location().map(ToString::to_string);
            if DEPTH.get() > 0 {
                LOCATION.set(location());
            } else if is_helper() {
                *HELPER_LOCATION.lock() = location();
            } else {
                before(info);
            }
        }));
    });
    let _inside = Inside::new();
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let location = LOCATION.take().or_else(|| HELPER_LOCATION.lock().take());
        let location = location
            .map(|location| format!(" ({location})"))
            .unwrap_or_default();
        format!("{}{location}", message(&*payload))
    })
}

/// Whether this thread works for one that is in a guard, and hands its panic on to it. All threads
/// but the compiler's helpers have a name.
fn is_helper() -> bool {
    GUARDS.load(Ordering::Relaxed) > 0 && thread::current().name().is_none()
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (
        payload.downcast_ref::<&str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "it does not say why",
    }
}

struct Inside;

impl Inside {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        GUARDS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        GUARDS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;

    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_what_and_where() {
        assert_eq!(guarded(|| 5), Ok(5));
        let number = 7;
        let error = guarded(|| panic!("no {number}")).unwrap_err();
        assert!(error.starts_with("no 7"), "{error}");
        let error = guarded(|| panic!("fixed")).unwrap_err();
        assert!(error.starts_with("fixed"), "{error}");
        let error = guarded(|| panic::panic_any(5)).unwrap_err();
        assert!(error.starts_with("it does not say why"), "{error}");
        assert_eq!(DEPTH.get(), 0, "none is left");
    }

    #[test]
    fn guards_inside_guards() {
        let outer = guarded(|| {
            let inner = guarded(|| panic!("inner")).unwrap_err();
            assert!(DEPTH.get() == 1 && inner.starts_with("inner"), "{inner}");
            panic!("outer")
        });
        let error = outer.unwrap_err();
        assert!(error.starts_with("outer"), "{error}");
    }

    /// As the compiler's helper threads hand on theirs.
    #[test]
    fn a_panic_of_a_helper_thread() {
        let error = guarded(|| {
            let ended = thread::spawn(|| panic!("far away")).join();
            ended.unwrap_or_else(|payload| panic::resume_unwind(payload))
        });
        let error = error.unwrap_err();
        assert!(
            error.starts_with("far away (") && error.contains("plugin/guard.rs:"),
            "{error}"
        );
    }

    /// Without multi-memory, wasmtime 48 panics at a component that passes text from one memory to
    /// another.
    #[test]
    fn a_panic_of_the_compiler() {
        let mut config = wasmtime::Config::new();
        config.wasm_multi_memory(false);
        let engine = wasmtime::Engine::new(&config).unwrap();
        let compile = |wat: &str| {
            let bytes = wat::parse_str(wat).unwrap();
            guarded(|| Component::from_binary(&engine, &bytes).map(drop))
        };
        let error = compile(TWO_MEMORIES).unwrap_err();
        assert!(
            error.contains("adapter") && error.contains(".rs:"),
            "{error}"
        );
        assert!(compile("(component)").unwrap().is_ok(), "and it goes on");
    }

    #[test]
    fn a_panic_of_what_a_component_calls() {
        let engine = wasmtime::Engine::default();
        let bytes = wat::parse_str(CALLS_FAIL).unwrap();
        let component = Component::from_binary(&engine, &bytes).unwrap();
        let mut linker = wasmtime::component::Linker::new(&engine);
        let fail = |_: wasmtime::StoreContextMut<'_, ()>, ()| -> wasmtime::Result<()> {
            panic!("deep inside")
        };
        linker.root().func_wrap("fail", fail).unwrap();
        let call = || {
            let mut store = wasmtime::Store::new(&engine, ());
            let instance = linker.instantiate(&mut store, &component)?;
            let run = instance.get_typed_func::<(), ()>(&mut store, "run")?;
            run.call(&mut store, ())
        };
        for _ in 0..2 {
            let error = guarded(call).unwrap_err();
            assert!(error.starts_with("deep inside ("), "{error}");
        }
    }

    const CALLS_FAIL: &str = r#"(component
        (import "fail" (func $fail))
        (core func $lowered (canon lower (func $fail)))
        (core module $main
            (import "" "fail" (func $fail))
            (func (export "run") (call $fail)))
        (core instance $i (instantiate $main (with "" (instance (export "fail" (func $lowered))))))
        (func (export "run") (canon lift (core func $i "run"))))"#;

    const TWO_MEMORIES: &str = r#"(component
        (component $callee
            (core module $m
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
                (func (export "take") (param i32 i32)))
            (core instance $i (instantiate $m))
            (func (export "take") (param "text" string) (canon lift (core func $i "take")
                (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
        (component $caller
            (import "take" (func $take (param "text" string)))
            (core module $memory (memory (export "memory") 1))
            (core instance $m (instantiate $memory))
            (core func $lowered (canon lower (func $take) (memory (core memory $m "memory"))))
            (core module $main
                (import "" "take" (func $take (param i32 i32)))
                (func (export "run") (call $take (i32.const 0) (i32.const 0))))
            (core instance $i (instantiate $main (with "" (instance (export "take" (func $lowered))))))
            (func (export "run") (canon lift (core func $i "run"))))
        (instance $callee (instantiate $callee))
        (instance $caller (instantiate $caller (with "take" (func $callee "take"))))
        (export "run" (func $caller "run")))"#;
}
