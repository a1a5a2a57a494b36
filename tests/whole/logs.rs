//! The log: what comes first, how an end looks, and what is not said again and again.

use std::fs;
use std::net::TcpListener;

use crate::harness::{Setup, eventually};
use crate::hostile::hostile;

const UNIT: &str = "metrics: {counters: [{name: k4_total, help: h, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

#[test]
fn the_first_line_says_which_host_this_is_and_what_it_reads() {
    let setup = Setup::new().unit("unit", "maps", UNIT);
    let directory = setup.path().display().to_string();
    let log = setup.start().stop_by(libc::SIGTERM);
    let first = log.lines().next().unwrap();
    for word in ["version=", &directory] {
        assert!(first.contains(word), "{first}");
    }
    let max_line = log.lines().map(str::len).max().unwrap();
    assert!(max_line < 500, "{log}");
    assert!(!log.contains("CAP_CHOWN"), "{log}");
}

#[test]
fn what_ends_the_host_has_the_form_of_the_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = Setup::new()
        .argument(format!("--web.listen-address={address}"))
        .argument("--log.format=json")
        .run();
    assert_eq!(ended.code, Some(1));
    for line in ended.log.lines() {
        assert!(line.starts_with("{\"time\":"), "{line}");
    }
    assert!(ended.log.contains("the port is in use"), "{}", ended.log);
}

/// What a plugin says is escaped once, and how many lines were held back is said where some were.
#[test]
fn a_line_of_a_plugin_is_escaped_once() {
    let host = Setup::new()
        .file("hostile.wasm", fs::read(hostile(false)).unwrap())
        .file(
            "odd.yaml",
            "collectors: [{name: hostile, options: {do: quote}}]",
        )
        .start();
    let log = eventually("the plugin's line", || {
        host.text();
        let log = host.log();
        log.contains("said").then_some(log)
    });
    let line = log.lines().find(|line| line.contains("said")).unwrap();
    assert!(
        line.contains(r#"msg="it said \"a\\b\" and\nleft""#),
        "{line}"
    );
    assert!(!log.contains("suppressed=0"), "{log}");
    assert!(!log.contains("held_back=0"), "{log}");
}

/// A directory for compiled code that cannot be written to is one line, however many plugins there
/// are.
#[test]
fn a_full_cache_is_said_once() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path().canonicalize().unwrap();
    let mount = |words: &[&str]| {
        let done = std::process::Command::new(words[0])
            .args(&words[1..])
            .arg(&path)
            .status();
        assert!(done.unwrap().success(), "{words:?}");
    };
    // One page: no compiled plugin has room.
    mount(&["mount", "-t", "tmpfs", "-o", "size=4k,mode=0700", "none"]);
    let hostile = fs::read(hostile(false)).unwrap();
    let log = {
        let host = Setup::new()
            .unit("unit", "maps", UNIT)
            .file("a.wasm", &hostile)
            .argument(format!("--plugin.cache-dir={}", path.display()))
            .start();
        host.log()
    };
    mount(&["umount"]);
    assert_eq!(log.matches("compiled code is not kept").count(), 1, "{log}");
}
