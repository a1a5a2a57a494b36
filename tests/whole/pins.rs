//! Maps that outlive the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capabilities::only_bpf_and_perfmon;
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::objects::object;
use crate::harness::parser::Format;
use crate::harness::{Body, Host, Setup, eventually};

/// A bpffs of the test's own, and a config directory that outlives hosts.
pub(crate) struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::of_mode("1777")
    }

    /// `mode`: of the bpffs.
    pub(crate) fn of_mode(mode: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("bpf")).unwrap();
        fs::create_dir(directory.path().join("conf.d")).unwrap();
        let fixture = Self { directory };
        let mounted = Command::new("mount")
            .args(["-t", "bpf", "-o", &format!("mode={mode}"), "bpf"])
            .arg(fixture.path("bpf"))
            .status()
            .unwrap();
        assert!(mounted.success(), "a bpffs can be mounted (as root)");
        fixture
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn unit(&self, object_name: &str, yaml: &str) {
        fs::copy(object(object_name), self.path("conf.d/net.1.bpf.o")).unwrap();
        fs::write(self.path("conf.d/net.1.yaml"), yaml).unwrap();
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::new()
            .argument(format!("--config.dir={}", self.path("conf.d").display()))
            .argument(format!(
                "--bpf.pin-dir={}",
                self.path("bpf/exporter-host").display()
            ))
            .argument("--config.watch=off")
            .argument("--web.enable-lifecycle")
    }

    /// What is pinned.
    pub(crate) fn pins(&self) -> Vec<String> {
        let mut names = Vec::new();
        let unit = self.path("bpf/exporter-host/net%2E1");
        for entry in fs::read_dir(unit).into_iter().flatten() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
        names
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg(self.path("bpf"))
            .status()
            .unwrap();
        assert!(unmounted.success() || std::thread::panicking());
    }
}

pub(crate) const PINNED: &str = "maps: {events_total: {pin: true}}";

pub(crate) fn yaml(maps: &str) -> String {
    format!(
        "{maps}\nmetrics: {{counters: [{{name: events_total, help: Test., labels: [\
         {{name: command, size: 16, decoders: [{{name: string}}]}}, {{name: argument, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

pub(crate) fn count(host: &Host) -> Option<f64> {
    host.text()
        .value("ebpf_exporter_events_total", &[("argument", "3")])
}

fn events(body: &str) -> Option<f64> {
    Body::parse(Format::Text, body).value("ebpf_exporter_events_total", &[("argument", "3")])
}

fn reload(host: &Host) -> String {
    let response = crate::harness::http::request(host.address(), "POST", "/-/reload", &[]);
    only_bpf_and_perfmon(host);
    response.text().to_owned()
}

#[test]
fn counts_survive_the_host() {
    let fixture = Fixture::new();
    fixture.unit("events", &yaml(PINNED));
    let host = fixture.setup().start();
    watch_me(&host);
    fire(3, 2);
    let map = host.map("events_total").id();
    assert_eq!(
        (count(&host), fixture.pins()),
        (Some(2.0), vec!["events_total".to_owned()])
    );
    host.stop();
    // Also an upgrade of the object, as long as the map stays what it was.
    for (object, sum) in [("events", 3.0), ("events-again", 4.0)] {
        fixture.unit(object, &yaml(PINNED));
        let host = fixture.setup().start();
        assert_says(&host.log(), &["pinned map taken up", "events_total"]);
        assert_eq!(host.map("events_total").id(), map);
        watch_me(&host);
        fire(3, 1);
        assert_eq!(count(&host), Some(sum));
        host.stop();
    }
    assert_eq!(fixture.pins(), ["events_total"]);
}

#[test]
fn another_definition_begins_anew() {
    let fixture = Fixture::new();
    fixture.unit("events", &yaml(PINNED));
    let host = fixture.setup().start();
    watch_me(&host);
    fire(3, 2);
    host.stop();
    fixture.unit(
        "events",
        &yaml("maps: {events_total: {pin: true, max_entries: 77}}"),
    );
    let host = fixture.setup().start();
    assert_says(
        &host.log(),
        &["cannot be taken up", "events_total", "1024", "77"],
    );
    assert_eq!(count(&host), None);
    watch_me(&host);
    fire(3, 1);
    let body = host.text();
    assert_eq!(
        body.value("exporter_host_map_max_entries", &[("map", "events_total")]),
        Some(77.0)
    );
    host.stop();
    let host = fixture.setup().start();
    assert_eq!(count(&host), Some(1.0));
}

#[test]
fn another_layout_begins_anew() {
    let fixture = Fixture::new();
    let yaml = "maps: {io: {pin: true}, kept_total: {pin: true}}\nmetrics: {counters: [\
        {name: reads_total, map: io, value: reads, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}, \
        {name: kept_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    fixture.unit("layout", yaml);
    let host = fixture.setup().start();
    let counts = |host: &Host| {
        ["reads_total", "kept_total"].map(|name| {
            let body = host.text();
            body.value(&format!("ebpf_exporter_{name}"), &[("n", "3")])
        })
    };
    watch_me(&host);
    fire(3, 2);
    assert_eq!(counts(&host), [Some(2.0), Some(2.0)]);
    host.stop();
    fixture.unit("layout-again", yaml);
    let host = fixture.setup().start();
    assert_says(
        &host.log(),
        &[
            "map=io",
            "cannot be taken up",
            "the member `reads` of its value was at byte 0, is now at byte 8",
        ],
    );
    assert_says(&host.log(), &["map=kept_total", "counts go on"]);
    watch_me(&host);
    fire(3, 1);
    assert_eq!(counts(&host), [Some(1.0), Some(3.0)]);
}

#[test]
fn pins_come_and_go_with_the_yaml() {
    let fixture = Fixture::new();
    fixture.unit("events", &yaml(""));
    let host = fixture.setup().start();
    watch_me(&host);
    fire(3, 2);
    // By then the capabilities are gone.
    fixture.unit("events", &yaml(PINNED));
    assert!(reload(&host).contains("net.1: replace"));
    assert_eq!(
        (count(&host), fixture.pins()),
        (Some(2.0), vec!["events_total".to_owned()]),
        "{}",
        host.log()
    );
    fixture.unit("events", &yaml("maps: {events_total: {pin: false}}"));
    reload(&host);
    assert_eq!((count(&host), fixture.pins()), (Some(2.0), vec![]));
    fixture.unit("events", &yaml(PINNED));
    reload(&host);
    assert_eq!((count(&host), fixture.pins().len()), (Some(2.0), 1));
    fs::remove_file(fixture.path("conf.d/net.1.yaml")).unwrap();
    assert!(reload(&host).contains("net.1: stop"));
    assert_eq!(fixture.pins(), Vec::<String>::new());
    assert!(!fixture.path("bpf/exporter-host/net%2E1").exists());
}

#[test]
fn a_unit_on_demand_goes_on_counting_where_it_was() {
    let fixture = Fixture::new();
    fixture.unit(
        "events",
        &yaml(&format!("lifecycle: on-demand\nkeepalive: 1s\n{PINNED}")),
    );
    let host = fixture.setup().start();
    let get = || host.get("/metrics/net.1", &[]).text().to_owned();
    get();
    watch_me(&host);
    fire(3, 2);
    let mut lines = host.log_from_now();
    lines.next(&["net.1", "unit stopped"]);
    eventually("it goes on counting", || {
        (events(&get()) == Some(2.0)).then_some(())
    });
    only_bpf_and_perfmon(&host);
}

#[test]
fn what_cannot_be_pinned_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let pins = directory.path().join("pins");
    // No bpffs: the unit runs all the same.
    let host = Setup::new()
        .unit("unit", "events", &yaml(PINNED))
        .argument(format!("--bpf.pin-dir={}", pins.display()))
        .start();
    assert_says(&host.log(), &["not in a bpffs", "mount -t bpf"]);
    watch_me(&host);
    fire(3, 1);
    assert_eq!(count(&host), Some(1.0));
    let page = host.get("/", &[]);
    assert!(
        page.text().contains("the map events_total is not pinned"),
        "{}",
        page.text()
    );
    assert!(!Path::new(&pins).exists());
    host.stop();

    let fails = |object_name: &str, maps: &str, words: &[&str]| {
        let setup = Setup::new().unit("unit", object_name, &yaml(maps));
        let ended = setup.own_listener().run();
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        ended.says(words);
    };
    fails(
        "events",
        "maps: {event_total: {pin: true}}",
        &[
            "unit.yaml:1:8",
            "event_total",
            "did you mean `events_total`?",
        ],
    );
    fails(
        "events",
        "maps: {events_total: {max_entries: 0}}",
        &["unit.yaml:1:36", "max_entries"],
    );
    fails(
        "events",
        "maps: {events_total: {max_entries: many}}",
        &["unit.yaml:1:36", "integer"],
    );
    let samples = "maps: {samples_total: {pin: true}}\nmetrics: {counters: [{name: samples_total, help: Test., \
        perf_event_array: true, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let ended = Setup::new()
        .unit("unit", "perf-array", samples)
        .own_listener()
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    ended.says(&["unit.yaml:1:8", "samples_total", "cannot be pinned"]);
}

/// Two hosts would take each other's pins away.
#[test]
fn a_directory_of_pins_is_one_hosts() {
    let fixture = Fixture::new();
    fixture.unit("events", &yaml(PINNED));
    let first = fixture.setup().start();
    assert_eq!(fixture.pins(), ["events_total"]);
    let second = fixture.setup().start();
    assert_says(
        &second.log(),
        &["events_total", "another exporter-host pins"],
    );
    second.stop();
    assert_eq!(fixture.pins(), ["events_total"]);
    first.stop();
    // It is free again.
    let third = fixture.setup().start();
    assert!(
        !third.log().contains("another exporter-host"),
        "{}",
        third.log()
    );
}
