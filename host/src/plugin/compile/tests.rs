//! Compiling under the limits of a compiler process: this test program again, started with them by
//! prlimit.

use std::env;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use super::*;
use crate::plugin::STANDARD;
use crate::plugin::tests::component::Guest;

#[path = "../../../../tests/whole/harness/bombs.rs"]
mod bombs;

/// Where `compile_what_is_there` finds its component.
const COMPONENT: &str = "COMPONENT_TO_COMPILE";

/// How a process ends that compiles `component` within `limits`, less the wall clock.
fn ends(component: &[u8], limits: CompileLimits) -> ExitStatus {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("component");
    fs::write(&path, component).unwrap();
    Command::new("prlimit")
        .arg(format!("--data={}", limits.memory))
        .arg(format!("--cpu={}", limits.cpu.as_secs()))
        // Nobody looks at what was left behind.
        .arg("--core=0")
        .arg(env::current_exe().unwrap())
        .args(["--exact", "plugin::compile::tests::compile_what_is_there"])
        .args(["--ignored", "--test-threads=1"])
        .env(COMPONENT, &path)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
        .status
}

#[test]
#[ignore = "started by other tests, with limits"]
fn compile_what_is_there() {
    let Some(path) = env::var_os(COMPONENT) else {
        return;
    };
    compile(&fs::read(Path::new(&path)).unwrap()).unwrap();
}

#[test]
fn what_people_write_needs_a_third_of_the_limits() {
    for component in [STANDARD, &Guest::new().build()] {
        let limits = CompileLimits::of(component.len(), Slowness::NONE);
        let third = CompileLimits {
            memory: limits.memory / 3,
            cpu: limits.cpu / 3,
            ..limits
        };
        let status = ends(component, third);
        assert!(status.success(), "{status}");
    }
}

#[test]
fn bombs_end_for_want_of_memory_before_they_cost_much() {
    for bomb in [bombs::branches(1000, 100_000), bombs::functions(100_000)] {
        let limits = CompileLimits::of(bomb.len(), Slowness::NONE);
        assert!(limits.memory < 256 << 20, "{limits:?}");
        let status = ends(&bomb, limits);
        assert_eq!(status.signal(), Some(libc::SIGABRT), "{status}");
    }
}

#[test]
fn limits_grow_with_the_component_up_to_a_bound() {
    let limits = |bytes| CompileLimits::of(bytes, Slowness::NONE);
    assert_eq!(limits(0).memory, 128 << 20);
    assert_eq!(limits(1 << 20).memory, 192 << 20);
    assert_eq!(limits(usize::MAX).memory, 2 << 30);
    assert_eq!(limits(1 << 20).cpu, Duration::from_secs(15));
    assert_eq!(limits(1 << 20).wall, Duration::from_secs(60));
}

#[test]
fn slow_machines_get_more_time_and_not_more_memory() {
    let slowness = |ms| Slowness::of(Duration::from_millis(ms));
    let limits = |ms| CompileLimits::of(1 << 20, slowness(ms));
    assert_eq!(slowness(1), Slowness::NONE);
    assert_eq!(limits(50).cpu, Duration::from_secs(15));
    assert_eq!(limits(120).cpu, Duration::from_secs(36));
    assert_eq!(limits(120).wall, Duration::from_secs(144));
    assert_eq!(limits(120).memory, limits(50).memory);
    assert_eq!(limits(3_600_000).cpu, Duration::from_secs(15 * 32));
    assert_eq!(slowness(120).to_string(), "2.4");
}

#[test]
fn the_reference_is_a_component_that_compiles() {
    assert!(!compile(&reference()).unwrap().is_empty());
}

#[test]
fn what_is_no_component_is_refused_in_words() {
    let refused = InProcess.compile("p", b"#!/bin/sh").unwrap_err();
    let CompileError::Refused(why) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        why.starts_with("it is not a WebAssembly component"),
        "{why}"
    );
}
