//! What plugins write into the log.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::component::Guest;
use crate::plugin::Cells;

/// The log lines of one batch decoded under a log at `level`.
fn lines(level: tracing::Level, guest: &Guest) -> Vec<String> {
    let mut session = guest.session();
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let input: Cells = [&b"a"[..]].into_iter().collect();
    logged(level, || {
        session.decode(decoder, &input).unwrap();
    })
}

/// What `run` writes into a log at `level`.
pub(crate) fn logged(level: tracing::Level, run: impl FnOnce()) -> Vec<String> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&written);
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(level)
        .with_writer(move || Sink(Arc::clone(&sink)))
        .finish();
    tracing::subscriber::with_default(subscriber, run);
    let text = String::from_utf8(written.lock().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Levels: 0 is error, 1 warn, 2 info, 3 debug.
const LOG: &str = r#"(import "exporter:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
    (data (i32.const 8192) "one\0a2026-01-01 ERROR forged \1b[31m")
    (data (i32.const 8300) "the end")"#;

#[test]
fn a_flood_is_cut() {
    let flood = Guest::new().items(LOG).decode(
        "(loop $again
            (call $log (i32.const 2) (i32.const 8192) (i32.const 3))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))
         (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
    );
    let lines = lines(tracing::Level::TRACE, &flood);
    let ours = lines.iter().filter(|line| line.contains("one")).count();
    // The burst, and one line for each tenth of a second that the call has taken.
    assert!((50..60).contains(&ours), "{ours}");
    assert!(
        lines[0].contains("INFO") && lines[0].contains("plugin=\"test\""),
        "{}",
        lines[0]
    );
}

#[test]
fn a_warning_is_written_once() {
    let warns = Guest::new().items(LOG).decode(
        "(call $log (i32.const 1) (i32.const 8192) (i32.const 3))
         (call $log (i32.const 1) (i32.const 8192) (i32.const 3))
         (call $log (i32.const 1) (i32.const 8300) (i32.const 7))
         (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
    );
    let lines = lines(tracing::Level::INFO, &warns);
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_long_line_is_cut() {
    // Two bytes a character from an odd address on, so that the limit falls into one.
    let long = Guest::new()
        .items(LOG)
        .items(r#"(func $fill (local $i i32)
            (loop $again
                (i32.store16 (i32.add (i32.const 20000) (local.get $i)) (i32.const 0xa9c3))
                (local.set $i (i32.add (local.get $i) (i32.const 2)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 20000))))
            (i32.store8 (i32.const 19999) (i32.const 97)))"#)
        .decode(
            "(call $fill) (call $log (i32.const 0) (i32.const 19999) (i32.const 20001))
             (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
        );
    let lines = lines(tracing::Level::INFO, &long);
    assert_eq!(lines.len(), 1);
    let letters = lines[0].matches('\u{e9}').count();
    assert_eq!(
        letters, 2047,
        "4095 bytes: one letter and 2047 of two bytes"
    );
}

#[test]
fn lines_that_nobody_sees_use_up_nothing() {
    let chatty = Guest::new().items(LOG).decode(
        "(loop $again
            (call $log (i32.const 3) (i32.const 8192) (i32.const 3))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
         (call $log (i32.const 0) (i32.const 8300) (i32.const 7))
         (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))",
    );
    let lines = lines(tracing::Level::INFO, &chatty);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("the end"), "{}", lines[0]);
}
