//! What components reach through their imports.

use std::time::{Duration, Instant};

use wasmtime::Store;

use super::component::Guest;
use super::grants::granting;
use super::{logged, paths, run};
use crate::config::sidecar::Grants;
use crate::plugin::Cells;
use crate::plugin::bindings::exports::exporter::plugin::collecting::{Failure, Request};
use crate::plugin::component::Plugin;
use crate::plugin::engine::{Ticking, epochs};

/// A component with a decoder and a collector, both called `echo`. `collect` fails: as invalid with
/// the content of the file `path`, or as denied with the reason for which it may not be read. So
/// does `decode` answer each row.
pub(super) fn reader(path: &str) -> Guest {
    let length = path.len();
    Guest::new()
        .world(
            "both",
            "world both { import files; export decoding; export collecting; }",
            &[],
        )
        .items(&format!(
            r#"(import "exporter:plugin/files@0.1.0" "read" (func $read (param i32 i32 i32)))
            (data (i32.const 8192) "{path}")
            (func $ask (result i32) (local $at i32)
                (call $read (i32.const 8192) (i32.const {length}) (i32.const 1200))
                (local.set $at (select (i32.const 1216) (i32.const 1208) (i32.load8_u (i32.const 1200))))
                (i32.store8 (i32.const 1300) (i32.const 1))
                (i32.store8 (i32.const 1304) (select (i32.const 3) (i32.const 2) (i32.load8_u (i32.const 1200))))
                (i32.store (i32.const 1308) (i32.load (local.get $at)))
                (i32.store (i32.const 1312) (i32.load (i32.add (local.get $at) (i32.const 4))))
                (i32.const 1300))
            (func (export "exporter:plugin/collecting@0.1.0#catalogue") (result i32)
                (i32.store (i32.const 1104) (i32.const 2048))
                (i32.store (i32.const 1108) (i32.const 1))
                (i32.const 1104))
            (func (export "exporter:plugin/collecting@0.1.0#open") (param i32 i32 i32 i32) (result i32)
                (i32.store8 (i32.const 1088) (i32.const 0))
                (i32.store (i32.const 1092) (i32.const 7))
                (i32.const 1088))
            (func (export "exporter:plugin/collecting@0.1.0#collect") (param i32 i32 i32 i32 i32 i32 i32) (result i32)
                (call $ask))"#
        ))
        .decode(
            "(drop (call $ask))
             (i32.store (i32.const 1400) (i32.load (i32.const 1312)))
             (call $answer (i32.load (i32.const 1308)) (i32.load (i32.const 1312)) (i32.const 1400) (i32.const 1))",
        )
}

/// One call of the first collector, as whoever calls collectors does it.
pub(super) async fn collect(plugin: &Plugin, time: Duration) -> wasmtime::Result<Failure> {
    let collector = plugin.collecting.as_ref().unwrap();
    let mut store = Store::new(collector.pre.engine(), plugin.host_state(None));
    store.limiter(|state| &mut state.memory);
    store.set_epoch_deadline(epochs(time));
    let _ticking = Ticking::start();
    let instance = collector.pre.instantiate_async(&mut store).await?;
    let guest = collector.indices.load(&mut store, &instance)?;
    store.data_mut().enter_until(Instant::now() + time);
    let request = Request {
        target: None,
        params: &[],
        timeout_ms: 0,
    };
    match guest.call_collect(&mut store, 7, request).await? {
        Ok(_) => panic!("the guest always fails"),
        Err(failure) => Ok(failure),
    }
}

#[test]
fn a_component_may_decode_and_collect() {
    let plugin = reader("/proc/stat").load().unwrap();
    let catalogue = plugin.catalogue().unwrap();
    assert_eq!(catalogue.decoders, ["echo"]);
    assert_eq!(catalogue.collectors, ["echo"]);
    let failure = run(collect(&plugin, Duration::from_secs(5))).unwrap();
    assert!(
        matches!(&failure, Failure::Denied(why) if why == "/proc/stat"),
        "{failure:?}"
    );
    assert_eq!(plugin.stats.snapshot().denied, [("files", 1)]);
}

#[test]
fn a_granted_file_reaches_the_component_whole() {
    let read = Grants {
        read: paths(&["/proc/kallsyms"]),
        ..Grants::default()
    };
    let plugin = reader("/proc/kallsyms").load().unwrap();
    let plugin = plugin.with_policy(granting(read));
    let failure = run(collect(&plugin, Duration::from_secs(30))).unwrap();
    let Failure::Invalid(symbols) = failure else {
        panic!("{failure:?}");
    };
    assert!(
        symbols.len() > 1 << 20 && symbols.ends_with('\n'),
        "{}",
        symbols.len()
    );
    assert_eq!(plugin.stats.snapshot().denied, []);
}

#[test]
fn what_is_denied_is_logged_once_for_each_thing() {
    let plugin = reader("/proc/1/environ").load().unwrap();
    let lines = logged(tracing::Level::WARN, || {
        for _ in 0..3 {
            run(collect(&plugin, Duration::from_secs(5))).unwrap();
        }
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("denied to the plugin: /proc/1/environ; ")
            && lines[0].contains("plugin=\"test\" interface=\"files\""),
        "{lines:?}"
    );
    assert_eq!(plugin.stats.snapshot().denied, [("files", 3)]);
}

#[test]
fn a_decoder_has_no_files_even_beside_a_collector() {
    let mut session = reader("/proc/stat").session();
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let input: Cells = [&b"a"[..]].into_iter().collect();
    let answer = session.decode(decoder, &input).unwrap();
    assert_eq!(
        String::from_utf8_lossy(answer.cells.get(0)),
        "files are for collectors: decoders and shapers have none"
    );
}
