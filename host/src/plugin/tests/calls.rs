//! Calls that must end in an error, never in a panic or a hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::component::{ECHO, Guest};
use crate::plugin::error::{LoadError, OpenError};
use crate::plugin::grants::Limits;
use crate::plugin::world::Decoded;
use crate::plugin::{CallError, Cells, Session};

const SHORT: Duration = Duration::from_millis(50);

fn input() -> Cells {
    [&b"ab"[..], b"c"].into_iter().collect()
}

fn session_with(guest: &Guest, limits: Limits) -> Session {
    let mut plugin = guest.load().unwrap();
    plugin.policy.limits = limits;
    Session::new(Arc::new(plugin))
}

/// The answer to a batch of two rows; and that it is counted where it is an error.
fn answer_within(guest: &Guest, limits: Limits) -> Result<Decoded, CallError> {
    let mut session = session_with(guest, limits);
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let answer = session.decode(decoder, &input());
    let failures = session.plugin().stats.snapshot().failures;
    match &answer {
        Ok(_) => assert_eq!(failures, []),
        Err(error) => assert_eq!(failures, [(error.reason(), 1)]),
    }
    answer
}

fn answer(guest: &Guest) -> Result<Decoded, CallError> {
    answer_within(guest, Limits::default())
}

/// The message of an answer that has to be malformed.
fn malformed(decode: &'static str) -> String {
    match answer(&Guest::new().items(ROW_LISTS).decode(decode)) {
        Err(CallError::Malformed(message)) => message,
        other => panic!("expected a malformed answer to {decode}, got {other:?}"),
    }
}

/// At 8192: ends that fall (2, 1); at 8200: ends past the bytes (1, 99); at 8208: the row number 2;
/// at 8216: a row error of row 0 with a message that is no UTF-8; at 8232: the same of row 7 with
/// the message "a".
const ROW_LISTS: &str = r#"(data (i32.const 8192)
    "\02\00\00\00\01\00\00\00" "\01\00\00\00\63\00\00\00" "\02\00\00\00\00\00\00\00"
    "\00\00\00\00\00\30\00\00\02\00\00\00\00\00\00\00" "\07\00\00\00\02\30\00\00\01\00\00\00")
    (data (i32.const 12288) "\ff\fea")"#;

#[test]
fn the_template_answers() {
    let decoded = answer(&Guest::new()).unwrap();
    assert_eq!(decoded.cells, input());
    assert!(decoded.dropped.is_empty() && decoded.provisional.is_empty());
}

#[test]
fn an_endless_loop_ends_at_the_limit() {
    let guest = Guest::new().decode("(loop $again (br $again)) (unreachable)");
    let limits = Limits {
        cpu: SHORT,
        ..Limits::default()
    };
    let mut session = session_with(&guest, limits);
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let started = Instant::now();
    let answer = session.decode(decoder, &input());
    let took = started.elapsed();
    assert!(matches!(answer, Err(CallError::Cpu(SHORT))), "{answer:?}");
    // Far above the two ticks that it takes: other tests want the CPUs too.
    assert!(took >= SHORT && took < SHORT * 20, "{took:?}");
}

#[test]
fn endless_loops_elsewhere_end_too() {
    const FOREVER: &str = "(loop $again (br $again))";
    let limits = Limits {
        cpu: SHORT,
        ..Limits::default()
    };
    let error = session_with(&Guest::new().open(FOREVER), limits)
        .open_decoder("echo", "{}")
        .unwrap_err();
    assert!(
        matches!(error, OpenError::Call(CallError::Cpu(_))),
        "{error:?}"
    );
    for guest in [Guest::new().catalogue(FOREVER), Guest::new().start(FOREVER)] {
        let mut plugin = guest.load().unwrap();
        plugin.policy.limits = limits;
        let error = plugin.catalogue().unwrap_err();
        assert!(
            matches!(error, LoadError::Catalogue(CallError::Cpu(_))),
            "{error:?}"
        );
    }
}

/// A guest that waits is not interrupted by epochs: a host call must never wait.
#[test]
fn waiting_on_a_clock_does_not_outlast_the_limit() {
    const IO: &str = "package wasi:io@0.2.6;
        interface poll { resource pollable { ready: func() -> bool; block: func(); } poll: func(in: list<borrow<pollable>>) -> list<u32>; }";
    const CLOCKS: &str = "package wasi:clocks@0.2.6;
        interface monotonic-clock { use wasi:io/poll@0.2.6.{pollable}; subscribe-duration: func(when: u64) -> pollable; }";
    const WORLD: &str = "world sleeper { import wasi:io/poll@0.2.6; import wasi:clocks/monotonic-clock@0.2.6; export decoding; }";
    const IMPORTS: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
        (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
        (import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))
        (func $timer (result i32) (call $subscribe (i64.const 30000000000)))"#;
    let limits = Limits {
        cpu: SHORT,
        ..Limits::default()
    };
    for (decode, ends) in [
        (
            "(call $block (call $timer)) (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
            true,
        ),
        (
            "(i32.store (i32.const 8192) (call $timer)) (call $poll (i32.const 8192) (i32.const 1) (i32.const 8200))
             (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
            true,
        ),
        (
            "(local.set $i (call $timer)) (loop $again (call $block (local.get $i)) (br $again)) (unreachable)",
            false,
        ),
    ] {
        let guest = Guest::new()
            .world("sleeper", WORLD, &[IO, CLOCKS])
            .items(IMPORTS)
            .decode(decode);
        let started = Instant::now();
        let answer = answer_within(&guest, limits);
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{decode} waited"
        );
        match answer {
            Ok(_) => assert!(ends),
            Err(error) => assert!(!ends && matches!(error, CallError::Cpu(_)), "{error}"),
        }
    }
}

/// Time in the host is given back, but not to one that does nothing else.
#[test]
fn asking_and_asking_ends_too() {
    let guest = Guest::new()
        .items(r#"(import "exporter:plugin/kernel@0.1.0" "interface-names" (func $ask (param i32 i32 i32)))"#)
        .decode("(loop $again (call $ask (i32.const 0) (i32.const 0) (i32.const 8192)) (br $again)) (unreachable)");
    let limits = Limits {
        cpu: SHORT,
        ..Limits::default()
    };
    let error = answer_within(&guest, limits).unwrap_err();
    assert!(matches!(error, CallError::Cpu(SHORT)), "{error:?}");
}

#[test]
fn memory_ends_at_its_limit() {
    let hog = Guest::new().decode(
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
    );
    let error = answer(&hog).unwrap_err();
    assert!(matches!(error, CallError::Memory(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "it asked for more than its 64 MiB of memory"
    );

    let mut plugin = Guest::new().load().unwrap();
    plugin.policy.limits.memory = 100_000;
    let error = plugin.catalogue().unwrap_err();
    assert!(
        matches!(error, LoadError::Catalogue(CallError::Memory(100_000))),
        "its four pages are more than that: {error:?}"
    );
}

#[test]
fn memory_refused_once_is_not_the_reason_of_a_later_trap() {
    let guest = Guest::new()
        .open("(drop (memory.grow (i32.const 60000)))")
        .decode("(unreachable)");
    let error = answer(&guest).unwrap_err();
    assert!(matches!(error, CallError::Trap(_)), "{error:?}");
}

#[test]
fn tables_end_at_their_limit() {
    let error = Guest::new()
        .items("(table 200000 funcref)")
        .load()
        .unwrap()
        .catalogue()
        .unwrap_err();
    assert!(
        matches!(error, LoadError::Catalogue(CallError::Instantiate(_))),
        "{error:?}"
    );
}

#[test]
fn traps_are_named() {
    let trap = |guest: Guest| match answer(&guest) {
        Err(CallError::Trap(message)) => message,
        other => panic!("expected a trap, got {other:?}"),
    };
    let unreachable = trap(Guest::new().decode("(unreachable)"));
    assert!(unreachable.contains("unreachable"), "{unreachable}");
    let deep = trap(
        Guest::new()
            .items("(func $deep (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))")
            .decode("(call $deep (i32.const 0))"),
    );
    assert!(deep.contains("stack exhausted"), "{deep}");
    let out_of_bounds = trap(Guest::new().decode("(i32.load (i32.const -8))"));
    assert!(out_of_bounds.contains("out of bounds"), "{out_of_bounds}");
}

#[test]
fn traps_outside_of_decode_are_errors_too() {
    let open = Guest::new()
        .open("(unreachable)")
        .session()
        .open_decoder("echo", "{}");
    assert!(
        matches!(open, Err(OpenError::Call(CallError::Trap(_)))),
        "{open:?}"
    );
    let catalogue = |guest: Guest| guest.load().unwrap().catalogue().unwrap_err();
    let error = catalogue(Guest::new().catalogue("(unreachable)"));
    assert!(
        matches!(error, LoadError::Catalogue(CallError::Trap(_))),
        "{error:?}"
    );
    let error = catalogue(Guest::new().start("(unreachable)"));
    assert!(
        matches!(error, LoadError::Catalogue(CallError::Instantiate(_))),
        "{error:?}"
    );
    assert!(error.to_string().contains("unreachable"), "{error}");
}

#[test]
fn columns_have_to_fit_the_batch() {
    let few = malformed(
        "(call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (i32.const 1))",
    );
    assert_eq!(few, "expected 2 cells, found 1");
    let many = malformed(
        "(call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (i32.const 3))",
    );
    assert_eq!(many, "expected 2 cells, found 3");
    let falling = malformed(
        "(call $answer (local.get $bytes) (local.get $bytes_len) (i32.const 8192) (i32.const 2))",
    );
    assert_eq!(falling, "cell 1 ends at byte 1, outside of 2..=3");
    let out_of_bounds = malformed(
        "(call $answer (local.get $bytes) (local.get $bytes_len) (i32.const 8200) (i32.const 2))",
    );
    assert_eq!(out_of_bounds, "cell 1 ends at byte 99, outside of 1..=3");
}

#[test]
fn row_numbers_have_to_be_rows() {
    let named = |list: &'static str| {
        malformed(match list {
            "dropped" => {
                "(drop (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len)))
                 (call $list (i32.const 16) (i32.const 8208) (i32.const 1)) (i32.const 1024)"
            }
            "provisional" => {
                "(drop (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len)))
                 (call $list (i32.const 24) (i32.const 8208) (i32.const 1)) (i32.const 1024)"
            }
            _ => {
                "(drop (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len)))
                 (call $list (i32.const 32) (i32.const 8232) (i32.const 1)) (i32.const 1024)"
            }
        })
    };
    assert_eq!(named("dropped"), "it names row 2 of a batch of 2");
    assert_eq!(named("provisional"), "it names row 2 of a batch of 2");
    assert_eq!(named("errors"), "it names row 7 of a batch of 2");
}

#[test]
fn addresses_and_texts_are_checked() {
    let message = malformed(
        "(drop (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len)))
         (call $list (i32.const 32) (i32.const 8216) (i32.const 1)) (i32.const 1024)",
    );
    assert!(message.contains("utf-8"), "{message}");
    let out_of_bounds = malformed(
        "(call $answer (i32.const 0x7ffffff0) (i32.const 1000) (local.get $ends) (local.get $ends_len))",
    );
    assert!(out_of_bounds.contains("out of bounds"), "{out_of_bounds}");
    let odd = malformed(
        "(call $answer (local.get $bytes) (local.get $bytes_len) (i32.const 8193) (i32.const 2))",
    );
    assert!(odd.contains("align"), "{odd}");
    let nowhere = malformed("(i32.const -4)");
    assert!(nowhere.contains("out of bounds"), "{nowhere}");
}

#[test]
fn an_answer_ends_at_its_limit() {
    let guest = Guest::new().decode(
        "(drop (memory.grow (i32.const 32)))
         (call $answer (i32.const 0) (i32.const 2000000) (local.get $ends) (local.get $ends_len))",
    );
    let limits = |output| Limits {
        output,
        ..Limits::default()
    };
    let error = answer_within(&guest, limits(1 << 20)).unwrap_err();
    assert!(matches!(error, CallError::Output(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "its answer is larger than its 1 MiB of output"
    );
    answer_within(&guest, limits(4 << 20)).unwrap();
}

#[test]
fn lists_that_claim_to_be_endless_cost_nothing() {
    // All cells at one place: the guest's memory does not bound what the host would copy, the
    // output limit does.
    let guest = Guest::new().decode(
        "(drop (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len)))
         (call $list (i32.const 16) (i32.const 0) (i32.const 0x0fffffff)) (i32.const 1024)",
    );
    let error = answer(&guest).unwrap_err();
    assert!(
        matches!(error, CallError::Output(_) | CallError::Malformed(_)),
        "{error:?}"
    );
}

#[test]
fn opening_can_be_refused_in_the_plugins_words() {
    let guest = Guest::new()
        .items(r#"(data (i32.const 8192) "no such table")"#)
        .open("(return (call $refuse (i32.const 8192) (i32.const 13)))")
        .decode(ECHO);
    let mut session = guest.session();
    for _ in 0..5 {
        let refused = session.open_decoder("echo", "{}").unwrap_err();
        assert_eq!(refused.to_string(), "no such table");
    }
    let stats = session.plugin().stats.snapshot();
    assert_eq!(
        (stats.calls, stats.restarts, stats.failures),
        (5, 0, vec![]),
        "a refusal is an answer"
    );
}
