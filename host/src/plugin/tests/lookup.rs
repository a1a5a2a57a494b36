//! Several plugins in one registry.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::component::Guest;
use super::{files, next};
use crate::plugin::{Offer, Registry};

fn write(directory: &Path, name: &str, bytes: &[u8]) {
    fs::write(directory.join(name), bytes).unwrap();
}

#[test]
fn names_lead_to_plugins() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(
        path,
        "one.wasm",
        &Guest::new().names(&["twin", "alone"]).build(),
    );
    write(
        path,
        "two.wasm",
        &Guest::new().names(&["twin", "uint"]).build(),
    );
    write(path, "broken.wasm", b"#!/bin/sh");
    write(path, "core.wasm", &Guest::new().core());
    write(
        path,
        "traps.wasm",
        &Guest::new().catalogue("(unreachable)").build(),
    );
    write(path, "standard.wasm", &Guest::new().build());
    write(path, ".half-written.wasm", b"");
    write(path, "readme.txt", b"");
    fs::create_dir(path.join("directory.wasm")).unwrap();
    let pipe = Command::new("mkfifo").arg(path.join("pipe.wasm")).status();
    assert!(pipe.unwrap().success());
    std::os::unix::fs::symlink("nowhere", path.join("dangling.wasm")).unwrap();
    let (registry, failed) = next(&Registry::empty(), &mut files(path));

    let names = failed.iter().map(|(path, _)| path.file_name().unwrap());
    let names: Vec<&str> = names.map(|name| name.to_str().unwrap()).collect();
    let wrong = [
        ("broken.wasm", "it is not a WebAssembly component"),
        ("core.wasm", "it is a core WebAssembly module"),
        ("dangling.wasm", "cannot read it"),
        ("directory.wasm", "it is no regular file"),
        ("pipe.wasm", "it is no regular file"),
        ("standard.wasm", "there is a plugin called `standard`"),
        ("traps.wasm", "its catalogue cannot be read"),
    ];
    assert_eq!(names, wrong.map(|(name, _)| name));
    for ((_, found), (_, why)) in failed.iter().zip(wrong) {
        assert!(found.starts_with(why), "{found}");
    }

    let find = |name: &'static str| {
        registry
            .find(Offer::Decoder, name)
            .map(|(plugin, bare)| format!("{} {bare}", plugin.name()))
    };
    assert_eq!(find("alone").unwrap(), "one alone");
    assert_eq!(find("one/twin").unwrap(), "one twin");
    assert_eq!(find("two/twin").unwrap(), "two twin");
    assert_eq!(find("standard/uint").unwrap(), "standard uint");
    assert_eq!(find("static_map").unwrap(), "standard static_map");
    assert_eq!(
        find("twin").unwrap_err().to_string(),
        "the decoder `twin` is offered by several plugins: write `one/twin` or `two/twin`"
    );
    assert_eq!(
        find("uint").unwrap(),
        "standard uint",
        "whoever else has it"
    );
    assert_eq!(find("two/uint").unwrap(), "two uint");
    let unknown = find("static_mop").unwrap_err().to_string();
    assert!(
        unknown.starts_with(
            "no plugin offers the decoder `static_mop`, did you mean `static_map`?; there are: alone, "
        ),
        "{unknown}"
    );
    assert!(find("one/uint").is_err(), "another plugin's name");
    assert!(find("nobody/twin").is_err(), "no such plugin");
    assert!(
        registry.find(Offer::Shaper, "twin").is_err(),
        "decoders are no shapers"
    );
    let names: Vec<String> = registry
        .stats()
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    assert_eq!(names, ["one", "standard", "two"]);
}

#[test]
fn a_successor_takes_over_what_has_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let named = |name| Guest::new().names(&[name]).build();
    for name in ["changed", "damaged", "deleted", "kept"] {
        write(path, &format!("{name}.wasm"), &named(name));
    }
    let mut files = files(path);
    let (first, failed) = next(&Registry::empty(), &mut files);
    assert!(failed.is_empty(), "{failed:?}");
    let session = |name| first.session(first.find(Offer::Decoder, name).unwrap().0);
    let sessions = ["uint", "kept", "changed", "damaged", "deleted"].map(session);
    assert!(sessions.iter().all(|session| first.has(session)));
    let before = first.stats();

    write(path, "changed.wasm", &named("new-name"));
    write(path, "damaged.wasm", b"\0asm");
    fs::remove_file(path.join("deleted.wasm")).unwrap();
    write(path, "added.wasm", &named("added"));
    let (second, failed) = next(&first, &mut files);
    assert!(
        matches!(failed.as_slice(), [(path, why)] if path.ends_with("damaged.wasm")
            && why.starts_with("it is not a WebAssembly component")),
        "{failed:?}"
    );
    assert_eq!(
        sessions.map(|session| second.has(&session)),
        [true, true, false, true, false]
    );
    for name in ["uint", "kept", "new-name", "damaged", "added"] {
        assert!(second.find(Offer::Decoder, name).is_ok(), "{name}");
    }
    for name in ["changed", "deleted"] {
        assert!(second.find(Offer::Decoder, name).is_err(), "{name}");
    }
    let calls = |stats: &[(std::sync::Arc<str>, crate::plugin::Snapshot)]| {
        let changed = stats.iter().find(|(name, _)| &**name == "changed");
        changed.unwrap().1.calls
    };
    assert_eq!(
        calls(&second.stats()),
        calls(&before) + 1,
        "a new version goes on with the counters: one more catalogue"
    );
}
