//! Whose the directories of pinned maps are, and what a host leaves alone in them.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::hardening::{USER, as_user, for_everybody};
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::{Host, Setup};
use crate::pins::{Fixture, PINNED, count, yaml};

const COLLECTOR: &str = "collectors: [{name: cpustat}]";

/// A bpffs at its usual place, or none, for this host alone.
fn with_bpffs(setup: Setup, mount: &str) -> Setup {
    let script = format!("umount -l /sys/fs/bpf 2>/dev/null; {mount}; exec \"$@\"");
    let words = ["unshare", "-m", "sh", "-c", &script, "sh"];
    setup.wrapped(&words, File::open("/dev/null").unwrap().into())
}

const MOUNTS: [&str; 3] = [
    "true",
    "mount -t bpf -o mode=0700 bpf /sys/fs/bpf",
    "mount -t bpf -o mode=1777 bpf /sys/fs/bpf",
];

/// Nothing that no unit uses ends a start, or is warned of.
#[test]
fn a_host_that_pins_nothing_starts_whatever_is_mounted() {
    for mount in MOUNTS {
        let setup = for_everybody().argument(format!("--user={USER}"));
        let host = with_bpffs(setup, mount).start();
        let log = host.log();
        assert!(!log.contains("pin"), "{mount}: {log}");
        host.stop();
    }
}

/// As systemd mounts it: its units' users may not even look into it.
#[test]
fn a_host_without_privileges_says_nothing_of_pins() {
    let setup = (0..3).fold(for_everybody(), |setup, number| {
        setup
            .example("cpustat")
            .file(&format!("unit{number}.yaml"), COLLECTOR)
    });
    fs::remove_file(setup.path().join("unit.yaml")).unwrap();
    let fixture = Fixture::of_mode("0700");
    let pins = fixture.path("bpf/exporter-host");
    let host = as_user(setup, "")
        .argument(format!("--bpf.pin-dir={}", pins.display()))
        .start();
    let log = host.log();
    assert!(!log.contains("pin"), "{log}");
}

/// What a user that may not enter the bpffs pins goes on counting.
#[test]
fn another_user_pins_in_the_directory_that_root_made() {
    for mode in ["0700", "1777"] {
        let fixture = Fixture::of_mode(mode);
        fixture.unit("events", &yaml(PINNED));
        readable(&fixture);
        let start = || {
            let cache = fixture.path("cache");
            fs::create_dir_all(&cache).unwrap();
            std::os::unix::fs::chown(&cache, Some(USER), Some(USER)).unwrap();
            fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
            fixture
                .setup()
                .argument(format!("--user={USER}"))
                .argument(format!("--plugin.cache-dir={}", cache.display()))
                .start()
        };
        let counted = |host: &Host, sum: f64| {
            watch_me(host);
            fire(3, 2);
            assert_eq!(count(host), Some(sum), "{}", host.log());
            assert_eq!(fixture.pins(), ["events_total"], "{mode}: {}", host.log());
        };
        let host = start();
        counted(&host, 2.0);
        host.stop();
        let pins = fs::metadata(fixture.path("bpf/exporter-host")).unwrap();
        assert_eq!((pins.uid(), pins.mode() & 0o777), (USER, 0o700));
        let host = start();
        assert_says(&host.log(), &["pinned map taken up", "events_total"]);
        counted(&host, 4.0);
    }
}

/// Directories that everybody may pass through.
fn readable(fixture: &Fixture) {
    for name in ["", "conf.d"] {
        fs::set_permissions(fixture.path(name), Permissions::from_mode(0o755)).unwrap();
    }
}

/// What somebody without privileges does in a bpffs that everybody may write to.
fn plant(script: &str) {
    let user = USER.to_string();
    let done = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .args(["sh", "-ec", script])
        .status()
        .unwrap();
    assert!(done.success(), "{script}");
}

/// Files that are root's alone, and the config directory's.
fn victim(fixture: &Fixture) -> std::path::PathBuf {
    let victim = fixture.path("victim");
    fs::create_dir(&victim).unwrap();
    for name in ["a.conf", "events_total"] {
        fs::write(victim.join(name), "secret").unwrap();
    }
    fs::set_permissions(&victim, Permissions::from_mode(0o700)).unwrap();
    victim
}

fn untouched(victim: &Path) {
    let mut names: Vec<_> = fs::read_dir(victim)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.conf", "events_total"]);
}

#[test]
fn what_somebody_else_planted_is_not_used() {
    let plants: [(&str, &[&str]); 3] = [
        (
            "mkdir $BPF/exporter-host; ln -s $VICTIM $BPF/exporter-host/net%2E1",
            &["belongs to user 64123"],
        ),
        (
            "ln -s $VICTIM $BPF/exporter-host",
            &["exporter-host is no directory", "link is not followed"],
        ),
        (
            "mkdir $BPF/exporter-host; mkdir -m 777 $BPF/exporter-host/net%2E1; chmod 777 $BPF/exporter-host",
            &["belongs to user 64123"],
        ),
    ];
    for (script, words) in plants {
        for maps in ["", PINNED, "maps: {events_total: {pin: false}}"] {
            let fixture = Fixture::of_mode("1777");
            readable(&fixture);
            let victim = victim(&fixture);
            let script = script
                .replace("$BPF", fixture.path("bpf").to_str().unwrap())
                .replace("$VICTIM", victim.to_str().unwrap());
            plant(&script);
            fixture.unit("events", &yaml(maps));
            // Landlock is not what keeps the host from it.
            let host = fixture.setup().argument("--hardening.landlock=off").start();
            if maps == PINNED {
                assert_says(&host.log(), words);
                assert_says(&host.log(), &["events_total is not pinned"]);
            } else {
                assert!(
                    !host.log().contains("maps cannot be pinned"),
                    "{}",
                    host.log()
                );
            }
            watch_me(&host);
            fire(3, 1);
            assert_eq!(count(&host), Some(1.0));
            host.stop();
            untouched(&victim);
        }
    }
}

/// In a directory that is ours: what is no pinned map is nobody's to remove.
#[test]
fn a_link_in_the_hosts_own_directory_is_left_alone() {
    let fixture = Fixture::of_mode("1777");
    let victim = victim(&fixture);
    let pins = fixture.path("bpf/exporter-host");
    fs::create_dir(&pins).unwrap();
    fs::set_permissions(&pins, Permissions::from_mode(0o700)).unwrap();
    symlink(&victim, pins.join("net%2E1")).unwrap();
    fixture.unit("events", &yaml(PINNED));
    let setup = fixture.setup().argument("--hardening.landlock=off");
    let host = setup.start();
    assert_says(&host.log(), &["net%2E1 is no directory", "events_total"]);
    host.stop();
    untouched(&victim);
    fs::remove_file(pins.join("net%2E1")).unwrap();
    fs::create_dir(pins.join("net%2E1")).unwrap();
    fs::set_permissions(pins.join("net%2E1"), Permissions::from_mode(0o700)).unwrap();
    symlink(victim.join("a.conf"), pins.join("net%2E1/old")).unwrap();
    let host = fixture.setup().argument("--hardening.landlock=off").start();
    assert!(pins.join("net%2E1/events_total").exists());
    fs::remove_file(fixture.path("conf.d/net.1.yaml")).unwrap();
    let reload = crate::harness::http::request(host.address(), "POST", "/-/reload", &[]);
    assert!(reload.text().contains("net.1: stop"), "{}", reload.text());
    host.stop();
    untouched(&victim);
    assert!(pins.join("net%2E1/old").is_symlink());
    assert!(!pins.join("net%2E1/events_total").exists());
}

/// Only who pins removes pins: another host may have made them.
#[test]
fn a_host_that_pins_nothing_leaves_pins_where_they_are() {
    let fixture = Fixture::of_mode("1777");
    fixture.unit("events", &yaml(PINNED));
    let first = fixture.setup().start();
    let map = first.map("events_total").id();
    fixture.unit("events", &yaml(""));
    let other = fixture.setup().start();
    assert!(
        !other.log().contains("another exporter-host"),
        "{}",
        other.log()
    );
    first.stop();
    other.stop();
    assert_eq!(fixture.pins(), ["events_total"]);
    fixture.unit("events", &yaml(PINNED));
    assert_eq!(fixture.setup().start().map("events_total").id(), map);
}

/// A second host on the same port neither counts nor pins.
#[test]
fn a_port_in_use_ends_a_start_before_anything_counts() {
    let fixture = Fixture::of_mode("1777");
    fixture.unit("events", &yaml(PINNED));
    let first = fixture.setup().start();
    watch_me(&first);
    fire(3, 2);
    let map = first.map("events_total").id();
    for maps in [PINNED, "maps: {events_total: {pin: true, max_entries: 77}}"] {
        fixture.unit("events", &yaml(maps));
        let second = fixture
            .setup()
            .own_listener()
            .argument(format!("--web.listen-address={}", first.address()))
            .run();
        assert_eq!(second.code, Some(1), "{}", second.log);
        second.says(&["the port is in use"]);
        assert!(!second.log.contains("config="), "{}", second.log);
    }
    fire(3, 1);
    assert_eq!(count(&first), Some(3.0));
    first.stop();
    fixture.unit("events", &yaml(PINNED));
    let third = fixture.setup().start();
    assert_eq!(third.map("events_total").id(), map);
    assert_eq!(count(&third), Some(3.0));
}
