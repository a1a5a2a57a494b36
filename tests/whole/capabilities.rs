//! What the processes of a host may still do after its start.

use std::fs;

use crate::harness::identity::{
    CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, USED, confined, mask, of_all_threads,
};
use crate::harness::{Host, Setup, identity};

const YAML: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";

fn setup() -> Setup {
    Setup::new().unit("unit", "events", YAML)
}

/// No thread has or could get more than what is kept by default.
pub(crate) fn only_bpf_and_perfmon(host: &Host) {
    holds(host, &[CAP_BPF, CAP_PERFMON]);
}

fn expect(host: &Host, kept: &[u32]) {
    holds(host, kept);
    still_works(host);
}

/// The loader has exactly these, and the other processes have none at all.
pub(crate) fn holds(host: &Host, kept: &[u32]) {
    let loader = identity::holds(host.loader(), mask(kept));
    let others = host.tree().others();
    let wrong = loader.err().into_iter().chain(
        others
            .iter()
            .filter_map(|process| confined(process, host.loader()).err()),
    );
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{}", host.log());
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
    let host = setup().argument("--log.level=debug").start();
    expect(&host, &[CAP_BPF, CAP_PERFMON]);
    // How many are dropped is said to everybody, which they are at debug.
    let log = host.log().to_lowercase();
    crate::harness::host::assert_says(&log, &["level=info", "dropped"]);
    crate::harness::host::assert_says(&log, &["level=debug", "cap_sys_admin", "drop"]);
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
        for value in of_all_threads(host.loader(), set) {
            assert_eq!(value, mine, "{set}");
        }
    }
    // What the loader keeps is no reason for the others to have anything.
    for process in host.tree().others() {
        confined(&process, host.loader()).unwrap_or_else(|wrong| panic!("{wrong}\n{}", host.log()));
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
