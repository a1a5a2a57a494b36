//! What the host asks of the kernel from its start to its end: in which order, and whether the unit
//! in examples/deploy lets it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::trace::Trace;
use super::{OTHER, for_everybody, setup, user_with};
use crate::collectors::lab;
use crate::collectors::server::Server;
use crate::harness::Setup;
use crate::harness::event::fire;
use crate::harness::objects::{object, repository};
use crate::harness::sys::SIGHUP;
use crate::harness::tree::{LOADER, SERVER, STARTER, one_process};

/// The loader: make the starter before anything else, bind, read the config, open what needs
/// privilege, load, attach, give everything away, and only then have threads and a server.
#[test]
fn the_loader_gives_privileges_away_before_there_is_a_server() {
    if one_process() {
        return;
    }
    let trace = trace_of_a_scrape();
    let loader = |words: &[&str]| trace.first(LOADER, words);
    let order = [
        ("makes the starter", trace.first(STARTER, &[])),
        ("listens", loader(&["listen("])),
        ("reads the config", loader(&["openat(", "unit.yaml"])),
        ("opens kallsyms", loader(&["openat(", "/proc/kallsyms"])),
        (
            "loads",
            loader(&["BPF_PROG_LOAD", "prog_name=\"count_event\""]),
        ),
        (
            "attaches",
            loader(&["BPF_RAW_TRACEPOINT_OPEN", "sys_enter"]),
        ),
        ("drops capabilities", trace.last(LOADER, &["capset("])),
        ("landlock", loader(&["landlock_restrict_self("])),
        ("seccomp", loader(&["seccomp(SECCOMP_SET_MODE_FILTER"])),
        ("has a second thread", loader(&["CLONE_THREAD"])),
        ("a server", trace.first(SERVER, &[])),
    ];
    assert!(order.is_sorted_by_key(|(_, at)| *at), "{order:?}");
    // Sockets that could reach anybody, and code that was compiled from a component.
    let seccomp = loader(&["seccomp(SECCOMP_SET_MODE_FILTER"]);
    for socket in trace.from(seccomp, LOADER, &["socket("]) {
        assert!(
            socket.contains("AF_UNIX") || socket.contains("AF_NETLINK"),
            "{socket}"
        );
    }
    let compiled = trace.from(0, LOADER, &["mprotect(", "PROT_EXEC"]);
    assert!(compiled.is_empty(), "{compiled:?}");
}

/// The starter: one thread, and no privilege, before it makes a process. The server: confined
/// before it has a second thread, runs a component or takes a connection. None of them runs a
/// program.
#[test]
fn privileges_go_before_anything_runs_that_is_not_ours() {
    if one_process() {
        return;
    }
    let trace = trace_of_a_scrape();
    let starter = |words: &[&str]| trace.first(STARTER, words);
    let given_away = [
        ("takes its user", starter(&["set", "uid("])),
        ("drops capabilities", starter(&["capset("])),
        ("no new privileges", starter(&["PR_SET_NO_NEW_PRIVS"])),
        ("seccomp", starter(&["seccomp(SECCOMP_SET_MODE_FILTER"])),
    ];
    let forks = trace.forks(STARTER);
    for (what, at) in given_away {
        assert!(
            at < forks,
            "it {what} ({at}) before it makes a process ({forks})"
        );
    }
    let threads = trace.from(0, STARTER, &["CLONE_THREAD"]);
    assert!(threads.is_empty(), "{threads:?}");

    let server = |words: &[&str]| trace.first(SERVER, words);
    let order = [
        ("landlock", server(&["landlock_restrict_self("])),
        ("seccomp", server(&["seccomp(SECCOMP_SET_MODE_FILTER"])),
        ("has a second thread", server(&["CLONE_THREAD"])),
    ];
    assert!(order.is_sorted_by_key(|(_, at)| *at), "{order:?}");
    let confined = order[1].1;
    // The dynamic linker maps files; this is what was compiled from a component.
    for words in [&["mprotect(", "PROT_EXEC"][..], &["accept"]] {
        assert!(server(words) > confined, "{words:?} after {confined}");
    }
    let programs = trace.texts().filter(|call| call.starts_with("execve"));
    assert_eq!(programs.collect::<Vec<_>>(), Vec::<&str>::new());
}

fn trace_of_a_scrape() -> Trace {
    Trace::of(setup(), &[], |host| {
        host.text();
    })
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
    for call in trace.texts().filter(|call| call.starts_with("socket(")) {
        let family = call
            .trim_start_matches("socket(")
            .split(',')
            .next()
            .unwrap();
        assert!(families.contains(&family), "{call}");
    }
}

const UNIT: &str = "examples/deploy/systemd/exporter-host.service";

/// RestrictSUIDSGID, which DynamicUser brings with it, refuses a call whose arguments systemd's
/// filter cannot see: plugins read all the same.
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

/// What the unit's SystemCallFilter comes to: a list of what is allowed, from which a later line
/// with `~` takes away, as in systemd.exec(5).
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
