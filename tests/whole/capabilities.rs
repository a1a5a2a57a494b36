//! What the process may still do after its start.

use std::fs;

use crate::harness::{Host, Setup};

/// What the process may do and could get.
const USED: [&str; 3] = ["CapPrm", "CapEff", "CapBnd"];
/// What a program that it starts would be given: nothing beyond what is kept, and nothing at all is fine.
const HANDED_ON: [&str; 2] = ["CapInh", "CapAmb"];
const CAP_NET_ADMIN: u32 = 12;
pub(crate) const CAP_PERFMON: u32 = 38;
pub(crate) const CAP_BPF: u32 = 39;

const YAML: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";

fn setup() -> Setup {
    Setup::new().unit("unit", "events", YAML)
}

fn mask(capabilities: &[u32]) -> u64 {
    capabilities.iter().map(|bit| 1_u64 << bit).sum()
}

/// A field of /proc/PID/task/TID/status for each thread.
pub(crate) fn of_all_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let values: Vec<String> = threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .map(|status| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            line.split_once(':').unwrap().1.trim().to_owned()
        })
        .collect();
    assert!(!values.is_empty());
    values
}

/// No thread has or could get more than what is kept by default.
pub(crate) fn only_bpf_and_perfmon(host: &Host) {
    holds(host, &[CAP_BPF, CAP_PERFMON]);
}

fn expect(host: &Host, kept: &[u32]) {
    holds(host, kept);
    still_works(host);
}

pub(crate) fn holds(host: &Host, kept: &[u32]) {
    let bits = |set| {
        let values = of_all_threads(host.pid(), set).into_iter();
        values.map(|value| u64::from_str_radix(&value, 16).unwrap())
    };
    for set in USED {
        assert!(
            bits(set).all(|bits| bits == mask(kept)),
            "{set}\n{}",
            host.log()
        );
    }
    for set in HANDED_ON {
        assert!(
            bits(set).all(|bits| bits & !mask(kept) == 0),
            "{set}\n{}",
            host.log()
        );
    }
    assert!(
        of_all_threads(host.pid(), "NoNewPrivs")
            .iter()
            .all(|value| value == "1")
    );
}

/// Reading maps needs no more than was kept.
pub(crate) fn still_works(host: &Host) {
    crate::harness::event::watch_me(host);
    crate::harness::event::fire(3, 2);
    assert_eq!(
        host.text()
            .value("ebpf_exporter_events_total", &[("argument", "3")]),
        Some(2.0)
    );
}

#[test]
fn bpf_and_perfmon_are_kept_by_default() {
    let host = setup().start();
    expect(&host, &[CAP_BPF, CAP_PERFMON]);
    crate::harness::host::assert_says(&host.log().to_lowercase(), &["cap_sys_admin", "drop"]);
}

#[test]
fn none() {
    expect(&setup().argument("--capabilities.keep=none").start(), &[]);
}

#[test]
fn a_list() {
    let host = setup()
        .argument("--capabilities.keep=cap_bpf,cap_perfmon,cap_net_admin")
        .start();
    expect(&host, &[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN]);
}

#[test]
fn all() {
    let host = setup().argument("--capabilities.keep=all").start();
    let me = fs::read_to_string("/proc/self/status").unwrap();
    for set in USED {
        let mine = me
            .lines()
            .find(|line| line.starts_with(set))
            .unwrap()
            .split_once(':')
            .unwrap()
            .1
            .trim();
        for value in of_all_threads(host.pid(), set) {
            assert_eq!(value, mine, "{set}");
        }
    }
    still_works(&host);
}

#[test]
fn an_unknown_name_is_refused() {
    let ended = setup().argument("--capabilities.keep=cap_fly").run();
    assert_ne!(ended.code, Some(0));
    ended.says(&["cap_fly"]);
}

/// What a unit that starts later lacks is named, in the answer to whoever asks for it.
#[test]
fn what_is_missing_later_is_named() {
    let simple = "metrics: {counters: [{name: seen_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    for (keep, capability) in [("none", "CAP_BPF"), ("cap_bpf", "CAP_PERFMON")] {
        let host = setup()
            .unit(
                "asked",
                "attach",
                &format!("lifecycle: on-demand\n{simple}"),
            )
            .argument(format!("--capabilities.keep={keep}"))
            .start();
        let response = host.get("/metrics/asked", &[]);
        assert_eq!(response.status, 503, "{keep}");
        assert!(
            response.text().contains(capability),
            "{keep}: {}",
            response.text()
        );
    }
}
