//! Calls of collectors: what ends them, and what is left of them afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::component::{ENGINE, FACTS};
use crate::plugin::collector::{CollectRequest, Collector};
use crate::plugin::component::Plugin;
use crate::plugin::error::{CallError, CollectError, FailureKind, OpenError};
use crate::plugin::{Answer, LogCapture};

const WIT: &str = include_str!("../../../../wit/plugin.wit");

/// A component that offers the collector `c`. `collect` is WAT: it finds the target's text at
/// $target, $target_len, and leaves the address of its answer; at 1024 there is one without
/// families, at 1040 the failure `denied("no")`.
pub(crate) fn component(collect: &str) -> Vec<u8> {
    let interface = "exporter:plugin/collecting@0.1.0";
    let module = format!(
        r#"(module
        (import "exporter:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
        (memory (export "memory") 1)
        (global $heap (mut i32) (i32.const 8192))
        (data (i32.const 1040) "\01\00\00\00\03\00\00\00\00\10\00\00\02\00\00\00")
        (data (i32.const 1072) "\80\04\00\00\01\00\00\00")
        (data (i32.const 1152) "\00\11\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
        (data (i32.const 4096) "no")
        (data (i32.const 4352) "c")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
        (func (export "{interface}#catalogue") (result i32) (i32.const 1072))
        (func (export "{interface}#open") (param $name i32) (param i32) (param $options i32) (param $options_len i32) (result i32)
            (i32.store8 (i32.const 1088) (i32.eq (local.get $options_len) (i32.const 3)))
            (i32.store (i32.const 1092) (i32.const 4096))
            (i32.store (i32.const 1096) (i32.const 2))
            (i32.const 1088))
        (func (export "{interface}#collect")
            (param $handle i32) (param $has_target i32) (param $target i32) (param $target_len i32)
            (param $params i32) (param $params_len i32) (param $timeout i32) (result i32)
            {collect}))"#
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", WIT).unwrap();
    let world = resolve
        .select_world(&[package], Some("collector-plugin"))
        .unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// The plugin of `component`.
fn plugin(collect: &str) -> Arc<Plugin> {
    let component = component(collect);
    Arc::new(Plugin::load(&ENGINE, "test", &component, &FACTS).unwrap())
}

fn collector(collect: &str) -> Collector {
    Collector::open(&plugin(collect), "c", "{}").unwrap()
}

async fn call(collector: &Collector, target: Option<&str>) -> Result<Answer, CollectError> {
    let request = CollectRequest {
        target,
        params: &[],
        labels: &[],
        deadline: Instant::now() + Duration::from_secs(30),
        capture: None,
    };
    collector.collect(&request).await
}

#[test]
fn options_are_refused_where_they_are_opened() {
    let plugin = plugin("(i32.const 1024)");
    assert_eq!(plugin.catalogue().unwrap().collectors, ["c"]);
    let refused = Collector::open(&plugin, "c", "bad").err().unwrap();
    assert!(
        matches!(&refused, OpenError::Refused(why) if why == "no"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_answer_and_a_failure_are_both_answers() {
    let good = collector_in_task("(i32.const 1024)").await;
    assert_eq!(call(&good, None).await.unwrap().series, 0);
    let denied = collector_in_task("(i32.const 1040)").await;
    for _ in 0..5 {
        let error = call(&denied, None).await.unwrap_err();
        assert_eq!(error.to_string(), "denied: no");
        let kind = FailureKind::Denied;
        assert!(matches!(error, CollectError::Failed { kind: found, .. } if found == kind));
    }
    assert_eq!(denied.plugin().stats.snapshot().failures, []);
}

/// `open` blocks.
async fn collector_in_task(collect: &'static str) -> Collector {
    tokio::task::spawn_blocking(move || collector(collect))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_loop_ends_at_its_cpu_limit_and_lets_others_run() {
    let endless = collector_in_task("(loop (br 0)) (unreachable)").await;
    let (others, started) = (std::cell::Cell::new(0), Instant::now());
    // On the same thread: they only run because the guest yields.
    let other = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            others.set(others.get() + 1);
        }
    };
    let error = tokio::select! {
        result = call(&endless, None) => result.unwrap_err(),
        () = other => unreachable!(),
    };
    assert_eq!(error.reason(), "cpu", "{error}");
    // CPU time: on a busy machine it takes longer.
    assert!(started.elapsed() < Duration::from_secs(120));
    assert!(others.get() > 10, "{}", others.get());
    assert_eq!(endless.plugin().stats.snapshot().failures, [("cpu", 1)]);
}

#[tokio::test]
async fn a_deadline_before_the_cpu_limit_counts() {
    let endless = collector_in_task("(loop (br 0)) (unreachable)").await;
    let started = Instant::now();
    let request = CollectRequest {
        target: None,
        params: &[],
        labels: &[],
        deadline: started + Duration::from_millis(150),
        capture: None,
    };
    let error = endless.collect(&request).await.unwrap_err();
    // It was busy all along, or would have been, so the blame is not its target's.
    assert!(["cpu", "starved"].contains(&error.reason()), "{error}");
    assert!(started.elapsed() < Duration::from_millis(1500));
}

#[tokio::test]
async fn traps_open_the_breaker_of_their_target_alone() {
    // Traps where the target's first letter is `b`.
    let fragile = collector_in_task(
        "(if (i32.and (local.get $has_target) (i32.eq (i32.load8_u (local.get $target)) (i32.const 98)))
            (then (unreachable)))
         (i32.const 1024)",
    )
    .await;
    for _ in 0..3 {
        let error = call(&fragile, Some("bad")).await.unwrap_err();
        assert_eq!(error.reason(), "trap");
        assert!(error.is_the_plugins());
    }
    let before = fragile.plugin().stats.snapshot().calls;
    let error = call(&fragile, Some("bad")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CollectError::Call(CallError::BackOff { failures: 3, .. })
        ),
        "{error:?}"
    );
    assert_eq!(fragile.plugin().stats.snapshot().calls, before);
    call(&fragile, Some("good")).await.unwrap();
    call(&fragile, None).await.unwrap();
}

#[tokio::test]
async fn answers_that_are_none_and_memory_have_their_reasons() {
    for (collect, reason) in [
        // Grows until it is refused.
        (
            "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            "memory",
        ),
        // A list beyond the memory's end.
        (
            "(i32.store (i32.const 1028) (i32.const 65000)) (i32.store (i32.const 1032) (i32.const 999999)) (i32.const 1024)",
            "malformed",
        ),
        ("(i32.const -4)", "malformed"),
    ] {
        let error = call(&collector_in_task(collect).await, None)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
    }
}

#[tokio::test]
async fn log_lines_are_captured_for_who_asks() {
    let talks = collector_in_task(
        "(call $log (i32.const 4) (i32.const 4096) (i32.const 2)) (i32.const 1024)",
    )
    .await;
    let capture = Arc::new(LogCapture::default());
    let request = CollectRequest {
        target: None,
        params: &[],
        labels: &[],
        deadline: Instant::now() + Duration::from_secs(30),
        capture: Some(Arc::clone(&capture)),
    };
    talks.collect(&request).await.unwrap();
    assert_eq!(capture.lines(), ["level=trace msg=\"no\""]);
}
