//! Damaged files beside good ones: each is left out with an error that names it, and the rest goes
//! on.

use std::fs;
use std::path::Path;

use super::component::Guest;
use super::{files, next};
use crate::plugin::compile::{leb128, section};
use crate::plugin::registry::STANDARD;
use crate::plugin::{Offer, Registry};

/// Loads the files; gives what is wrong with those that are left out, by their names.
fn left_out(damaged: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in damaged {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    let good = Guest::new().names(&["good"]).build();
    fs::write(directory.path().join("good.wasm"), good).unwrap();
    let (registry, failed) = next(&Registry::empty(), &mut files(directory.path()));
    assert!(registry.find(Offer::Decoder, "good").is_ok());
    assert!(registry.find(Offer::Decoder, "standard/uint").is_ok());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let failed = failed.into_iter();
    failed.map(|(path, error)| (name(&path), error)).collect()
}

/// All of them have to be left out.
fn refused(files: &[(String, Vec<u8>)]) {
    let failed = left_out(files);
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let wanted: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, wanted);
    for (name, error) in failed {
        assert!(
            !error.contains("compiler failed on it"),
            "{name} is an error of the compiler's: {error}"
        );
    }
}

#[test]
fn cut_short() {
    let lengths = [
        0,
        1,
        4,
        7,
        8,
        9,
        64,
        4096,
        STANDARD.len() / 2,
        STANDARD.len() - 1,
    ];
    let cut: Vec<_> = lengths
        .iter()
        .enumerate()
        .map(|(index, length)| (format!("cut-{index}.wasm"), STANDARD[..*length].to_vec()))
        .collect();
    refused(&cut);
}

#[test]
fn bytes_turned_over() {
    // Some are only another text in its data: those may load.
    const FLIPS: usize = 12;
    let step = STANDARD.len() / FLIPS;
    let flipped = |index: usize| {
        let mut bytes = STANDARD.to_vec();
        for byte in &mut bytes[index * step + 8..][..3] {
            *byte ^= 0xa5;
        }
        (format!("flipped-{index}.wasm"), bytes)
    };
    let files: Vec<_> = (0..FLIPS).map(flipped).collect();
    let failed = left_out(&files);
    assert!(failed.len() > FLIPS / 2, "{failed:?}");
    for (name, _) in failed {
        assert!(files.iter().any(|(known, _)| *known == name), "{name}");
    }
}

const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";

#[test]
fn nested() {
    let mut components = COMPONENT.to_vec();
    for _ in 0..5000 {
        let inner = section(4, &components);
        components = [&COMPONENT[..], &inner].concat();
    }
    // A type that is a list of the one before it.
    let types = 5000_usize;
    let mut lists = Vec::new();
    lists.extend(leb128(types));
    lists.extend([0x70, 0x7d]);
    for index in 0..types - 1 {
        lists.push(0x70);
        lists.extend(leb128(index));
    }
    let lists = [&COMPONENT[..], &section(7, &lists)].concat();
    // The compiler takes a minute for 20000 loops in each other.
    let deep = |depth: usize, open: &str, close: &str| {
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        let module = format!("(module (func (param i32) (result i32) local.get 0 {open} {close}))");
        let module = wat::parse_str(module).unwrap();
        [&COMPONENT[..], &section(1, &module)].concat()
    };
    let blocks = deep(20_000, "block (param i32) (result i32) ", "end ");
    let loops = deep(1000, "loop (param i32) (result i32) ", "end ");
    refused(&[
        ("a-components.wasm".to_owned(), components),
        ("b-lists.wasm".to_owned(), lists),
        ("c-blocks.wasm".to_owned(), blocks),
        ("d-loops.wasm".to_owned(), loops),
        ("e-core.wasm".to_owned(), Guest::new().core()),
    ]);
}
