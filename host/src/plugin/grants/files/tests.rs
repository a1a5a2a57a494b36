use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::plugin::tests::paths as patterns;

const LIMIT: usize = 16 << 20;

fn read_granted(granted: &[&str], path: &str) -> Result<Vec<u8>, Refused> {
    read(&patterns(granted), path, LIMIT)
}

fn is_denied<T>(answer: Result<T, Refused>) -> bool {
    matches!(answer, Err(Refused::Denied(_)))
}

/// A directory whose own path has no links.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    (directory, path)
}

#[test]
fn a_grant_opens_its_file_and_no_other() {
    let stat = read_granted(&["/proc/stat"], "/proc/stat").unwrap();
    assert!(stat.starts_with(b"cpu "), "a file that says it has 0 bytes");
    for other in [
        "/proc/1/environ",
        "/proc/self/environ",
        "/proc/stat/",
        "/proc//stat",
        "/proc/./stat",
        "/proc/self/../stat",
        "proc/stat",
        "",
        "/proc/stat\0",
        "/etc/passwd",
    ] {
        assert!(is_denied(read_granted(&["/proc/stat"], other)), "{other:?}");
    }
    assert_eq!(
        read_granted(&["/proc/nothing"], "/proc/nothing"),
        Err(Refused::NotFound)
    );
    assert_eq!(
        read_granted(&["/proc/stat/x"], "/proc/stat/x"),
        Err(Refused::NotFound)
    );
}

#[test]
fn a_star_does_not_reach_into_directories() {
    let granted = ["/sys/class/net/*/statistics/*"];
    let bytes = read_granted(&granted, "/sys/class/net/lo/statistics/rx_bytes").unwrap();
    assert!(bytes.ends_with(b"\n"));
    assert!(is_denied(read_granted(&granted, "/sys/class/net/lo/mtu")));
    assert!(is_denied(read_granted(
        &granted,
        "/sys/class/net/lo/statistics/../mtu"
    )));
    assert!(is_denied(read_granted(
        &granted,
        "/sys/class/net/lo/subsystem/lo/statistics/rx_bytes"
    )));
}

#[test]
fn links_that_the_kernel_made_are_followed_inside_its_file_systems() {
    for path in ["/proc/mounts", "/proc/net/dev", "/sys/class/net/lo/mtu"] {
        assert!(!read_granted(&[path], path).unwrap().is_empty(), "{path}");
    }
    // Its doors are not.
    for path in [
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd/Cargo.toml",
        "/proc/self/exe",
        "/proc/self/fd/0",
        "/proc/thread-self/root/etc/passwd",
    ] {
        let answer = read_granted(&["/proc/**", "/etc/**"], path);
        assert!(is_denied(answer), "{path}");
    }
    // Here it may also be the kernel that says no, before it says that this is a door.
    assert!(read_granted(&["/proc/**", "/etc/**"], "/proc/1/root/etc/passwd").is_err());
}

#[test]
fn other_links_lead_only_to_what_is_granted_too() {
    let (_directory, at) = directory();
    let name = |name: &str| at.join(name).to_str().unwrap().to_owned();
    for directory in ["in/..data_1", "out"] {
        fs::create_dir_all(at.join(directory)).unwrap();
    }
    fs::write(at.join("out/secret"), "secret").unwrap();
    fs::write(at.join("in/..data_1/key"), "value").unwrap();
    symlink(at.join("out/secret"), at.join("in/absolute")).unwrap();
    symlink("../out/secret", at.join("in/relative")).unwrap();
    symlink("../out", at.join("in/directory")).unwrap();
    symlink("/proc/self/environ", at.join("in/environ")).unwrap();
    symlink("/proc/self/root/etc/passwd", at.join("in/door")).unwrap();
    symlink("loop", at.join("in/loop")).unwrap();
    symlink("nowhere", at.join("in/dangling")).unwrap();
    // As Kubernetes does it.
    symlink("..data_1", at.join("in/..data")).unwrap();
    symlink("..data/key", at.join("in/key")).unwrap();
    let granted = name("in/**");
    let read = |path: &str| read_granted(&[&granted], &name(path));
    for path in [
        "in/absolute",
        "in/relative",
        "in/directory/secret",
        "in/environ",
        "in/door",
        "in/loop",
    ] {
        assert!(is_denied(read(path)), "{path}");
    }
    assert_eq!(read("in/key").unwrap(), b"value");
    assert_eq!(read("in/dangling"), Err(Refused::NotFound));
    let message = read("in/relative").unwrap_err();
    let expected = format!(
        "{}: it leads to {}",
        name("in/relative"),
        name("out/secret")
    );
    assert_eq!(message, Refused::Denied(expected));
    assert!(
        is_denied(read_granted(&[&name("in/key")], &name("in/key"))),
        "the link alone is granted"
    );
    let both = [&*name("in/relative"), &*name("out/secret")];
    assert_eq!(
        read_granted(&both, &name("in/relative")).unwrap(),
        b"secret"
    );
}

#[test]
fn only_regular_files_are_opened() {
    let (_directory, at) = directory();
    let name = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let pipe = Command::new("mkfifo").arg(at.join("pipe")).status();
    assert!(pipe.unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap();
    for path in [&*name("pipe"), &*name("socket"), &*name(""), "/dev/zero"] {
        let path = if path.len() > 1 {
            path.trim_end_matches('/')
        } else {
            path
        };
        let answer = read_granted(&["/**"], path);
        assert!(is_denied(answer), "{path}");
    }
}

#[test]
fn what_is_read_is_bounded() {
    let (_directory, at) = directory();
    let path = at.join("large").to_str().unwrap().to_owned();
    fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    let granted = patterns(&[&path, "/proc/kallsyms"]);
    assert_eq!(read(&granted, &path, 1 << 20).unwrap().len(), 1 << 20);
    assert_eq!(
        read(&granted, &path, (1 << 20) - 1),
        Err(Refused::TooLarge((1 << 20) - 1))
    );
    let symbols = read(&granted, "/proc/kallsyms", LIMIT).unwrap();
    assert!(symbols.len() > 1 << 20, "{}", symbols.len());
    assert_eq!(
        read(&granted, "/proc/kallsyms", 1000),
        Err(Refused::TooLarge(1000))
    );
}

#[test]
fn directories_show_what_a_grant_could_be_about() {
    let (_directory, at) = directory();
    for path in ["a/x/mtu", "a/y/mtu", "a/y/other", "b/z"] {
        let path = at.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let name = |name: &str| format!("{}/{name}", at.display());
    let granted = patterns(&[&name("a/*/mtu"), &name("c")]);
    let list = |path: &str| list(&granted, &name(path));
    assert_eq!(list("a").unwrap(), ["x", "y"]);
    assert_eq!(list("a/y").unwrap(), ["mtu"]);
    assert!(is_denied(list("b")));
    assert!(is_denied(list("a/y/mtu/z")));
    assert!(matches!(list("a/y/mtu"), Err(Refused::Io(_))));
    let above = super::list(&granted, at.to_str().unwrap()).unwrap();
    assert_eq!(above, ["a"], "c is not there, b is not granted");
    let kind = |path: &str| metadata(&granted, &name(path)).map(|found| found.kind);
    assert_eq!(kind("a/y/mtu"), Ok(FileKind::File));
    assert_eq!(kind("a/y"), Ok(FileKind::Directory));
    assert!(is_denied(kind("b/z")));
    assert_eq!(kind("c"), Err(Refused::NotFound));
    let interfaces = super::list(&patterns(&["/sys/class/net/*/mtu"]), "/sys/class/net").unwrap();
    assert!(interfaces.contains(&"lo".to_owned()), "{interfaces:?}");
}

#[test]
fn metadata_says_when_a_file_was_written() {
    let (_directory, at) = directory();
    let path = at.join("f").to_str().unwrap().to_owned();
    fs::write(&path, "four").unwrap();
    let found = metadata(&patterns(&[&path]), &path).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(
        (found.size, u128::from(found.modified)),
        (4, since.as_nanos())
    );
}

#[test]
fn file_systems_are_granted_on_their_own() {
    let root = patterns(&["/"]);
    let usage = file_system(&root, "/").unwrap();
    assert!(usage.f_blocks > 0);
    assert!(is_denied(file_system(&root, "/proc")));
    assert_eq!(
        i128::from(file_system(&patterns(&["/proc"]), "/proc").unwrap().f_type),
        PROC
    );
}
