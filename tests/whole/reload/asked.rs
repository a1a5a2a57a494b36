//! Reloads that somebody asks for.

use std::fs;

use super::{asked, count, events, install, outcome, reload, reload_fails, setup};
use crate::harness::event::{fire, watch_me};
use crate::harness::http;
use crate::harness::sys::SIGHUP;

#[test]
fn by_signal() {
    let host = setup().argument("--config.watch=off").start();
    watch_me(&host);
    fire(3, 2);
    let mut lines = host.log_from_now();
    for label in ["one", "two", "three"] {
        install(&host.path().join("unit.yaml"), events("Test.", label, ""));
        host.signal(SIGHUP);
        assert_eq!(outcome(&lines.next(&["msg=reloaded"])), (1, 0));
        assert_eq!(count(&host, label, "3"), Some(2.0));
    }
}

#[test]
fn by_request() {
    let host = asked().start();
    assert_eq!(reload(&host), "0 changed, 1 kept, 0 failed\n");
    install(
        &host.path().join("unit.yaml"),
        events("Again.", "argument", ""),
    );
    install(&host.path().join("broken.yaml"), "metrics: [");
    // What can be done is done all the same.
    reload_fails(&host, &["broken: failed", "broken.yaml:1:11"]);
    let text = host.fetch(crate::harness::parser::Format::Text);
    assert!(
        text.contains("exporter_host_config_last_reload_successful 0"),
        "{text}"
    );
    fs::remove_file(host.path().join("broken.yaml")).unwrap();
    let message = reload(&host);
    assert!(
        message.starts_with("1 changed, 1 kept, 0 failed\n"),
        "{message}"
    );
    assert!(message.contains("\nbroken: stop\n"), "{message}");
    let get = host.get("/-/reload", &[]);
    assert_eq!(get.status, 405, "reading is no reload");
}

#[test]
fn many_at_once() {
    let host = asked().start();
    watch_me(&host);
    fire(3, 2);
    std::thread::scope(|threads| {
        for number in 0..10 {
            let host = &host;
            threads.spawn(move || {
                install(&host.path().join(format!("copy-{number}.tmp")), "");
                reload(host)
            });
        }
    });
    assert_eq!(count(&host, "argument", "3"), Some(2.0));
}

#[test]
fn not_without_the_flag() {
    let host = setup().argument("--config.watch=off").start();
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert!(matches!(response.status, 404 | 405), "{}", response.status);
    assert!(!host.log().contains("msg=reloaded"), "{}", host.log());
}

/// For file systems that do not tell.
#[test]
fn by_looking() {
    let host = setup().argument("--config.watch=poll").start();
    let mut lines = host.log_from_now();
    install(
        &host.path().join("unit.yaml"),
        events("Again.", "again", ""),
    );
    assert_eq!(super::changed(&host, &mut lines), (1, 0));
}
