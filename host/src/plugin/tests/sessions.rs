//! Sessions outlive their instances.

use super::component::Guest;
use crate::plugin::{CallError, Cells, DecoderId, Session};

/// Echoes, with two quirks: a batch whose first byte is `!` traps, and a handle that this instance
/// has not given out does too.
fn fragile() -> Session {
    Guest::new()
        .decode(
            "(if (i32.gt_u (local.get $handle) (global.get $opened)) (then (unreachable)))
             (if (i32.eq (i32.load8_u (local.get $bytes)) (i32.const 33)) (then (unreachable)))
             (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
        )
        .session()
}

fn decode(session: &mut Session, decoder: DecoderId, cell: &[u8]) -> Result<Vec<u8>, CallError> {
    let input: Cells = [cell].into_iter().collect();
    session
        .decode(decoder, &input)
        .map(|decoded| decoded.cells.get(0).to_vec())
}

#[test]
fn after_a_trap_a_new_instance_has_all_handles() {
    let mut session = fragile();
    let decoders = ["a", "b", "c"].map(|options| session.open_decoder("echo", options).unwrap());
    assert_eq!(decode(&mut session, decoders[2], b"one").unwrap(), b"one");
    decode(&mut session, decoders[2], b"!").unwrap_err();
    assert_eq!(decode(&mut session, decoders[2], b"two").unwrap(), b"two");
    assert_eq!(
        decode(&mut session, decoders[0], b"three").unwrap(),
        b"three"
    );
    let later = session.open_decoder("echo", "d").unwrap();
    assert_eq!(decode(&mut session, later, b"four").unwrap(), b"four");
    let stats = session.plugin().stats.snapshot();
    assert_eq!(stats.restarts, 1);
    assert_eq!(stats.failures, [("trap", 1)]);
    // Three opened, three again, one later; five decoded.
    assert_eq!((stats.calls, stats.rows), (7 + 5, 5));
}

#[test]
fn three_failures_in_a_row_open_the_breaker() {
    let mut session = fragile();
    let decoder = session.open_decoder("echo", "{}").unwrap();
    for _ in 0..3 {
        let error = decode(&mut session, decoder, b"!").unwrap_err();
        assert!(matches!(error, CallError::Trap(_)), "{error:?}");
    }
    let before = session.plugin().stats.snapshot();
    for _ in 0..10 {
        let error = decode(&mut session, decoder, b"fine").unwrap_err();
        assert!(
            matches!(error, CallError::BackOff { failures: 3, .. }),
            "{error:?}"
        );
    }
    assert_eq!(
        session.plugin().stats.snapshot(),
        before,
        "the guest was not called"
    );
    assert_eq!(before.restarts, 3);
}

#[test]
fn an_answer_between_failures_keeps_the_breaker_closed() {
    let mut session = fragile();
    let decoder = session.open_decoder("echo", "{}").unwrap();
    for _ in 0..4 {
        for _ in 0..2 {
            decode(&mut session, decoder, b"!").unwrap_err();
        }
        assert_eq!(decode(&mut session, decoder, b"ok").unwrap(), b"ok");
    }
}

#[test]
fn a_plugin_that_cannot_start_again_opens_the_breaker() {
    let mut session = Guest::new()
        .items(r#"(data (i32.const 8192) "gone")"#)
        .open(
            "(if (i32.eq (i32.load8_u (local.get $options)) (i32.const 33)) (then (unreachable)))",
        )
        .session();
    session.open_decoder("echo", "{}").unwrap();
    for _ in 0..3 {
        session.open_decoder("echo", "!").unwrap_err();
    }
    let error = session.open_decoder("echo", "{}").unwrap_err().to_string();
    assert!(error.starts_with("it failed 3 times in a row"), "{error}");
}

#[test]
fn failures_of_one_session_do_not_touch_another() {
    let plugin = std::sync::Arc::clone(fragile().plugin());
    let mut sessions = [
        Session::new(std::sync::Arc::clone(&plugin)),
        Session::new(plugin),
    ];
    let [bad, good] = sessions
        .each_mut()
        .map(|session| session.open_decoder("echo", "{}").unwrap());
    for _ in 0..4 {
        decode(&mut sessions[0], bad, b"!").unwrap_err();
        assert_eq!(decode(&mut sessions[1], good, b"ok").unwrap(), b"ok");
    }
}
