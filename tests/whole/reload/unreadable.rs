//! What is there and cannot be read: nothing is taken for removed, and nothing is waited for.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{asked, count, reload, reload_fails, simple};
use crate::harness::event::{fire, watch_me};
use crate::harness::maps::number;
use crate::harness::objects::object;
use crate::harness::sys::{SIGCONT, SIGSTOP};
use crate::harness::{Host, Setup, http, names};
use crate::pins::{Fixture, PINNED};

const NUMBER: &str = "ebpf_exporter_k4_total";

fn counted(host: &Host) -> Option<f64> {
    host.text().value(NUMBER, &[("n", "1")])
}

#[test]
fn a_sub_directory_that_cannot_be_read_is_not_removed() {
    let fixture = Fixture::of_mode("1777");
    fixture.unit("events", &crate::pins::yaml(PINNED));
    let sub = fixture.path("conf.d/net");
    fs::create_dir(&sub).unwrap();
    fs::copy(object("maps"), sub.join("drops.bpf.o")).unwrap();
    let pinned = "maps: {k4_total: {pin: true}}";
    fs::write(
        sub.join("drops.yaml"),
        format!("{pinned}\n{}", simple("k4_total", "Test.")),
    )
    .unwrap();
    let host = fixture.setup().start();
    host.map("k4_total").set(&number(1), 12345);
    let pin = fixture.path("bpf/exporter-host/net%2Fdrops/k4_total");
    for mode in [0o000, 0o600] {
        fs::set_permissions(&sub, Permissions::from_mode(mode)).unwrap();
        reload_fails(&host, &["net", "failed", "cannot read"]);
        assert_eq!(counted(&host), Some(12345.0), "{mode:o}");
        assert!(pin.exists(), "{mode:o}");
        assert_eq!(host.text().value(names::RELOAD_SUCCESSFUL, &[]), Some(0.0));
        fs::set_permissions(&sub, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(reload(&host), "0 changed, 2 kept, 0 failed\n");
    }
    assert_eq!(counted(&host), Some(12345.0));
    fs::remove_dir_all(&sub).unwrap();
    assert!(reload(&host).contains("net/drops: stop"));
    assert!(!pin.exists());
}

/// A link that leads nowhere for a moment.
#[test]
fn a_linked_sub_directory_that_leads_nowhere_is_not_removed() {
    let elsewhere = tempfile::tempdir().unwrap();
    let sub = elsewhere.path().join("net");
    fs::create_dir(&sub).unwrap();
    fs::copy(object("maps"), sub.join("drops.bpf.o")).unwrap();
    fs::write(sub.join("drops.yaml"), simple("k4_total", "Test.")).unwrap();
    let setup = asked();
    symlink(&sub, setup.path().join("net")).unwrap();
    // This one was never meant as a directory.
    symlink("nowhere", setup.path().join("other")).unwrap();
    let host = setup.start();
    host.map("k4_total").set(&number(1), 7);
    assert_eq!(reload(&host), "0 changed, 2 kept, 0 failed\n");
    fs::rename(&sub, elsewhere.path().join("away")).unwrap();
    reload_fails(&host, &["net", "failed", "cannot read"]);
    assert_eq!(counted(&host), Some(7.0));
    fs::rename(elsewhere.path().join("away"), &sub).unwrap();
    assert_eq!(reload(&host), "0 changed, 2 kept, 0 failed\n");
    fs::remove_file(host.path().join("net")).unwrap();
    assert!(reload(&host).contains("net/drops: stop"));
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn sparse(path: &Path) {
    File::create(path).unwrap().set_len(3 << 30).unwrap();
}

/// The most memory that the loader ever had, in KiB.
fn peak(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.loader())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Named pipes and files without end, wherever the host reads: an error at once.
#[test]
fn odd_files_cost_neither_time_nor_memory() {
    let host = asked().start();
    watch_me(&host);
    fire(3, 2);
    let before = peak(&host);
    let pipe: fn(&Path) = fifo;
    for (make, why) in [(pipe, "regular file"), (sparse, "3221225472 bytes")] {
        for name in ["unit.bpf.o", "unit.yaml", "p.wasm", "q.plugin.yaml"] {
            let path = host.path().join(name);
            let kept = fs::read(&path).ok();
            if name == "q.plugin.yaml" {
                fs::write(host.path().join("q.wasm"), "no component").unwrap();
            }
            let _was_there = fs::remove_file(&path);
            make(&path);
            let began = Instant::now();
            let words = match (name, why) {
                ("unit.yaml" | "q.plugin.yaml", "3221225472 bytes") => {
                    ["failed", "larger than 1 MiB"]
                }
                _ => ["failed", why],
            };
            reload_fails(&host, &words);
            let taken = began.elapsed();
            assert!(taken < Duration::from_secs(5), "{name}: {taken:?}");
            fs::remove_file(&path).unwrap();
            let _was_made = fs::remove_file(host.path().join("q.wasm"));
            if let Some(bytes) = kept {
                fs::write(&path, bytes).unwrap();
            }
            reload(&host);
        }
    }
    fire(3, 1);
    assert_eq!(count(&host, "argument", "3"), Some(3.0));
    let grown = peak(&host) - before;
    assert!(grown < 64 << 10, "{grown} KiB more");
}

/// A reload that does not end costs those who wait for it their connection, and nobody else
/// anything.
#[test]
fn requests_that_wait_for_a_reload_take_nothing_from_scrapes() {
    const WAITING: usize = 80;
    let host = asked().start();
    if crate::harness::tree::one_process() {
        return;
    }
    host.signal(SIGSTOP);
    let statuses: Vec<u16> = std::thread::scope(|threads| {
        let asking: Vec<_> = (0..WAITING)
            .map(|_| threads.spawn(|| http::request(host.address(), "POST", "/-/reload", &[])))
            .collect();
        // Those that are too many are answered at once.
        crate::harness::eventually("some are refused", || {
            let done = asking.iter().filter(|one| one.is_finished()).count();
            (done == WAITING - 64).then_some(())
        });
        for _ in 0..20 {
            let began = Instant::now();
            assert_eq!(host.get("/metrics", &[]).status, 200);
            assert_eq!(host.get("/-/healthy", &[]).status, 200);
            assert!(began.elapsed() < Duration::from_secs(2));
        }
        host.signal(SIGCONT);
        let answers = asking.into_iter().map(|one| one.join().unwrap());
        answers
            .map(|answer| {
                if answer.status == 503 {
                    assert!(
                        answer.text().contains("64 requests wait"),
                        "{}",
                        answer.text()
                    );
                }
                answer.status
            })
            .collect()
    });
    let refused = statuses.iter().filter(|status| **status == 503).count();
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((refused, done), (WAITING - 64, 64));
}

/// At a start, too.
#[test]
fn a_start_says_what_it_cannot_read() {
    let setup = || {
        let setup = Setup::new().unit("unit", "maps", &simple("k4_total", "Test."));
        symlink("loop", setup.path().join("loop")).unwrap();
        setup
    };
    let host = setup().start();
    crate::harness::host::assert_says(&host.log(), &["loop", "cannot read this sub-directory"]);
    assert_eq!(host.text().value(names::RELOAD_SUCCESSFUL, &[]), Some(0.0));
    let strict = setup().run();
    assert_eq!(strict.code, Some(1));
    strict.says(&["--config.strict", "cannot read this sub-directory"]);
    let checked = Setup::verb(&["check"]);
    symlink("loop", checked.path().join("loop")).unwrap();
    let path = checked.path().display().to_string();
    let checked = checked.argument(path).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(
        checked.stdout.contains("loop: error: cannot read"),
        "{}",
        checked.stdout
    );
}
