//! Plugins that do what they can to harm the host (tests/hostile): each costs its own series, and
//! nothing else.

mod culprits;

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::objects::repository;
use crate::harness::parser::Format;
use crate::harness::{Body, Host, Setup, eventually};

/// A unit that counts the test's events, and has nothing to do with the plugin.
const GOOD: &str = "metrics: {counters: [{name: kind_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
/// What a scrape may take, as Prometheus would say it.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Memory of the host beyond what it had before the plugin's first call: twice the plugin's own
/// limit (its memory, and what the host makes of an answer), and some for compiled code.
const SLACK_KIB: u64 = 64 << 10;

/// The component, with what no host has among its imports or without.
pub(crate) fn hostile(armed: bool) -> PathBuf {
    static BUILT: OnceLock<[PathBuf; 2]> = OnceLock::new();
    let built = BUILT.get_or_init(|| [build(false), build(true)]);
    built[usize::from(armed)].clone()
}

fn build(armed: bool) -> PathBuf {
    // Where the host's build has the dependencies built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../guest");
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(repository())
        .args(["build", "--quiet", "--package", "hostile-plugin"])
        .args(["--target", "wasm32-wasip2", "--profile", "guest"])
        .arg("--target-dir")
        .arg(&target)
        .args(armed.then_some("--features=unknown-import"));
    for variable in [
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(variable);
    }
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let built = target.join("wasm32-wasip2/guest/hostile_plugin.wasm");
    let name = if armed { "armed.wasm" } else { "hostile.wasm" };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::copy(built, &kept).unwrap();
    kept
}

/// A host with the plugin, a BPF unit that has nothing to do with it, and a unit of the standard
/// decoders.
fn with_hostile(sidecar: &str) -> Setup {
    let setup = Setup::new()
        .file("hostile.wasm", fs::read(hostile(false)).unwrap())
        .unit("good", "kind-raw_tp", GOOD);
    if sidecar.is_empty() {
        setup
    } else {
        setup.file("hostile.plugin.yaml", sidecar)
    }
}

/// A counter whose label the plugin decodes, doing `what`.
fn decoder(what: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: k4_total, help: Test., labels: [{{name: it, size: 4, decoders: [{{name: uint}}, {{name: hostile, do: {what}}}]}}]}}]}}"
    )
}

/// A metric of the plugin's shaper.
fn shaper(what: &str) -> String {
    format!(
        "metrics: {{shaped: [{{map: k4_total, shaper: hostile, options: {{do: {what}}}, labels: [{{name: it, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

fn collector(options: &str) -> String {
    format!("collectors: [{{name: hostile, options: {options}}}]")
}

/// Answers within its deadline, 200, with the other unit's series, and parses. Gives the body.
fn scrape(host: &Host) -> Body {
    let started = Instant::now();
    let seconds = TIMEOUT.as_secs().to_string();
    let answer = host.get(
        "/metrics",
        &[
            ("Accept", Format::Text.accept()),
            ("X-Prometheus-Scrape-Timeout-Seconds", &seconds),
        ],
    );
    assert_eq!(answer.status, 200);
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    let body = Body::parse(Format::Text, answer.text());
    assert_eq!(
        body.value("ebpf_exporter_kind_total", &[("n", "1")]),
        Some(3.0)
    );
    body
}

/// The plugin's failures, by reason.
fn failures(body: &Body, reason: &str) -> f64 {
    body.value(
        "exporter_host_plugin_traps_total",
        &[("plugin", "hostile"), ("reason", reason)],
    )
    .unwrap_or_default()
}

/// KiB that the host's processes have had at most since they were started or asked to forget.
fn peak(host: &Host) -> u64 {
    host.tree().peak() >> 10
}

/// Runs the host with the unit `bad` through several scrapes; `reason` must be counted, and the log
/// has a line with the plugin and these words.
fn costs_only_itself(sidecar: &str, bad: Bad<'_>, reason: &str, words: &[&str]) -> Host {
    let setup = with_hostile(sidecar);
    let host = match bad {
        Bad::Decoder(what) => setup.unit("bad", "maps", &decoder(what)),
        Bad::Collector(options) => setup.file("bad.yaml", collector(options)),
    }
    .start();
    watch_me(&host);
    fire(1, 3);
    if let Bad::Decoder(_) = bad {
        let map = host.map("k4_total");
        for key in 0..10 {
            map.set(&number(key), 1);
        }
    }
    // What it has without the plugin's doing: the peak begins anew.
    host.tree().forget_peak();
    let before = peak(&host);
    let mut counted = 0.0;
    for _ in 0..4 {
        counted = failures(&scrape(&host), reason);
    }
    let took = peak(&host).saturating_sub(before);
    assert!(counted >= 1.0, "{reason} is counted:\n{}", host.log());
    let limit = if sidecar.contains("256MiB") {
        2 * (256 << 10)
    } else {
        2 * (64 << 10)
    };
    eprintln!("{reason}: {took} KiB more at most");
    assert!(took < limit + SLACK_KIB, "{took} KiB more than before");
    let log = host.log();
    let mut all = vec!["hostile"];
    all.extend(words);
    assert_says(&log, &all);
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
    host
}

#[derive(Clone, Copy)]
enum Bad<'a> {
    /// The decoder's misdeed.
    Decoder(&'a str),
    /// The collector's options.
    Collector(&'a str),
}

const ROOMY: &str = "limits: {memory: 256MiB, output: 8MiB}";

#[test]
fn endless_loop() {
    costs_only_itself("", Bad::Decoder("loop"), "cpu", &["limits.cpu"]);
    costs_only_itself("", Bad::Collector("{do: loop}"), "cpu", &["CPU"]);
}

/// A decoder's sleep is over at once: nothing waits in a scrape of maps. A collector may wait,
/// until its deadline.
#[test]
fn sleep() {
    let host = with_hostile("")
        .unit("slow", "maps", &decoder("sleep"))
        .file(
            "bad.yaml",
            "collectors: [{name: hostile, timeout: 1s, options: {do: sleep}}]",
        )
        .start();
    watch_me(&host);
    fire(1, 3);
    host.map("k4_total").set(&number(1), 1);
    let body = scrape(&host);
    assert_eq!(
        body.value("ebpf_exporter_k4_total", &[("it", "well")]),
        Some(1.0)
    );
    assert_eq!(
        body.value(
            "exporter_host_collector_success",
            &[("collector", "hostile")]
        ),
        Some(0.0)
    );
}

#[test]
fn memory() {
    costs_only_itself("", Bad::Decoder("hog"), "memory", &["64 MiB"]);
    costs_only_itself("", Bad::Collector("{do: hog}"), "memory", &["64 MiB"]);
}

#[test]
fn recursion() {
    costs_only_itself("", Bad::Decoder("recurse"), "trap", &["trapped"]);
    costs_only_itself("", Bad::Collector("{do: recurse}"), "trap", &["trapped"]);
}

#[test]
fn a_trap_in_every_call() {
    costs_only_itself("", Bad::Decoder("trap"), "trap", &["unreachable"]);
    costs_only_itself("", Bad::Collector("{do: trap}"), "trap", &["unreachable"]);
}

/// An instance that has trapped is thrown away, and the row that met its third call is asked about
/// again with a new one: all answers come.
#[test]
fn a_trap_in_every_third_call() {
    let host = with_hostile("")
        .unit("bad", "maps", &decoder("trap-third"))
        .start();
    watch_me(&host);
    fire(1, 3);
    let map = host.map("k4_total");
    for key in 0..9 {
        // Another batch, so another call.
        map.set(&number(key), 1);
        let body = scrape(&host);
        let sum: f64 = body.series("ebpf_exporter_k4_total").values().sum();
        assert_eq!(sum, f64::from(key) + 1.0);
    }
    assert!(failures(&scrape(&host), "trap") >= 2.0);
}

/// What a shaper declares is bounded before it is looked at closely.
#[test]
fn shapers_that_declare_too_much() {
    for (what, words) in [
        ("labels", "80000 labels, the limit is 256"),
        (
            "alike",
            "100000 placements for every key, the limit is 1024",
        ),
    ] {
        let started = Instant::now();
        let host = with_hostile("").unit("bad", "maps", &shaper(what)).start();
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
        watch_me(&host);
        fire(1, 3);
        scrape(&host);
        assert_says(&host.log(), &["bad", "hostile", words]);
    }
}

#[test]
fn malformed_answers_of_a_decoder() {
    for what in ["few", "many", "ends", "rows"] {
        costs_only_itself("", Bad::Decoder(what), "malformed", &["malformed"]);
    }
}

/// Bytes that are no text spoil only their own rows.
#[test]
fn labels_that_are_not_utf8() {
    let host = with_hostile("")
        .unit("bad", "maps", &decoder("utf8"))
        .start();
    watch_me(&host);
    fire(1, 3);
    host.map("k4_total").set(&number(1), 1);
    let body = scrape(&host);
    let shown = body.series("ebpf_exporter_k4_total");
    // Replaced or left out, but never passed on: the body has been parsed.
    assert!(shown.len() <= 1, "{shown:?}");
}

#[test]
fn answers_of_100_megabytes() {
    costs_only_itself(ROOMY, Bad::Decoder("huge"), "output", &["8 MiB"]);
    costs_only_itself(ROOMY, Bad::Collector("{do: huge}"), "output", &["8 MiB"]);
}

#[test]
fn a_million_series() {
    let sidecar = "limits: {memory: 256MiB, output: 200MiB, series: 20000, cpu: 5s}";
    let host = with_hostile(sidecar)
        .file("bad.yaml", collector("{do: million}"))
        .start();
    watch_me(&host);
    fire(1, 3);
    let body = scrape(&host);
    assert!(body.series("hostile_series").is_empty());
    assert_eq!(
        body.value(
            "exporter_host_collector_success",
            &[("collector", "hostile")]
        ),
        Some(0.0)
    );
    assert_says(&host.log(), &["hostile", "20000"]);
    eprintln!("a million series: {} KiB at most", peak(&host));
    assert!(peak(&host) < 1 << 20, "below 1 GiB");
}

#[test]
fn families_that_are_none() {
    for what in ["names", "few", "many", "twice"] {
        costs_only_itself(
            "",
            Bad::Collector(&format!("{{do: {what}}}")),
            "malformed",
            &["malformed"],
        );
    }
}

#[test]
fn a_gigabyte_of_log() {
    for bad in [Bad::Decoder("log"), Bad::Collector("{do: log}")] {
        let setup = with_hostile("limits: {cpu: 1s}");
        let host = match bad {
            Bad::Decoder(what) => setup.unit("bad", "maps", &decoder(what)),
            Bad::Collector(options) => setup.file("bad.yaml", collector(options)),
        }
        .start();
        watch_me(&host);
        fire(1, 3);
        if let Bad::Decoder(_) = bad {
            host.map("k4_total").set(&number(1), 1);
        }
        scrape(&host);
        let log = host.log();
        assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
        assert_says(&log, &["hostile", "log log"]);
    }
}

#[test]
fn files_that_are_not_granted() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::create_dir(at.join("granted")).unwrap();
    fs::write(at.join("granted/file"), "x").unwrap();
    fs::write(at.join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(at.join("secret"), at.join("granted/link")).unwrap();
    std::os::unix::fs::symlink("/etc", at.join("granted/etc")).unwrap();
    std::os::unix::fs::symlink("/proc/self/root/etc/shadow", at.join("granted/magic")).unwrap();
    let root = at.to_str().unwrap();
    let sidecar = format!("grants: {{read: ['{root}/granted/*', /proc/stat]}}");
    let granted = [format!("{root}/granted/file"), "/proc/stat".to_owned()];
    let refused = [
        format!("{root}/secret"),
        format!("{root}/granted/link"),
        format!("{root}/granted/magic"),
        format!("{root}/granted/etc/shadow"),
        format!("{root}/granted/../secret"),
        format!("{root}/granted/./../secret"),
        format!("{root}//secret"),
        "secret".to_owned(),
        "../../../../etc/shadow".to_owned(),
        "/etc/shadow".to_owned(),
        "/proc/1/environ".to_owned(),
        "/proc/self/environ".to_owned(),
        "/proc/self/root/etc/shadow".to_owned(),
        "/proc/stat/../self/environ".to_owned(),
        "/proc/self/fd/0".to_owned(),
        "/dev/zero".to_owned(),
        // Of the directories above what is granted only the names that lead there can be listed.
        "/etc".to_owned(),
        String::new(),
    ];
    let body = tries(&sidecar, "read", &granted, &refused);
    assert!(
        body.value(
            "exporter_host_plugin_denied_total",
            &[("plugin", "hostile"), ("interface", "files")]
        )
        .is_some_and(|denied| denied >= refused.len() as f64 - 1.0)
    );
}

#[test]
fn connections_that_are_not_granted() {
    let granted = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagrams = UdpSocket::bind(other.local_addr().unwrap()).unwrap();
    let (port, another) = (
        granted.local_addr().unwrap().port(),
        other.local_addr().unwrap().port(),
    );
    let refused = [
        format!("127.0.0.1:{another}"),
        format!("[::ffff:127.0.0.1]:{another}"),
        format!("localhost:{port}"),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::1]:{port}"),
        format!("255.255.255.255:{port}"),
        "example.com:80".to_owned(),
        "127.0.0.1".to_owned(),
        String::new(),
    ];
    let sidecar = format!("grants: {{tcp: ['127.0.0.1:{port}']}}");
    let body = tries(
        &sidecar,
        "connect",
        &[format!("127.0.0.1:{port}")],
        &refused,
    );
    assert!(
        body.value(
            "exporter_host_plugin_denied_total",
            &[("plugin", "hostile"), ("interface", "net")]
        )
        .is_some_and(|denied| denied >= refused.len() as f64 - 3.0)
    );
    other.set_nonblocking(true).unwrap();
    assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    datagrams.set_nonblocking(true).unwrap();
    assert_eq!(
        datagrams.recv(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

/// Has the collector try all of these; it must succeed with the first and with none of the second.
fn tries(sidecar: &str, what: &str, granted: &[String], refused: &[String]) -> Body {
    let all: Vec<&String> = granted.iter().chain(refused).collect();
    let options = serde_json::json!({"do": what, "at": all});
    let host = with_hostile(sidecar)
        .file("bad.yaml", collector(&options.to_string()))
        .start();
    watch_me(&host);
    fire(1, 3);
    let body = scrape(&host);
    let tried = body.series("hostile_tried");
    assert_eq!(tried.len(), all.len(), "{}", host.log());
    for (labels, outcome) in tried {
        let at = &labels["label"];
        assert_eq!(outcome == 1.0, granted.contains(at), "{what} {at}");
    }
    assert_says(&host.log(), &["hostile", "denied"]);
    // Counted in the scrape, told in the next.
    scrape(&host)
}

#[test]
fn imports_that_no_host_has() {
    let host = Setup::new()
        .file("armed.wasm", fs::read(hostile(true)).unwrap())
        .unit("good", "kind-raw_tp", GOOD)
        .file("bad.yaml", collector("{do: launch}"))
        .start();
    watch_me(&host);
    fire(1, 3);
    scrape(&host);
    assert_says(&host.log(), &["armed.wasm", "hostile:unknown/weapons"]);
}

/// What is wrong with a request is the caller's to hear, as 400. What is wrong with what was read
/// is a probe that has failed.
#[test]
fn a_probe_that_cannot_be_meant_is_a_400() {
    let host = with_hostile("grants: {read: [/proc/stat]}")
        .file(
            "bad.yaml",
            "collectors: [{name: hostile, mode: probe, options: {do: refuse}}, \
              {name: reads, plugin: hostile/hostile, mode: probe, options: {do: read-and-refuse}}]",
        )
        .start();
    let answer = host.get("/probe?module=hostile&target=x", &[]);
    let text = answer.text();
    assert_eq!(answer.status, 400, "{text}");
    assert_eq!(text, "an invalid request: the target is no host\n");
    let answer = host.get("/probe?module=reads&target=x", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("probe_success 0\n"));
}

/// The log has the line of the sidecar that would have allowed it.
#[test]
fn what_is_denied_says_what_would_allow_it() {
    let host = with_hostile("")
        .file(
            "bad.yaml",
            "collectors: [{name: hostile, options: {do: connect, at: [\"127.0.0.1:9\"]}}, \
              {name: reads, plugin: hostile/hostile, options: {do: read, at: [/etc/hostname]}}]",
        )
        .start();
    assert_eq!(host.get("/metrics", &[]).status, 200);
    // What is read of the log may be a moment behind the answer.
    for line in [
        r#"hostile.plugin.yaml would allow it with `grants: {tcp: [\"127.0.0.1:9\"]}`"#,
        r#"hostile.plugin.yaml would allow it with `grants: {read: [\"/etc/hostname\"]}`"#,
    ] {
        eventually(line, || host.log().contains(line).then_some(()));
    }
}
