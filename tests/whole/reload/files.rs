//! Files as people and programs leave them: half written, moved about, beside other files.

use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::Duration;

use super::{changed, events, install, programs, setup, simple, successful};
use crate::harness::event::{fire, watch_me};
use crate::harness::scraper::Scraper;
use crate::harness::sys::SIGHUP;
use crate::harness::{Setup, names};

/// Twice as long as the directory has to be quiet.
const LONG: Duration = Duration::from_millis(500);

const TWO: &str = "\
metrics:
  counters:
    - {name: k4_total, help: First., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}
    - {name: k2_total, help: Second., labels: [{name: n, size: 2, decoders: [{name: uint}]}]}
";

/// The most dangerous half: it is a config of its own.
#[test]
fn a_file_that_is_still_being_written_is_not_read() {
    let host = Setup::new().unit("unit", "maps", TWO).start();
    host.map("k4_total").set(&[1, 0, 0, 0], 1);
    host.map("k2_total").set(&[1, 0], 1);
    let scraper = Scraper::wants(
        host.address(),
        &["ebpf_exporter_k4_total{", "ebpf_exporter_k2_total{"],
    );
    let mut lines = host.log_from_now();
    let new = TWO.replace("First.", "Another.");
    let (half, rest) = new.split_at(new.find("    - {name: k2_total").unwrap());
    let mut file = File::create(host.path().join("unit.yaml")).unwrap();
    thread::sleep(LONG);
    file.write_all(half.as_bytes()).unwrap();
    thread::sleep(LONG);
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    assert_eq!(changed(&host, &mut lines), (1, 0));
    scraper.finish();
    assert!(
        host.fetch(crate::harness::parser::Format::Text)
            .contains("Another.")
    );
}

#[test]
fn a_file_that_was_left_half_written_changes_nothing() {
    let host = setup().start();
    watch_me(&host);
    fire(3, 2);
    let program = programs(&host, "unit");
    let scraper = Scraper::wants(host.address(), &[super::EVENTS]);
    let mut lines = host.log_from_now();
    let new = events("Another.", "which", "");
    fs::write(host.path().join("unit.yaml"), &new[..new.len() / 2]).unwrap();
    assert_eq!(changed(&host, &mut lines), (0, 1));
    assert_eq!(successful(&host, "unit"), (false, false));
    fire(3, 2);
    assert_eq!(super::count(&host, "argument", "3"), Some(4.0));
    fs::write(host.path().join("unit.yaml"), "").unwrap();
    assert_eq!(changed(&host, &mut lines), (0, 1));
    assert_eq!(super::count(&host, "argument", "3"), Some(4.0));
    fs::write(host.path().join("unit.yaml"), new).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    assert_eq!(super::count(&host, "which", "3"), Some(4.0));
    assert_eq!(successful(&host, "unit"), (true, true));
    assert_eq!(programs(&host, "unit"), program);
    scraper.finish();
}

#[test]
fn the_ways_of_editors() {
    let host = setup().start();
    watch_me(&host);
    fire(3, 2);
    let program = programs(&host, "unit");
    let scraper = Scraper::wants(
        host.address(),
        &[
            super::EVENTS,
            "ebpf_exporter_enabled_configs{name=\"unit\"} 1",
        ],
    );
    let mut lines = host.log_from_now();
    let file = |name: &str| host.path().join(name);
    let yaml = file("unit.yaml");

    // Over the file.
    fs::write(&yaml, events("In-place.", "in_place", "")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    // A new file in its place.
    install(&yaml, events("Renamed.", "renamed", ""));
    assert_eq!(changed(&host, &mut lines), (1, 0));
    // Removed and made again.
    fs::remove_file(&yaml).unwrap();
    fs::write(&yaml, events("Created.", "created", "")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    // As vim saves with a backup: can files be made here? Then the old one moves aside.
    fs::write(file(".unit.yaml.swp"), "b0VIM 9.1").unwrap();
    fs::write(file("4913"), "").unwrap();
    fs::remove_file(file("4913")).unwrap();
    fs::rename(&yaml, file("unit.yaml~")).unwrap();
    fs::write(&yaml, events("Vim.", "vim", "")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    // What editors leave behind is nobody's unit.
    for name in ["4913", "#unit.yaml#", "unit.yaml.bak", "sub.yaml.orig"] {
        fs::write(file(name), simple("k4_total", "Test.")).unwrap();
    }
    std::os::unix::fs::symlink("me@here.1:2", file(".#unit.yaml")).unwrap();
    lines.rest();
    host.signal(SIGHUP);
    assert_eq!(super::outcome(&lines.next(&["msg=reloaded"])), (0, 0));

    assert_eq!(super::count(&host, "vim", "3"), Some(2.0));
    assert_eq!(programs(&host, "unit"), program);
    assert_eq!(host.text().series(names::ENABLED_CONFIGS).len(), 1);
    assert_eq!(successful(&host, "unit"), (true, true));
    scraper.finish();
}
