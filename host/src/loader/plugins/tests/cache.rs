//! Compiled code is kept, found again, and never taken for what it is not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use super::{Pretender, code, directory};
use crate::digest::Digest;
use crate::link::read_sealed;
use crate::loader::plugins::{Cached, CompileCache};
use crate::plugin::Compile;

fn opened(path: &Path) -> CompileCache {
    CompileCache::for_engine(path, Digest::of(b"engine")).unwrap()
}

/// The names of all files.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn only_entry(path: &Path) -> PathBuf {
    let names = names(path);
    assert_eq!(names.len(), 1, "{names:?}");
    path.join(&names[0])
}

/// Compiles `bytes` through the cache; whether that took a compiler.
fn compiled(cache: &CompileCache, bytes: &[u8]) -> bool {
    let compiler = Pretender::default();
    let compiled = Cached::new(Some(cache), &compiler).compile("p", bytes);
    assert_eq!(read_sealed(compiled.unwrap(), 1000).unwrap(), code(bytes));
    !compiler.asked().is_empty()
}

#[test]
fn what_was_compiled_is_found_again() {
    let (_directory, path) = directory(&[]);
    assert!(compiled(&opened(&path), b"one"));
    assert!(
        !compiled(&opened(&path), b"one"),
        "by another process as well"
    );
    assert!(compiled(&opened(&path), b"two"), "another component");
    let other = CompileCache::for_engine(&path, Digest::of(b"other engine")).unwrap();
    assert!(compiled(&other, b"one"), "another engine");
    assert!(!compiled(&opened(&path), b"one"), "which replaces nothing");
    assert_eq!(names(&path).len(), 3);
}

#[test]
fn a_damaged_entry_is_compiled_anew_and_replaced() {
    let (_directory, path) = directory(&[]);
    let cache = opened(&path);
    compiled(&cache, b"one");
    let entry = only_entry(&path);
    let whole = fs::read(&entry).unwrap();
    let mut damages: Vec<Vec<u8>> = [0, 1, 4, whole.len() / 2, whole.len() - 1]
        .map(|length| whole[..length].to_vec())
        .into();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        damages.push(damaged);
    }
    damages.push(b"\x7fELF, or something else".to_vec());
    for damaged in damages {
        fs::write(&entry, &damaged).unwrap();
        // A bit that means nothing may be turned over; what comes out is right in any case.
        let anew = compiled(&cache, b"one");
        assert!(anew || damaged.len() == whole.len(), "{damaged:?}");
        assert!(!compiled(&cache, b"one"), "replaced");
    }
    assert_eq!(only_entry(&path), entry);
}

#[test]
fn a_directory_of_others_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = directory(&[]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let error = CompileCache::open(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot keep compiled code in {}: others may write there (mode 777): chmod go-w",
            path.display()
        )
    );
    assert!(CompileCache::open(&path.join("missing")).is_err());
}

#[test]
fn an_entry_of_others_is_not_used() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (_directory, path) = directory(&[]);
    let cache = opened(&path);
    compiled(&cache, b"one");
    let entry = only_entry(&path);
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(compiled(&cache, b"one"));
    let elsewhere = path.join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    assert!(compiled(&cache, b"one"));
    assert!(!compiled(&cache, b"one"), "replaced");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&entry, Some(4711), None).unwrap();
        assert!(compiled(&cache, b"one"));
    }
}

/// Whoever may rename a directory above can put another one there.
#[test]
fn it_is_the_directory_that_was_opened() {
    let (_directory, path) = directory(&[]);
    let (inner, other) = (path.join("cache"), path.join("other"));
    fs::create_dir(&inner).unwrap();
    let cache = opened(&inner);
    compiled(&cache, b"one");
    fs::rename(&inner, &other).unwrap();
    fs::create_dir(&inner).unwrap();
    assert!(!compiled(&cache, b"one"));
    assert!(compiled(&cache, b"two"));
    assert_eq!((names(&inner).len(), names(&other).len()), (0, 2));
}

#[test]
fn what_nobody_uses_is_removed() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (_directory, path) = directory(&[("notes.txt", "none of ours"), (".1-1.part", "")]);
    let age = |file: &Path, age: Duration| {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    };
    compiled(&opened(&path), b"one");
    let one = path.join(&names(&path)[1]);
    compiled(&opened(&path), b"two");
    for name in names(&path) {
        age(&path.join(name), 29 * DAY);
    }
    let before = names(&path);
    let left = names_after_open(&path);
    assert_eq!(left, before[1..], "only what was never finished is gone");

    for name in &left {
        age(&path.join(name), 31 * DAY);
    }
    // It is not opened, or it would be gone.
    let cache = CompileCache::for_engine(&path, Digest::of(b"engine"));
    drop(cache);
    assert_eq!(names(&path), ["notes.txt"]);

    compiled(&opened(&path), b"one");
    age(&one, 29 * DAY);
    assert!(!compiled(&opened(&path), b"one"), "used again");
    let used = fs::metadata(&one).unwrap().modified().unwrap();
    assert!(used > SystemTime::now() - DAY);
}

fn names_after_open(path: &Path) -> Vec<String> {
    opened(path);
    names(path)
}

#[test]
fn code_that_cannot_be_kept_is_used() {
    let (_directory, path) = directory(&[]);
    let inner = path.join("cache");
    fs::create_dir(&inner).unwrap();
    let cache = opened(&inner);
    fs::remove_dir(&inner).unwrap();
    assert!(compiled(&cache, b"one"));
    assert!(compiled(&cache, b"one"));
}

#[test]
fn many_can_write_the_same_entry() {
    let (_directory, path) = directory(&[]);
    let large = b"one ".repeat(50_000);
    let digest = Digest::of(&large);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = opened(&path);
                for _ in 0..25 {
                    cache.put(digest, &code(&large));
                    // Whosever it is: from the first one on there is a whole one.
                    assert_eq!(cache.get(digest).unwrap(), code(&large));
                }
            });
        }
    });
    only_entry(&path);
}
