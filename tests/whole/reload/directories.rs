//! Directories that change as a whole.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{changed, events, install, outcome, programs, simple, successful};
use crate::harness::event::{fire, watch_me};
use crate::harness::maps::number;
use crate::harness::objects::object;
use crate::harness::scraper::Scraper;
use crate::harness::sys::SIGHUP;
use crate::harness::{Host, Setup, eventually};

/// Maps of one object and the sizes of their keys: a metric each, so that no two units have the
/// same.
const MAPS: [(&str, usize); 10] = [
    ("k1_total", 1),
    ("k2_total", 2),
    ("k4_total", 4),
    ("k6_total", 6),
    ("k8_total", 8),
    ("k16_total", 16),
    ("k24_total", 24),
    ("k32_total", 32),
    ("k64_total", 64),
    ("hash_total", 4),
];

/// A version of a ConfigMap with ten units, as the kubelet lays it out.
fn version(directory: &Path, name: &str, help: &str) {
    let version = directory.join(name);
    fs::create_dir(&version).unwrap();
    for (map, size) in MAPS {
        let yaml = format!(
            "metrics: {{counters: [{{name: {map}, help: {help}, labels: [{{name: n, size: {size}, decoders: [{{name: hex}}]}}]}}]}}"
        );
        fs::write(version.join(format!("{map}.yaml")), yaml).unwrap();
        fs::copy(object("maps"), version.join(format!("{map}.bpf.o"))).unwrap();
    }
    symlink(name, directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
}

#[test]
fn a_config_map_is_swapped_in_one_reload() {
    let setup = Setup::new();
    version(setup.path(), "..2026_a", "Before.");
    for (map, _) in MAPS {
        for file in [format!("{map}.yaml"), format!("{map}.bpf.o")] {
            symlink(Path::new("..data").join(&file), setup.path().join(&file)).unwrap();
        }
    }
    let host = setup.start();
    for map in host.maps("k4_total") {
        map.set(&number(1), 1);
    }
    let scraper = Scraper::wants(host.address(), &["ebpf_exporter_k4_total{"]);
    let mut lines = host.log_from_now();
    let mut seen = host.log_from_now();
    version(host.path(), "..2026_b", "After.");
    fs::remove_dir_all(host.path().join("..2026_a")).unwrap();
    assert_eq!(changed(&host, &mut lines), (10, 0));
    // One more that has nothing to do, so that all of the directory's doings are behind us.
    host.signal(SIGHUP);
    assert_eq!(outcome(&lines.next(&["msg=reloaded"])), (0, 0));
    scraper.finish();
    let reloads = seen.rest();
    let all: Vec<_> = reloads
        .iter()
        .filter(|line| line.contains("msg=reloaded"))
        .map(|line| outcome(line))
        .filter(|&outcome| outcome != (0, 0))
        .collect();
    assert_eq!(all, [(10, 0)], "{reloads:#?}");
    let family = host.text();
    let family = family
        .family("ebpf_exporter_k4")
        .expect("the family is there");
    assert_eq!(family.help, "After.");
}

/// A host whose config directory is `conf.d` in a directory of the test's.
fn below() -> Host {
    let setup = Setup::new().unit("conf.d/unit", "events", &events("Test.", "argument", ""));
    let directory = format!("--config.dir={}/conf.d", setup.path().display());
    setup.argument(directory).start()
}

#[test]
fn a_directory_vanishes_and_comes_back() {
    let host = below();
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
    let directory = host.path().join("conf.d");
    fs::rename(&directory, host.path().join("away")).unwrap();
    let (done, failed) = changed(&host, &mut lines);
    assert!(done == 0 && failed > 0, "{done} {failed}");
    crate::harness::host::assert_says(&host.log(), &["conf.d", "goes on as it was"]);
    fire(3, 2);
    assert_eq!(super::count(&host, "argument", "3"), Some(4.0));
    assert_eq!(successful(&host, "unit"), (true, false));

    // Another directory of that name, with the unit in another shape and one more.
    let new = host.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::copy(object("events"), new.join("unit.bpf.o")).unwrap();
    fs::copy(object("maps"), new.join("more.bpf.o")).unwrap();
    fs::write(new.join("unit.yaml"), events("Back.", "back", "")).unwrap();
    fs::write(new.join("more.yaml"), simple("k4_total", "More.")).unwrap();
    fs::rename(&new, &directory).unwrap();
    assert_eq!(changed(&host, &mut lines), (2, 0));
    assert_eq!(super::count(&host, "back", "3"), Some(4.0));
    assert_eq!(programs(&host, "unit"), program);
    assert_eq!(successful(&host, "unit"), (true, true));

    // It is this directory that is watched now.
    install(&directory.join("more.yaml"), simple("hash_total", "More."));
    assert_eq!(changed(&host, &mut lines), (1, 0));
    scraper.finish();
}

#[test]
fn a_directory_is_swapped_for_another_one_at_once() {
    let host = below();
    watch_me(&host);
    fire(3, 2);
    let scraper = Scraper::wants(host.address(), &[super::EVENTS]);
    let mut lines = host.log_from_now();
    let directory = host.path().join("conf.d");
    let new = host.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::copy(object("events"), new.join("unit.bpf.o")).unwrap();
    fs::write(new.join("unit.yaml"), events("Other.", "other", "")).unwrap();
    fs::rename(&directory, host.path().join("old")).unwrap();
    fs::rename(&new, &directory).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    scraper.finish();
    assert_eq!(super::count(&host, "other", "3"), Some(2.0));
    // The old one is of no interest any more.
    fs::write(host.path().join("old/further.yaml"), "nonsense").unwrap();
    install(&directory.join("unit.yaml"), events("Third.", "third", ""));
    assert_eq!(changed(&host, &mut lines), (1, 0));
    eventually("the last version counts", || {
        super::count(&host, "third", "3")
    });
}

#[test]
fn sub_directories_come_and_go_with_their_units() {
    let host = Setup::new()
        .unit("unit", "events", &events("Test.", "argument", ""))
        .start();
    let mut lines = host.log_from_now();
    let new = host.path().join(".new");
    fs::create_dir(&new).unwrap();
    fs::copy(object("maps"), new.join("deep.bpf.o")).unwrap();
    fs::write(new.join("deep.yaml"), simple("k4_total", "Deep.")).unwrap();
    fs::rename(&new, host.path().join("sub")).unwrap();
    assert_eq!(changed(&host, &mut lines), (1, 0));
    assert_eq!(successful(&host, "sub/deep"), (true, true));
    // A file in it is noticed too.
    install(
        &host.path().join("sub/deep.yaml"),
        simple("hash_total", "Deep."),
    );
    assert_eq!(changed(&host, &mut lines), (1, 0));
    fs::remove_dir_all(host.path().join("sub")).unwrap();
    // Its files go one by one: the object may have been missed first.
    while host
        .fetch(crate::harness::parser::Format::Text)
        .contains("sub/deep")
    {
        changed(&host, &mut lines);
    }
}
