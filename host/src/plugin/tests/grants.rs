//! What sidecars grant and bound, and what becomes of a plugin when its sidecar changes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::component::Guest;
use super::{files, next};
use crate::config::sidecar::{Grants, KernelFact, Sidecar};
use crate::digest::Digest;
use crate::plugin::grants::PluginPolicy;
use crate::plugin::{CallError, Cells, Offer, Registry, Session, Snapshot};

/// The terms of a sidecar with these grants.
pub(super) fn granting(grants: Grants) -> PluginPolicy {
    PluginPolicy::of(Sidecar {
        digest: Digest::of(b""),
        sha256: None,
        sha256_at: None,
        grants,
        limits: crate::config::sidecar::Limits::default(),
    })
}

/// What `guest` decodes one row to under these grants, and its counters then.
fn decoded(guest: &Guest, grants: Grants) -> (String, Snapshot) {
    let plugin = guest.load().unwrap().with_policy(granting(grants));
    let stats = Arc::clone(&plugin.stats);
    let mut session = Session::new(Arc::new(plugin));
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let input: Cells = [&b"a"[..]].into_iter().collect();
    let answer = session.decode(decoder, &input).unwrap();
    let text = String::from_utf8_lossy(answer.cells.get(0)).into_owned();
    (text, stats.snapshot())
}

/// Answers with `length` bytes at `address`, or with "none" where `known` is 0.
const ANSWER: &str = r#"(data (i32.const 8600) "none")
    (func $say (param $known i32) (param $address i32) (param $length i32) (result i32)
        (if (i32.eqz (local.get $known)) (then
            (local.set $address (i32.const 8600)) (local.set $length (i32.const 4))))
        (i32.store (i32.const 8700) (local.get $length))
        (call $answer (local.get $address) (local.get $length) (i32.const 8700) (i32.const 1)))"#;

#[test]
fn facts_about_the_kernel_are_granted_one_by_one() {
    let guest = Guest::new()
        .items(r#"(import "exporter:plugin/kernel@0.1.0" "interface-names" (func $names (param i32 i32 i32)))"#)
        .items(ANSWER)
        .decode(
            "(i32.store (i32.const 8400) (i32.const 1))
             (call $names (i32.const 8400) (i32.const 1) (i32.const 8500))
             (local.set $i (i32.load (i32.const 8500)))
             (call $say (i32.load8_u (local.get $i)) (i32.load offset=4 (local.get $i)) (i32.load offset=8 (local.get $i)))",
        );
    let kernel = |facts: &[KernelFact]| Grants {
        kernel: facts.iter().copied().collect(),
        ..Grants::default()
    };
    let (text, stats) = decoded(&guest, kernel(&[KernelFact::Interfaces]));
    assert_eq!((text.as_str(), stats.denied), ("lo", vec![]));
    let (text, stats) = decoded(&guest, kernel(&[KernelFact::Symbols, KernelFact::Pci]));
    assert_eq!((text.as_str(), stats.denied), ("none", vec![("kernel", 1)]));
}

#[test]
fn the_environment_is_what_is_granted() {
    let guest = Guest::new()
        .world(
            "talker",
            "world talker { import wasi:cli/environment@0.2.0; export decoding; }",
            &["package wasi:cli@0.2.0; interface environment { get-environment: func() -> list<tuple<string, string>>; }"],
        )
        .items(r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $env (param i32)))"#)
        .items(ANSWER)
        .decode(
            "(call $env (i32.const 8500))
             (local.set $i (i32.load (i32.const 8500)))
             (call $say (i32.load (i32.const 8504)) (i32.load offset=8 (local.get $i)) (i32.load offset=12 (local.get $i)))",
        );
    assert_eq!(decoded(&guest, Grants::default()).0, "none");
    let env = vec![("TZ".to_owned(), "Europe/Berlin".to_owned())];
    let grants = Grants {
        env,
        ..Grants::default()
    };
    assert_eq!(decoded(&guest, grants).0, "Europe/Berlin");
}

#[test]
fn time_stands_still_unless_it_is_granted() {
    let guest = Guest::new()
        .world(
            "timer",
            "world timer { import wasi:clocks/wall-clock@0.2.0; import wasi:clocks/monotonic-clock@0.2.0; export decoding; }",
            &["package wasi:clocks@0.2.0;
               interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
               interface monotonic-clock { now: func() -> u64; }"],
        )
        .items(
            r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
               (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
               (data (i32.const 8650) "runs")"#,
        )
        .items(ANSWER)
        .decode(
            "(call $wall (i32.const 8504))
             (call $say
                (i32.wrap_i64 (i64.or (i64.load (i32.const 8504)) (call $monotonic)))
                (i32.const 8650) (i32.const 4))",
        );
    assert_eq!(decoded(&guest, Grants::default()).0, "none");
    let grants = Grants {
        clock: true,
        ..Grants::default()
    };
    assert_eq!(decoded(&guest, grants).0, "runs");
}

#[test]
fn limits_of_the_sidecar_hold_for_decoders() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(
        path.join("p.wasm"),
        Guest::new()
            .decode("(drop (call $alloc (i32.const 1000000) (i32.const 1))) (call $answer (local.get $bytes) (local.get $bytes_len) (local.get $ends) (local.get $ends_len))")
            .build(),
    )
    .unwrap();
    fs::write(path.join("p.plugin.yaml"), "limits: {memory: 512KiB}").unwrap();
    let (registry, failed) = load(path);
    assert!(failed.is_empty(), "{failed:?}");
    let mut session = registry.session(registry.find(Offer::Decoder, "echo").unwrap().0);
    let decoder = session.open_decoder("echo", "{}").unwrap();
    let input: Cells = [&b"a"[..]].into_iter().collect();
    assert!(matches!(
        session.decode(decoder, &input),
        Err(CallError::Memory(limit)) if limit == 512 << 10
    ));
}

fn load(path: &Path) -> (Registry, Vec<String>) {
    let (registry, failed) = next(&Registry::empty(), &mut files(path));
    (registry, failed.into_iter().map(|(_, why)| why).collect())
}

#[test]
fn a_plugin_is_refused_if_its_bytes_are_not_those_that_were_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let bytes = Guest::new().build();
    let (found, other) = (Digest::of(&bytes), Digest::of(b""));
    fs::write(path.join("p.wasm"), &bytes).unwrap();
    fs::write(path.join("p.plugin.yaml"), format!("sha256: {other}")).unwrap();
    let (registry, failed) = load(path);
    assert_eq!(
        failed,
        [format!(
            "its bytes are not those that its sidecar names: expected SHA-256 {other}, found {found}"
        )]
    );
    assert!(registry.find(Offer::Decoder, "echo").is_err());
    let upper = found.to_string().to_uppercase();
    fs::write(path.join("p.plugin.yaml"), format!("sha256: {upper}")).unwrap();
    assert_eq!(load(path).1, [""; 0]);
}

#[test]
fn a_changed_sidecar_is_a_new_version_of_its_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("p.wasm"), Guest::new().build()).unwrap();
    let sidecar = |text: &str| fs::write(path.join("p.plugin.yaml"), text).unwrap();
    let mut files = files(path);
    let (first, _) = next(&Registry::empty(), &mut files);
    let plugin = |registry: &Registry| Arc::clone(registry.find(Offer::Decoder, "echo").unwrap().0);
    let session = first.session(&plugin(&first));
    let calls = |registry: &Registry| {
        let stats = registry.stats();
        stats
            .iter()
            .find(|(name, _)| &**name == "p")
            .unwrap()
            .1
            .calls
    };
    let before = calls(&first);

    sidecar("grants: {clock: true}");
    let (second, failed) = next(&first, &mut files);
    assert!(failed.is_empty() && !second.has(&session));
    assert!(plugin(&second).policy.grants.clock);
    assert_eq!(
        calls(&second),
        before,
        "it is not asked for its names again"
    );

    let (third, _) = next(&second, &mut files);
    assert!(
        Arc::ptr_eq(&plugin(&second), &plugin(&third)),
        "nothing has changed"
    );

    sidecar("grants: {clok: true}\nlimits: {cpu: 5}");
    let (fourth, failed) = next(&third, &mut files);
    assert!(
        Arc::ptr_eq(&plugin(&third), &plugin(&fourth)),
        "the last good one"
    );
    let [(file, why)] = failed.as_slice() else {
        panic!("{failed:?}");
    };
    assert!(
        file.ends_with("p.wasm") && why.matches("error: ").count() == 2,
        "{why}"
    );

    let (fresh, failed) = load(path);
    assert!(fresh.find(Offer::Decoder, "echo").is_err());
    assert!(
        failed[0].starts_with("its sidecar cannot be used: ")
            && failed[0].contains(
                "p.plugin.yaml:1:10: error: unknown key `clok` in `grants`, did you mean `clock`?; "
            )
            && failed[0].contains("2:15: error: `cpu`: the duration `5`"),
        "{failed:?}"
    );

    fs::remove_file(path.join("p.plugin.yaml")).unwrap();
    let (fifth, failed) = next(&fourth, &mut files);
    assert!(failed.is_empty() && !plugin(&fifth).policy.grants.clock);
}
