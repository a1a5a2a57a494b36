//! Files that are no plugins: what the operator is told.

use super::component::{ENGINE, FACTS, Guest};
use crate::plugin::component::Plugin;
use crate::plugin::error::LoadError;

fn refused(bytes: &[u8]) -> String {
    match Plugin::load(&ENGINE, "test", bytes, &FACTS) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_plugin_is_loaded_and_asked_for_its_names() {
    let plugin = Guest::new().names(&["a", "b-2", "C_3"]).load().unwrap();
    assert_eq!(plugin.catalogue().unwrap().decoders, ["a", "b-2", "C_3"]);
}

#[test]
fn files_that_are_no_component() {
    assert!(refused(b"").contains("with nothing, it is empty"));
    assert!(refused(&Guest::new().core()).contains("core WebAssembly module"));
    let preview1 = wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (memory (export "memory") 1))"#,
    )
    .unwrap();
    let message = refused(&preview1);
    assert!(
        message.contains("wasi_snapshot_preview1") && message.contains("wasm32-wasip2"),
        "{message}"
    );
    let machine_code = ENGINE
        .inner()
        .precompile_component(&Guest::new().build())
        .unwrap();
    assert!(refused(&machine_code).contains("precompiled machine code"));
}

#[test]
fn a_file_of_200_mb_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.wasm");
    // Without blocks: it would be zeros if it were read.
    std::fs::File::create(&path)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    let message = crate::plugin::component::read(&path)
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "it has 209715200 bytes; a plugin may have 67108864 at most"
    );
}

#[test]
fn damaged_files() {
    let whole = Guest::new().build();
    for length in [8, 9, 100, whole.len() / 2, whole.len() - 1] {
        let message = refused(&whole[..length]);
        assert!(
            message.contains("cut short or damaged") || message.contains("it exports: nothing"),
            "{length}: {message}"
        );
    }
    let mut flipped = whole;
    for at in (8..flipped.len()).step_by(7) {
        flipped[at] ^= 0x5a;
        // Whatever it has become: an error or a plugin, not a panic.
        if let Ok(plugin) = Plugin::load(&ENGINE, "test", &flipped, &FACTS) {
            let _ = plugin.catalogue();
        }
        flipped[at] ^= 0x5a;
    }
}

#[test]
fn another_version_of_the_interface() {
    let newer =
        Guest::new().edit_wit(|wit| wit.replace("exporter:plugin@0.1.0", "exporter:plugin@0.2.0"));
    assert_eq!(
        refused(&newer.build()),
        "it was built for exporter:plugin@0.2.0, this host knows 0.1.0: build it against the wit/ of this host's version"
    );
}

#[test]
fn no_world_of_ours() {
    let empty = wat::parse_bytes(b"\0asm\x0d\0\x01\0").unwrap().into_owned();
    let message = refused(&empty);
    assert!(message.contains("it exports: nothing"), "{message}");
}

#[test]
fn imports_that_nobody_offers() {
    let collector = Guest::new()
        .world("net-decoder", "world net-decoder { import net; export decoding; }", &[])
        .items(r#"(import "exporter:plugin/net@0.1.0" "[static]tcp-stream.connect" (func $connect (param i32 i32 i32 i32)))"#);
    assert_eq!(
        refused(&collector.build()),
        "it imports exporter:plugin/net@0.1.0, which only plugins with collectors may: build it for the world collector-plugin, or without that import"
    );
    let foreign = Guest::new()
        .world(
            "foreign",
            "world foreign { import acme:things/gadgets@1.0.0; export decoding; }",
            &["package acme:things@1.0.0; interface gadgets { spin: func(); }"],
        )
        .items(r#"(import "acme:things/gadgets@1.0.0" "spin" (func $spin))"#);
    let message = refused(&foreign.build());
    assert!(
        message.starts_with("it imports what this host does not have: build it for the world ")
            && message.contains("acme:things/gadgets@1.0.0"),
        "{message}"
    );
}

#[test]
fn an_interface_of_another_shape() {
    let other = Guest::new()
        .edit_wit(|wit| wit.replace("provisional: list<u32>,", "provisional: list<u64>,"));
    let error = other.load().unwrap().catalogue().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("field provisional: expected `u32` found `u64`"),
        "{error}"
    );
}

#[test]
fn names_that_could_not_be_told_apart() {
    for name in ["", "a/b", "a b", "\u{e9}", "a\n"] {
        let error = Guest::new()
            .names(&["fine", name])
            .load()
            .unwrap()
            .catalogue()
            .unwrap_err();
        assert!(
            matches!(&error, LoadError::BadName(bad) if bad == name),
            "{error:?}"
        );
    }
}
