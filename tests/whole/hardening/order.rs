//! What the host asks of the kernel from its start to its end, as strace(1) sees it: in which order, and whether the unit in examples/deploy lets
//! it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{OTHER, for_everybody, setup, user_with};
use crate::collectors::lab;
use crate::collectors::server::Server;
use crate::harness::event::fire;
use crate::harness::objects::{object, repository};
use crate::harness::sys::{SIGHUP, SIGTERM};
use crate::harness::{Host, Setup, eventually};

/// The system calls of a host, in the order in which they began.
struct Trace(Vec<String>);

impl Trace {
    /// Runs the host under strace with what comes before its name, lets `work` do something with it and stops it.
    fn of(setup: Setup, wrapper: &[String], work: impl FnOnce(&Host)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trace");
        let path = file.display().to_string();
        // -D: the host stays our own child, and strace is one of its.
        let mut words = vec!["strace", "-D", "-f", "-s", "256", "-o", &path, "--"];
        words.extend(wrapper.iter().map(String::as_str));
        let nothing = fs::File::open("/dev/null").unwrap();
        let host = setup.wrapped(&words, nothing.into()).start();
        work(&host);
        host.stop_by(SIGTERM);
        let text = eventually("strace is done", || {
            let text = fs::read_to_string(&file).ok()?;
            text.contains("+++ exited with 0 +++").then_some(text)
        });
        let calls = text
            .lines()
            .filter_map(|line| Some(line.split_once(' ')?.1.trim_start()))
            .filter(|call| call.starts_with(|first: char| first.is_ascii_lowercase()))
            .map(str::to_owned);
        // What comes before is not the host's doing.
        let calls: Vec<String> = calls.collect();
        let begin = calls
            .iter()
            .rposition(|call| call.starts_with("execve("))
            .expect("the host is executed");
        Self(calls[begin + 1..].to_vec())
    }

    /// Where the first call with all these words is.
    fn first(&self, words: &[&str]) -> usize {
        self.0
            .iter()
            .position(|call| words.iter().all(|word| call.contains(word)))
            .unwrap_or_else(|| panic!("a call with {words:?}:\n{}", self.0.join("\n")))
    }

    fn names(&self) -> BTreeSet<&str> {
        self.0
            .iter()
            .filter_map(|call| Some(call.split_once('(')?.0))
            .collect()
    }
}

/// Read the config, open what needs privilege, load, attach, drop, and only then start threads, run components, listen: see `privileges` in
/// the host.
#[test]
fn privileges_go_before_anything_runs_that_is_not_ours() {
    let trace = Trace::of(setup(), &[], |host| {
        host.text();
    });
    let order = [
        ("reads the config", trace.first(&["openat(", "unit.yaml"])),
        (
            "opens kallsyms",
            trace.first(&["openat(", "/proc/kallsyms"]),
        ),
        (
            "loads",
            trace.first(&["BPF_PROG_LOAD", "prog_name=\"count_event\""]),
        ),
        (
            "attaches",
            trace.first(&["BPF_RAW_TRACEPOINT_OPEN", "sys_enter"]),
        ),
        ("drops capabilities", trace.first(&["capset("])),
        ("landlock", trace.first(&["landlock_restrict_self("])),
        ("seccomp", trace.first(&["seccomp(SECCOMP_SET_MODE_FILTER"])),
        ("has a second thread", trace.first(&["CLONE_THREAD"])),
        // The dynamic linker maps files; this is what was compiled from a component.
        ("runs a component", trace.first(&["mprotect(", "PROT_EXEC"])),
        ("listens", trace.first(&["listen("])),
    ];
    assert!(order.is_sorted_by_key(|(_, at)| *at), "{order:?}");
}

/// Everything between start and stop, as the user and with the capabilities that systemd gives it.
#[test]
fn the_systemd_unit_allows_what_the_host_calls() {
    let port = Server::start().address.port();
    let counter = |name: &str, more: &str, label: &str| {
        format!("metrics: {{counters: [{{name: {name}, help: Test., {more} labels: [{label}]}}]}}")
    };
    let number = "{name: n, size: 4, decoders: [{name: uint}]}";
    let command = "{name: command, size: 16, decoders: [{name: string}]}";
    let setup = for_everybody()
        .unit("probe", "uprobe", &counter("uprobe_total", "", number))
        .unit("samples", "perf-array", &counter("samples_total", "perf_event_array: true,", &format!("{number}, {command}")))
        .unit("asked", "maps", &format!("lifecycle: on-demand\nkeepalive: 1s\n{OTHER}"))
        .file("lab.wasm", fs::read(lab()).unwrap())
        .file(
            "lab.plugin.yaml",
            format!("grants: {{tcp: [\"localhost:{port}\"], dns: [localhost], kernel: [interfaces]}}"),
        )
        .file(
            "lab.yaml",
            format!("collectors: [{{name: asks, plugin: lab, targets: [\"localhost:{port}\"], options: {{does: ask, text: hello}}}}]"),
        );
    let trace = Trace::of(setup, &user_with(",+bpf,+perfmon"), |host| {
        host.text();
        fire(1, 3);
        host.open_metrics();
        assert_eq!(host.get("/", &[]).status, 200);
        assert_eq!(host.get("/metrics/asked", &[]).status, 200);
        let probe = host.get(&format!("/probe?module=asks&target=localhost:{port}"), &[]);
        assert!(probe.text().contains("probe_success 1"), "{}", probe.text());
        let mut lines = host.log_from_now();
        fs::copy(object("maps"), host.path().join("late.bpf.o")).unwrap();
        fs::write(host.path().join("late.yaml"), OTHER).unwrap();
        host.signal(SIGHUP);
        lines.next(&["config=late", "unit running"]);
        host.text();
    });
    let unit = fs::read_to_string(repository().join(UNIT)).unwrap();
    let allowed = system_calls(&unit);
    let refused: Vec<_> = trace
        .names()
        .into_iter()
        .filter(|name| !allowed.contains(*name))
        .collect();
    assert!(refused.is_empty(), "not in SystemCallFilter: {refused:?}");
    let families = unit
        .lines()
        .find_map(|line| line.strip_prefix("RestrictAddressFamilies="))
        .unwrap();
    let families: Vec<&str> = families.split(' ').collect();
    for call in trace.0.iter().filter(|call| call.starts_with("socket(")) {
        let family = call
            .trim_start_matches("socket(")
            .split(',')
            .next()
            .unwrap();
        assert!(families.contains(&family), "{call}");
    }
}

const UNIT: &str = "examples/deploy/systemd/exporter-host.service";

/// RestrictSUIDSGID, which DynamicUser brings with it, refuses a call whose arguments systemd's filter cannot see: plugins read all the same.
#[test]
fn plugins_read_files_where_openat2_is_refused() {
    for error in ["ENOSYS", "EPERM"] {
        let inject = format!("inject=openat2:error={error}");
        let words = ["strace", "-D", "-f", "-o", "/dev/null", "-e", &inject, "--"];
        let host = Setup::new()
            .example("procfs")
            .wrapped(&words, fs::File::open("/dev/null").unwrap().into())
            .start();
        let body = host.text();
        let success = body.series("exporter_host_collector_success");
        assert!(
            success.values().all(|value| *value == 1.0),
            "{success:?}\n{}",
            host.log()
        );
        for family in ["node_load1", "node_memory_MemTotal_bytes"] {
            assert!(
                body.value(family, &[]).is_some(),
                "{family}\n{}",
                host.log()
            );
        }
        // Behind links of /sys and /proc.
        for family in [
            "node_network_receive_bytes_total",
            "node_disk_reads_completed_total",
        ] {
            assert!(!body.series(family).is_empty(), "{family}\n{}", host.log());
        }
    }
}

/// What the unit's SystemCallFilter comes to: a list of what is allowed, from which a later line with `~` takes away, as in systemd.exec(5).
fn system_calls(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::from(["execve".to_owned()]);
    add(&mut allowed, "@default");
    let lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="));
    for line in lines {
        let mut listed = BTreeSet::new();
        for name in line.trim_start_matches('~').split(' ') {
            add(&mut listed, name);
        }
        if line.starts_with('~') {
            allowed.retain(|name| !listed.contains(name));
        } else {
            allowed.extend(listed);
        }
    }
    allowed
}

/// A call, or all of a set with those in it.
fn add(to: &mut BTreeSet<String>, name: &str) {
    if !name.starts_with('@') {
        to.insert(name.to_owned());
        return;
    }
    let output = Command::new("systemd-analyze")
        .args(["--no-pager", "syscall-filter", name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}");
    let members = String::from_utf8(output.stdout).unwrap();
    let members = members.lines().filter(|line| line.starts_with(' '));
    for member in members.map(str::trim).filter(|line| !line.starts_with('#')) {
        add(to, member);
    }
}
