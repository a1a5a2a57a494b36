//! Every kind of program on whatever kernel this is: it counts exactly, or the host says why not
//! and serves on. What each kernel of the table in tests/README.md is expected to do is in
//! tests/kernels/expected; `tests/kernels.sh` compares.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::UdpSocket;

use crate::attach::fire_usdt;
use crate::harness::event::{fire, watch_me};
use crate::harness::network::in_own_namespace;
use crate::harness::{Host, Setup, eventually, names, series};

const YAML: &str = "metrics: {counters: [{name: kind_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
/// A unit of another kind beside it, which has to go on whatever becomes of the first.
pub(crate) const SECOND_UNIT: &str = "metrics: {counters: [{name: seen_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
/// The port that the packet programs look for.
const PORT: u16 = 34997;

/// What a kind of program does on this kernel.
enum Outcome {
    Attached,
    /// Why not.
    Refused(String),
}

/// A host with the kind's unit and one beside it.
fn host(kind: &str) -> (Host, Outcome) {
    let (object, yaml) = match kind {
        "usdt" => ("usdt".to_owned(), YAML.replace("kind_total", "usdt_total")),
        _ => (format!("kind-{kind}"), YAML.to_owned()),
    };
    let host = Setup::new()
        .unit("kind", &object, &yaml)
        .unit("beside", "attach", SECOND_UNIT)
        .start();
    let body = host.text();
    let attached = body
        .series(names::PROGRAM_INFO)
        .into_keys()
        .find(|labels| labels["config"] == "kind")
        .is_some_and(|labels| {
            body.value(names::PROGRAM_ATTACHED, &[("id", &labels["id"])]) == Some(1.0)
        });
    let outcome = if attached {
        Outcome::Attached
    } else {
        Outcome::Refused(why_not(&host.log()))
    };
    (host, outcome)
}

/// The host's own words about the unit that does not count. There must be some.
fn why_not(log: &str) -> String {
    let logged = |words: &str| {
        log.lines()
            .find(|line| line.contains("config=kind") && line.contains(words))
    };
    let line = logged("program not attached: ")
        .or_else(|| logged("unit failed: "))
        .unwrap_or_else(|| panic!("the host says why the unit does not count:\n{log}"));
    let (_, why) = line.split_once(": ").unwrap();
    why.chars().take(200).collect()
}

/// The unit beside counts, and the metrics are served.
fn goes_on(host: &Host) {
    let seen = || -> f64 { host.series("ebpf_exporter_seen_total").values().sum() };
    watch_me(host);
    let before = seen();
    fire(1, 2);
    assert_eq!(seen() - before, 6.0, "three programs see each event");
}

/// One line for the table, where `tests/kernels.sh` wants it.
fn report(kind: &str, result: &str) {
    eprintln!("{kind}: {result}");
    if let Some(path) = env::var_os("EXPORTER_TEST_RESULTS") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{kind}\t{result}").unwrap();
    }
}

fn judge(kind: &str, host: &Host, outcome: Outcome, counts: impl FnOnce(&Host) -> String) {
    let result = match outcome {
        Outcome::Attached => counts(host),
        Outcome::Refused(why) => format!("refused: {why}"),
    };
    report(kind, &result);
    goes_on(host);
}

fn counted(host: &Host) -> f64 {
    host.text()
        .value("ebpf_exporter_kind_total", &[("n", "1")])
        .unwrap_or_default()
}

/// A kind that sees the test's system call.
fn sees_calls(kind: &str) {
    let (host, outcome) = host(kind);
    judge(kind, &host, outcome, |host| {
        watch_me(host);
        fire(1, 7);
        let count = counted(host);
        assert!(
            count == 7.0 || never_fires(kind) && count == 0.0,
            "{kind}: 7 events, {count} counted"
        );
        (if count == 7.0 {
            "counts"
        } else {
            "never fires"
        })
        .to_owned()
    });
}

/// Kernels attach LSM programs also where `bpf` is not among their security modules; then nobody
/// calls them.
fn never_fires(kind: &str) -> bool {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    kind == "lsm" && !modules.split(',').any(|module| module.trim() == "bpf")
}

/// A kind that sees packets.
fn sees_packets(kind: &'static str) {
    in_own_namespace(move || {
        let (host, outcome) = host(kind);
        judge(kind, &host, outcome, |host| {
            let receiver = UdpSocket::bind(("127.0.0.1", PORT)).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut byte = [0];
            for _ in 0..7 {
                sender.send_to(&[1], ("127.0.0.1", PORT)).unwrap();
                receiver.recv(&mut byte).unwrap();
            }
            assert_eq!(counted(host), 7.0, "{kind}");
            "counts".to_owned()
        });
    });
}

#[test]
fn kprobe() {
    sees_calls("kprobe");
}

#[test]
fn kretprobe() {
    sees_calls("kretprobe");
}

#[test]
fn kprobe_multi() {
    sees_calls("kprobe.multi");
}

#[test]
fn fentry() {
    sees_calls("fentry");
}

#[test]
fn fexit() {
    sees_calls("fexit");
}

#[test]
fn tp_btf() {
    sees_calls("tp_btf");
}

#[test]
fn raw_tp() {
    sees_calls("raw_tp");
}

#[test]
fn tracepoint() {
    sees_calls("tracepoint");
}

#[test]
fn uprobe() {
    sees_calls("uprobe");
}

#[test]
fn uretprobe() {
    sees_calls("uretprobe");
}

#[test]
fn uprobe_multi() {
    sees_calls("uprobe.multi");
}

#[test]
fn ringbuf() {
    sees_calls("ringbuf");
}

#[test]
fn lsm() {
    sees_calls("lsm");
}

#[test]
fn xdp() {
    sees_packets("xdp");
}

#[test]
fn tcx() {
    sees_packets("tcx");
}

#[test]
fn cgroup_skb() {
    sees_packets("cgroup_skb");
}

#[test]
fn perf_event() {
    let (host, outcome) = host("perf_event");
    judge("perf_event", &host, outcome, |host| {
        watch_me(host);
        eventually("the clock samples this thread", || {
            (0..1_000_000_u32).for_each(|i| {
                std::hint::black_box(i);
            });
            (counted(host) > 0.0).then_some(())
        });
        "counts".to_owned()
    });
}

#[test]
fn usdt() {
    let (host, outcome) = host("usdt");
    judge("usdt", &host, outcome, |host| {
        fire_usdt();
        assert_eq!(
            host.series("ebpf_exporter_usdt_total"),
            series("n", &[("7", 1.0), ("8", 2.0)])
        );
        "counts".to_owned()
    });
}

/// An iterator runs when somebody reads its link, and nobody does: being attached is all there is.
#[test]
fn iter() {
    let (host, outcome) = host("iter");
    judge("iter", &host, outcome, |_| "attached".to_owned());
}
