//! The collectors cpustat, procfs and filesystem, against the files they read and against Debian's
//! node_exporter beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::{Child, Command};

use crate::harness::node_exporter::NodeExporter;
use crate::harness::parser::{Family, Labels};
use crate::harness::{Body, Setup, eventually, labels};

const SUCCESS: &str = "exporter_host_collector_success";
const TICKS: &str = "cpustat_time_user_hertz_total";

/// cpustat's samples as /proc/stat has them now.
fn proc_stat() -> BTreeMap<Labels, f64> {
    let text = fs::read_to_string("/proc/stat").unwrap();
    let cpus = text.lines().filter(|line| line.starts_with("cpu"));
    let mut samples = BTreeMap::new();
    for line in cpus.filter(|line| !line.starts_with("cpu ")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        for (mode, column) in [("user", 1), ("system", 3), ("idle", 4)] {
            let labels = labels(&[("cpu", fields[0]), ("mode", mode)]);
            samples.insert(labels, fields[column].parse().unwrap());
        }
    }
    samples
}

#[test]
fn cpustat_agrees_with_proc_stat_before_and_after() {
    let host = Setup::new().example("cpustat").start();
    // idle may run backwards by a tick: once in a while is enough.
    eventually("cpustat's ticks lie between two reads", || {
        let before = proc_stat();
        let body = host.text();
        let after = proc_stat();
        let ticks = body.series(TICKS);
        assert_eq!(
            ticks.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{}",
            host.log()
        );
        let family = body.family(TICKS.trim_end_matches("_total")).unwrap();
        assert_eq!(family.kind, "counter");
        assert_eq!(
            family.help,
            "Time in USER_HZ a given CPU spent in a given mode."
        );
        assert_eq!(body.value("cpustat_unreadable_lines", &[]), Some(0.0));
        assert_eq!(body.value(SUCCESS, &[("collector", "cpustat")]), Some(1.0));
        let between =
            |(labels, value): (&Labels, &f64)| before[labels] <= *value && *value <= after[labels];
        ticks.iter().all(between).then_some(())
    });
}

#[test]
fn without_its_grant_cpustat_fails_and_nothing_else() {
    let host = Setup::new()
        .example("cpustat")
        .file("cpustat.plugin.yaml", "grants: {read: [/proc/uptime]}\n")
        .example("filesystem")
        .start();
    let body = host.text();
    assert!(body.series(TICKS).is_empty());
    assert_eq!(body.value(SUCCESS, &[("collector", "cpustat")]), Some(0.0));
    assert_eq!(
        body.value(SUCCESS, &[("collector", "filesystem")]),
        Some(1.0)
    );
    let log = host.stop_by(15);
    assert!(log.contains("/proc/stat"), "{log}");
}

/// The families of a collector that node_exporter names; how each of the two says that it went is
/// not among them.
fn families(body: &Body) -> BTreeMap<&str, &Family> {
    let families = body.families.iter().filter(|family| {
        family.name.starts_with("node_")
            && !family.name.starts_with("node_scrape_")
            && !family.name.starts_with("node_exporter_")
    });
    families
        .map(|family| (family.name.as_str(), family))
        .collect()
}

fn samples<'a>(families: &BTreeMap<&'a str, &'a Family>) -> BTreeMap<(&'a str, &'a Labels), f64> {
    let samples = families.values().flat_map(|family| &family.samples);
    samples
        .map(|sample| ((sample.name.as_str(), &sample.labels), sample.value))
        .collect()
}

/// Our collector and node_exporter's, in turns, until each value of theirs has once been between
/// two of ours.
fn agrees(example: &str, collectors: &[&str], only_ours: &[&str], only_theirs: &[&str]) {
    let host = Setup::new().example(example).start();
    let theirs = NodeExporter::start(collectors);
    let mut agreed = BTreeSet::new();
    let mut missing = Vec::new();
    let done = eventually_or(|| {
        let (before, body, after) = (host.text(), theirs.text(), host.text());
        let (before, body, after) = (families(&before), families(&body), families(&after));
        assert!(!before.is_empty(), "{}", host.log());
        for (name, family) in &before {
            match body.get(name) {
                Some(theirs) => assert_eq!(
                    (&family.kind, &family.help),
                    (&theirs.kind, &theirs.help),
                    "{name}"
                ),
                None => assert!(only_ours.contains(name), "node_exporter has no {name}"),
            }
        }
        for name in body.keys().filter(|name| !before.contains_key(*name)) {
            assert!(only_theirs.contains(name), "{example} has no {name}");
        }
        let (before, after) = (samples(&before), samples(&after));
        missing.clear();
        for ((name, labels), theirs) in samples(&body) {
            if only_theirs.iter().any(|only| name.starts_with(only)) {
                continue;
            }
            let ours = (before.get(&(name, labels)), after.get(&(name, labels)));
            let key = format!("{name}{labels:?}");
            if let (Some(a), Some(b)) = ours
                && a.min(*b) <= theirs
                && theirs <= a.max(*b)
            {
                agreed.insert(key.clone());
            }
            if !agreed.contains(&key) {
                missing.push(format!("{key}: theirs {theirs}, ours {ours:?}"));
            }
        }
        let theirs: BTreeSet<_> = samples(&body).into_keys().collect();
        for (name, labels) in before.keys() {
            let only = only_ours.iter().any(|only| name.starts_with(only));
            if !only && !theirs.contains(&(name, labels)) {
                missing.push(format!("{name}{labels:?}: ours only"));
            }
        }
        missing.is_empty()
    });
    assert!(done, "{missing:#?}");
    assert!(agreed.len() >= 6, "{agreed:?}");
}

/// As `eventually`, leaving it to the test to say what is missing.
fn eventually_or(mut ask: impl FnMut() -> bool) -> bool {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        if ask() {
            return true;
        }
        if std::time::Instant::now() > deadline {
            return false;
        }
    }
}

/// The lists are those of examples/collectors/procfs/README.md, with the reasons.
#[test]
fn procfs_agrees_with_node_exporter() {
    agrees(
        "procfs",
        &[
            "loadavg",
            "meminfo",
            "cpu",
            "stat",
            "diskstats",
            "netdev",
            "pressure",
            "filefd",
            "vmstat",
        ],
        &["node_uptime_seconds"],
        &[
            "node_disk_info",
            "node_disk_ata",
            "node_disk_device_mapper_info",
            "node_disk_filesystem_info",
            "node_cpu_core_throttles",
            "node_cpu_package_throttles",
        ],
    );
}

#[test]
fn filesystem_agrees_with_node_exporter() {
    agrees("filesystem", &["filesystem"], &[], &[]);
}

/// A process with a name and an argument of the test's own.
struct Named(Child);

impl Named {
    fn start(directory: &std::path::Path, name: &str, argument: &str) -> Self {
        let program = directory.join(name);
        if !program.exists() {
            fs::copy("/bin/sleep", &program).unwrap();
        }
        Self(
            Command::new(program)
                .args(["1000", argument])
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

const GROUPS: &str = r#"
collectors:
  - name: procfs
    options:
      processes:
        - {comm: "^procfs-(te)st", name: "group-$1"}
        - {comm: "^procfs-absent", name: absent}
"#;

#[test]
fn processes_are_grouped_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let two = ["first", "second"].map(|_| Named::start(directory.path(), "procfs-test", "1"));
    let host = Setup::new()
        .component("procfs")
        .file("procfs.yaml", GROUPS)
        .start();
    let group = &[("groupname", "group-te")];
    let value =
        |body: &Body, name: &str| body.value(&format!("namedprocess_namegroup_{name}"), group);
    // A moment after its start a process still has its parent's name.
    let body = eventually("both processes have their name", || {
        let body = host.text();
        (value(&body, "num_procs") == Some(2.0)).then_some(body)
    });
    assert_eq!(value(&body, "num_threads"), Some(2.0));
    let descriptors: usize = two
        .iter()
        .map(|process| {
            let path = format!("/proc/{}/fd", process.0.id());
            fs::read_dir(path).unwrap().count()
        })
        .sum();
    assert_eq!(value(&body, "open_filedesc"), Some(descriptors as f64));
    let absent = [("groupname", "absent")];
    assert_eq!(
        body.value("namedprocess_namegroup_num_procs", &absent),
        Some(0.0)
    );
    for process in &two {
        let pid = process.0.id().to_string();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("VmRSS"), "{status}");
        let of_pid = [("pid", pid.as_str()), ("mode", "user")];
        let seconds = body.value("namedprocess_namegroup_cpu_seconds_total", &of_pid);
        assert!(seconds.is_some_and(|seconds| seconds < 10.0), "{seconds:?}");
    }
    let resident = [("groupname", "group-te"), ("memtype", "resident")];
    let bytes = body.value("namedprocess_namegroup_memory_bytes", &resident);
    assert!(bytes.is_some_and(|bytes| bytes > 100_000.0), "{bytes:?}");
}

/// What options or processes say may make a collector ask for more. It does not get more than its
/// sidecar grants.
#[test]
fn wider_options_do_not_widen_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let _process = Named::start(directory.path(), "procfs-secret", "4711.0815");
    let host = Setup::new()
        .component("procfs")
        .file(
            "procfs.yaml",
            GROUPS.replace(
                r#"{comm: "^procfs-(te)st", name: "group-$1"}"#,
                "{cmdline: '(4711.*)', name: $1}",
            ),
        )
        .start();
    let body = host.fetch(crate::harness::parser::Format::Text);
    assert!(!body.contains("4711.0815"), "{body}");
    let body = host.text();
    assert_eq!(
        body.value(
            "node_scrape_collector_success",
            &[("collector", "processes")]
        ),
        Some(0.0)
    );
    assert_eq!(
        body.value("node_scrape_collector_success", &[("collector", "meminfo")]),
        Some(1.0)
    );
    let log = host.stop_by(15);
    assert!(
        log.contains("/cmdline") && !log.contains("4711.0815"),
        "{log}"
    );
}
