//! What a scan makes of plugin files that come, change and go.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Pretender, code, directory, write};
use crate::digest::Digest;
use crate::link::read_sealed;
use crate::loader::plugins::PluginFiles;
use crate::loader::plugins::files::Scan;
use crate::plugin::tests::logged;

fn files(path: &Path) -> PluginFiles {
    PluginFiles::new(vec![path.to_owned()], None)
}

/// Name and component of each plugin of a scan, less the standard one, which has to be the first.
fn plugins(scan: &Scan) -> Vec<(String, String)> {
    let (standard, others) = scan.parts.split_first().unwrap();
    assert_eq!(standard.name, "standard");
    assert!(standard.compiled.is_some());
    let plugins = others.iter().map(|parts| {
        let compiled = parts.compiled.as_ref().unwrap();
        let compiled = read_sealed(compiled, 1000).unwrap();
        let bytes = compiled.strip_prefix(code(b"").as_slice()).unwrap();
        assert_eq!(parts.digest, Digest::of(bytes));
        let bytes = String::from_utf8(bytes.to_vec()).unwrap();
        (parts.name.clone(), bytes)
    });
    plugins.collect()
}

fn owned(plugins: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, bytes): &(&str, &str)| ((*name).to_owned(), (*bytes).to_owned());
    plugins.iter().map(owned).collect()
}

/// Names of files that failed, and why.
fn failed(scan: &Scan) -> Vec<(String, String)> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let failed = scan.failed.iter();
    failed
        .map(|(path, why)| (name(path), why.clone()))
        .collect()
}

#[test]
fn only_what_is_new_is_compiled() {
    let (_directory, path) = directory(&[("b.wasm", "1"), ("a.wasm", "1"), (".c.wasm", "half")]);
    let (mut files, compiler) = (files(&path), Pretender::default());
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "1"), ("b", "1")]));
    assert!(scan.failed.is_empty() && scan.unreadable.is_empty());
    assert_eq!(compiler.asked.take(), ["standard", "a", "b"]);

    write(&path, "b.wasm", "2");
    write(&path, "c.wasm", "1");
    let scan = files.scan(&compiler);
    let now = [("a", "1"), ("b", "2"), ("c", "1")];
    assert_eq!(plugins(&scan), owned(&now));
    assert_eq!(compiler.asked.take(), ["b", "c"]);

    fs::remove_file(path.join("a.wasm")).unwrap();
    // As a tool does that writes all files anew.
    write(&path, "c.wasm", "1");
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("b", "2"), ("c", "1")]));
    let again = files.parts();
    let names: Vec<&str> = again.iter().map(|parts| parts.name.as_str()).collect();
    assert_eq!(names, ["standard", "b", "c"]);
    assert_eq!(compiler.asked(), [""; 0]);
}

#[test]
fn a_refusal_is_remembered_and_the_last_good_version_stays() {
    let (_directory, path) = directory(&[("a.wasm", "1"), ("b.wasm", "bad")]);
    let (mut files, compiler) = (files(&path), Pretender::default());
    let refused = |name: &str| (name.to_owned(), "it is bad".to_owned());
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "1")]));
    assert_eq!(failed(&scan), [refused("b.wasm")]);
    assert_eq!(compiler.asked(), ["a", "b"]);

    write(&path, "a.wasm", "bad too");
    for asked in [&["a"][..], &[]] {
        let scan = files.scan(&compiler);
        assert_eq!(plugins(&scan), owned(&[("a", "1")]));
        assert_eq!(failed(&scan), [refused("a.wasm"), refused("b.wasm")]);
        assert_eq!(compiler.asked(), asked);
    }

    write(&path, "a.wasm", "1");
    write(&path, "b.wasm", "worse no more");
    let scan = files.scan(&compiler);
    let now = [("a", "1"), ("b", "worse no more")];
    assert_eq!(plugins(&scan), owned(&now));
    assert!(scan.failed.is_empty());
    assert_eq!(compiler.asked(), ["b"], "what was good is there still");
}

#[test]
fn a_compiler_that_was_lost_is_tried_again() {
    let (_directory, path) = directory(&[("a.wasm", "lost")]);
    let (mut files, compiler) = (files(&path), Pretender::default());
    let scan = files.scan(&compiler);
    let lost = ("a.wasm".to_owned(), "it was lost".to_owned());
    assert_eq!((plugins(&scan), failed(&scan)), (Vec::new(), vec![lost]));
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "lost")]));
}

#[test]
fn a_sidecar_is_part_of_its_plugin() {
    let (_directory, path) = directory(&[("a.wasm", "1")]);
    let (mut files, compiler) = (files(&path), Pretender::default());
    let text = |scan: &Scan| scan.parts[1].sidecar.clone().map(String::from_utf8);
    let granted = |scan: &Scan| -> Vec<String> {
        let granted = scan.granted.iter();
        granted.map(ToString::to_string).collect()
    };
    let scan = files.scan(&compiler);
    assert_eq!((text(&scan), granted(&scan)), (None, Vec::new()));
    assert_eq!(compiler.asked(), ["a"]);

    let grants = "grants: {read: [/proc/stat, /sys/*/x]}";
    write(&path, "a.plugin.yaml", grants);
    let scan = files.scan(&compiler);
    assert_eq!(text(&scan), Some(Ok(grants.to_owned())));
    assert_eq!(granted(&scan), ["/proc/stat", "/sys/*/x"]);

    // What is wrong changes nothing, not even with a new file.
    write(&path, "a.plugin.yaml", "grants: {clok: true}");
    write(&path, "a.wasm", "2");
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "1")]));
    assert_eq!(text(&scan), Some(Ok(grants.to_owned())));
    let [(file, why)] = &failed(&scan)[..] else {
        panic!("{:?}", scan.failed);
    };
    let unknown =
        "a.plugin.yaml:1:10: error: unknown key `clok` in `grants`, did you mean `clock`?";
    assert!(file == "a.wasm" && why.contains(unknown), "{why}");
    assert!(why.starts_with("its sidecar cannot be used: "), "{why}");

    let (found, expected) = (Digest::of(b"2"), Digest::of(b"1"));
    write(&path, "a.plugin.yaml", &format!("sha256: {expected}"));
    let scan = files.scan(&compiler);
    let why = format!(
        "its bytes are not those that its sidecar names: expected SHA-256 {expected}, found {found}"
    );
    assert_eq!(failed(&scan), [("a.wasm".to_owned(), why)]);
    assert_eq!(compiler.asked(), [""; 0], "it never came to that");

    write(&path, "a.plugin.yaml", &format!("sha256: {found}"));
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "2")]));
    assert_eq!(granted(&scan), [""; 0]);

    write(&path, "a.plugin.yaml", &" ".repeat((1 << 20) + 1));
    let why = &failed(&files.scan(&compiler))[0].1;
    assert!(why.starts_with("its sidecar cannot be used: "), "{why}");
}

#[test]
fn a_name_belongs_to_the_first_directory_that_has_it() {
    let (_first, first) = directory(&[("a.wasm", "bad"), ("standard.wasm", "1")]);
    let (_second, second) = directory(&[("a.wasm", "2")]);
    let directories = vec![first.clone(), second.clone(), second.clone()];
    let mut files = PluginFiles::new(directories, None);
    let compiler = Pretender::default();
    let taken = |name: &str| format!("there is a plugin called `{name}` already: rename the file");
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "2")]));
    assert_eq!(scan.parts[1].path, second.join("a.wasm"));
    let wrong = [
        (first.join("a.wasm"), "it is bad".to_owned()),
        (first.join("standard.wasm"), taken("standard")),
        (second.join("a.wasm"), taken("a")),
    ];
    assert_eq!(scan.failed, wrong);
    assert_eq!(compiler.asked(), ["a", "a"]);
    assert_eq!(files.scan(&compiler).failed, wrong);
    assert_eq!(compiler.asked(), [""; 0]);

    write(&first, "a.wasm", "1");
    let scan = files.scan(&compiler);
    assert_eq!(plugins(&scan), owned(&[("a", "1")]));
    assert_eq!(scan.parts[1].path, first.join("a.wasm"));
    assert_eq!(scan.failed.len(), 3, "{:?}", scan.failed);
}

#[test]
fn plugins_of_a_directory_that_cannot_be_read_stay() {
    let (_first, first) = directory(&[("a.wasm", "1")]);
    let (_second, second) = directory(&[("b.wasm", "1")]);
    let removed = first.join("gone");
    fs::create_dir(&removed).unwrap();
    write(&removed, "c.wasm", "1");
    let mut files = PluginFiles::new(vec![first, removed.clone(), second.clone()], None);
    let compiler = Pretender::default();
    files.scan(&compiler);
    fs::remove_dir_all(&removed).unwrap();
    write(&second, "b.wasm", "2");
    let scan = files.scan(&compiler);
    let now = [("a", "1"), ("c", "1"), ("b", "2")];
    assert_eq!(plugins(&scan), owned(&now));
    assert_eq!(scan.unreadable.len(), 1);
    assert_eq!(scan.unreadable[0].0, removed);
    assert!(scan.failed.is_empty());
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let (_directory, path) = directory(&[]);
    fs::create_dir(path.join("directory.wasm")).unwrap();
    std::os::unix::fs::symlink("nowhere", path.join("dangling.wasm")).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(path.join("pipe.wasm"))
        .status();
    assert!(pipe.unwrap().success());
    let scan = files(&path).scan(&Pretender::default());
    let no_file = "it is no regular file".to_owned();
    let missing = "cannot read it: No such file or directory (os error 2)".to_owned();
    let wrong = [
        ("dangling.wasm".to_owned(), missing),
        ("directory.wasm".to_owned(), no_file.clone()),
        ("pipe.wasm".to_owned(), no_file),
    ];
    assert_eq!(failed(&scan), wrong);
}

#[test]
fn orphan_sidecars_are_warned_of_once() {
    let (_directory, path) = directory(&[("a.plugin.yaml", "grants: {}")]);
    let mut files = files(&path);
    let compiler = Pretender::default();
    let log = logged(tracing::Level::WARN, || {
        files.scan(&compiler);
        files.scan(&compiler);
    });
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].contains("there is no plugin"), "{log:?}");
}
