//! How changes are noticed: of what links lead to, and where the kernel has no watches to give.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{changed, install, setup, simple};
use crate::harness::objects::object;
use crate::harness::{Host, Setup, eventually};

const WATCH: &str = "exporter_host_config_watch";

fn mode(host: &Host) -> String {
    let series = host.text().series(WATCH);
    let mut set = series.iter().filter(|(_, value)| **value == 1.0);
    let mode = set.next().expect("there is a mode").0["mode"].clone();
    assert!(set.next().is_none() && series.len() == 3, "{series:?}");
    mode
}

/// A host in a user namespace, whose limits are its own.
fn limited(limit: &str) -> Host {
    let script = format!("echo 0 > /proc/sys/user/{limit}; exec \"$@\"");
    let words = ["unshare", "-Ur", "sh", "-c", &script, "sh"];
    Setup::new()
        .example("cpustat")
        .wrapped(&words, fs::File::open("/dev/null").unwrap().into())
        .start()
}

fn lift(host: &Host, limit: &str) {
    let script = format!("echo 1000 > /proc/sys/user/{limit}");
    let target = host.loader().to_string();
    let done = Command::new("nsenter")
        .args(["--user", "--preserve-credentials", "--target", &target])
        .args(["sh", "-c", &script])
        .status()
        .unwrap();
    assert!(done.success(), "{limit}");
}

fn label(host: &Host, value: &str) {
    let yaml = host.path().join("cpustat.yaml");
    let before = fs::read_to_string(&yaml).unwrap();
    let kept: Vec<&str> = before
        .lines()
        .filter(|line| !line.starts_with("config_labels"))
        .collect();
    let text = format!("{}\nconfig_labels: {{v: \"{value}\"}}\n", kept.join("\n"));
    install(&yaml, text);
    eventually("the change is noticed", || {
        let text = host.fetch(crate::harness::parser::Format::Text);
        text.contains(&format!("v=\"{value}\"")).then_some(())
    });
}

#[test]
fn without_watches_the_directories_are_looked_at_until_there_are_some() {
    for limit in ["max_inotify_instances", "max_inotify_watches"] {
        let host = limited(limit);
        assert_eq!(mode(&host), "poll", "{}", host.log());
        crate::harness::host::assert_says(
            &host.log(),
            &[
                "compared every 2 s",
                limit.trim_start_matches("max_inotify"),
            ],
        );
        label(&host, "one");
        lift(&host, limit);
        eventually("it is watched again", || {
            (mode(&host) == "events").then_some(())
        });
        crate::harness::host::assert_says(&host.log(), &["watched again"]);
        label(&host, "two");
        let warnings = host.log().matches("compared every").count();
        assert_eq!(warnings, 1, "{}", host.log());
    }
}

#[test]
fn the_mode_is_shown() {
    for flag in ["events", "poll", "off"] {
        let host = setup().argument(format!("--config.watch={flag}")).start();
        assert_eq!(mode(&host), flag);
    }
}

/// A directory of links, as stow, Nix and git-sync have it.
fn linked() -> (tempfile::TempDir, Host) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for (release, help) in [("r1", "One."), ("r2", "Two.")] {
        fs::create_dir_all(path(release).join("net")).unwrap();
        for name in ["gen", "net/drops"] {
            fs::copy(object("maps"), path(release).join(format!("{name}.bpf.o"))).unwrap();
        }
        fs::write(path(release).join("gen.yaml"), simple("k4_total", help)).unwrap();
        fs::write(
            path(release).join("net/drops.yaml"),
            simple("hash_total", help),
        )
        .unwrap();
    }
    symlink("r1", path("current")).unwrap();
    let setup = Setup::new();
    for name in ["gen.yaml", "gen.bpf.o", "net"] {
        symlink(path("current").join(name), setup.path().join(name)).unwrap();
    }
    let host = setup.start();
    // Either unit has both.
    for map in host
        .maps("k4_total")
        .into_iter()
        .chain(host.maps("hash_total"))
    {
        map.set(&crate::harness::maps::number(1), 1);
    }
    (directory, host)
}

fn help(host: &Host, family: &str) -> String {
    host.text()
        .family(family)
        .expect("it is there")
        .help
        .clone()
}

#[test]
fn what_links_lead_to_is_watched() {
    let (gen_help, net_help) = ("ebpf_exporter_k4", "ebpf_exporter_hash");
    type Change = fn(&Path);
    let changes: [(Change, usize, [&str; 2]); 5] = [
        (
            |at| fs::write(at.join("r1/gen.yaml"), simple("k4_total", "Two.")).unwrap(),
            1,
            ["Two.", "One."],
        ),
        (
            |at| install(&at.join("r1/gen.yaml"), simple("k4_total", "Two.")),
            1,
            ["Two.", "One."],
        ),
        (
            |at| install(&at.join("r1/net/drops.yaml"), simple("hash_total", "Two.")),
            1,
            ["One.", "Two."],
        ),
        (
            |at| {
                symlink("r2", at.join("tmp")).unwrap();
                fs::rename(at.join("tmp"), at.join("current")).unwrap();
            },
            2,
            ["Two.", "Two."],
        ),
        (
            |at| {
                fs::rename(at.join("r1/net"), at.join("r1/old")).unwrap();
                symlink("../r2/net", at.join("r1/net")).unwrap();
            },
            1,
            ["One.", "Two."],
        ),
    ];
    for (change, units, expected) in changes {
        let (directory, host) = linked();
        let mut lines = host.log_from_now();
        change(directory.path());
        assert_eq!(changed(&host, &mut lines), (units, 0), "{}", host.log());
        assert_eq!([help(&host, gen_help), help(&host, net_help)], expected);
    }
}

/// What happens in hidden directories is nobody's business.
#[test]
fn hidden_directories_are_not_watched() {
    let setup = setup();
    let git = setup.path().join(".git");
    for number in 0..300 {
        fs::create_dir_all(git.join(format!("objects/{number}"))).unwrap();
    }
    let host = setup.start();
    let mut lines = host.log_from_now();
    let inotify = || {
        let directory = format!("/proc/{}/fdinfo", host.loader());
        let files = fs::read_dir(directory).unwrap();
        let texts = files.filter_map(|file| fs::read_to_string(file.ok()?.path()).ok());
        texts
            .map(|text| text.matches("inotify wd:").count())
            .sum::<usize>()
    };
    assert!((1..10).contains(&inotify()), "{}", inotify());
    for number in 0..300 {
        fs::write(git.join(format!("objects/{number}/x.yaml")), "nonsense").unwrap();
    }
    install(
        &host.path().join("unit.yaml"),
        super::events("Again.", "again", ""),
    );
    assert_eq!(changed(&host, &mut lines), (1, 0));
    assert!(!host.log().contains("failed=1"), "{}", host.log());
}
