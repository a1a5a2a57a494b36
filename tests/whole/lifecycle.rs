//! From the first line of the log to the last: starting, telling systemd, stopping.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use libbpf_rs::query::ProgInfoIter;

use crate::harness::sys::{SIGINT, SIGTERM};
use crate::harness::{Host, Setup, eventually, http, names};

const YAML: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";

/// Programs that are loaded in the kernel now, by id.
pub(crate) fn loaded() -> Vec<u32> {
    ProgInfoIter::default().map(|program| program.id).collect()
}

/// The ids of this host's programs, by its own account.
pub(crate) fn programs(host: &Host) -> Vec<u32> {
    let info = host.text().series(names::PROGRAM_INFO);
    let ids: Vec<u32> = info
        .keys()
        .map(|labels| labels["id"].parse().unwrap())
        .filter(|&id| id != 0)
        .collect();
    let loaded = loaded();
    assert!(
        !ids.is_empty() && ids.iter().all(|id| loaded.contains(id)),
        "{ids:?} are loaded: {loaded:?}"
    );
    ids
}

/// All kinds of links at once.
pub(crate) fn all_kinds() -> Host {
    let simple = |name: &str| {
        format!(
            "metrics: {{counters: [{{name: {name}, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
        )
    };
    Setup::new()
        .unit("events", "events", YAML)
        .unit("attach", "attach", &simple("seen_total"))
        .unit("perf-event", "perf-event", "metrics: {counters: [{name: ticks_total, help: Test.}]}")
        .unit("uprobe", "uprobe", &simple("uprobe_total"))
        .unit("samples", "perf-array", "metrics: {counters: [{name: samples_total, help: Test., perf_event_array: true, labels: [{name: argument, size: 4, decoders: [{name: uint}]}]}]}")
        .start()
}

#[test]
fn a_clean_stop_leaves_no_program_loaded() {
    for signal in [SIGTERM, SIGINT] {
        let host = all_kinds();
        let ids = programs(&host);
        assert!(ids.len() >= 8, "{ids:?}");
        host.stop_by(signal);
        // The kernel frees them after a grace period of its own.
        eventually("the kernel has freed the programs", || {
            let loaded = loaded();
            ids.iter().all(|id| !loaded.contains(id)).then_some(())
        });
    }
}

#[test]
fn a_stop_right_after_the_start_is_clean_too() {
    for _ in 0..5 {
        Host::start("events", YAML).stop();
    }
}

#[test]
fn connections_that_idle_do_not_delay_the_stop() {
    let host = Host::start("events", YAML);
    let idle = http::connect(host.address());
    let mut half = http::connect(host.address());
    std::io::Write::write_all(&mut half, b"GET /metr").unwrap();
    host.stop();
    drop((idle, half));
}

#[test]
fn systemd_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let host = Setup::new()
        .unit("unit", "events", YAML)
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .environment("WATCHDOG_USEC", "1000000")
        .start();
    let wait_for = |wanted: &str| {
        let mut heard = Vec::new();
        while !heard.iter().any(|line| line == wanted) {
            let mut message = [0; 4096];
            let length = socket
                .recv(&mut message)
                .unwrap_or_else(|error| panic!("{wanted} ({error}) after {heard:?}"));
            heard.extend(
                String::from_utf8_lossy(&message[..length])
                    .lines()
                    .map(str::to_owned),
            );
        }
    };
    wait_for("READY=1");
    assert_eq!(host.get("/metrics", &[]).status, 200, "ready means ready");
    wait_for("WATCHDOG=1");
    host.stop();
    wait_for("STOPPING=1");
}

/// systemd hands its listener over as descriptor 3, to the process of this id.
const ACTIVATE: [&str; 4] = [
    "sh",
    "-c",
    "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"",
    "activate",
];

#[test]
fn socket_activation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let host = Setup::new()
        .unit("unit", "events", YAML)
        .own_listener()
        .argument("--web.listen-address=fd://0")
        .wrapped(&ACTIVATE, OwnedFd::from(listener))
        .start();
    assert_eq!(host.address(), address);
    assert_eq!(http::request(address, "GET", "/metrics", &[]).status, 200);
}

#[test]
fn a_descriptor_that_is_not_there() {
    let ended = Setup::new()
        .unit("unit", "events", YAML)
        .own_listener()
        .argument("--web.listen-address=fd://0")
        .run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["fd://0"]);
}

#[test]
fn check_loads_attaches_and_ends() {
    let ended = Setup::new()
        .unit("unit", "events", YAML)
        .own_listener()
        .argument("--config.check")
        .run();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
}

#[test]
fn strict_wants_every_program_attached() {
    let simple = "metrics: {counters: [{name: kprobe_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let ended = Setup::new()
        .unit("unit", "kprobe", simple)
        .unit("good", "events", YAML)
        .argument("--config.strict")
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    ended.says(&["unit", "impossible"]);
}

#[test]
fn help_and_version() {
    let help = Setup::new().own_listener().argument("--help").run();
    assert_eq!(help.code, Some(0));
    for flag in [
        "--config.dir",
        "--config.names",
        "--config.check",
        "--config.strict",
        "--config.skip-cache-size",
        "--debug",
        "--log.no-timestamps",
        "--web.listen-address",
        "--web.telemetry-path",
        "--capabilities.keep",
        "--server.split",
        "--btf.path",
    ] {
        assert!(help.stdout.contains(flag), "{flag}\n{}", help.stdout);
    }
    let version = Setup::new().own_listener().argument("--version").run();
    assert_eq!(version.code, Some(0));
    assert!(
        version.stdout.contains("exporter-host") || version.stdout.contains("exporter_host"),
        "{}",
        version.stdout
    );
}

#[test]
fn ipv6_is_an_address_too() {
    let host = Setup::new()
        .unit("unit", "events", YAML)
        .own_listener()
        .argument("--web.listen-address=[::1]:0")
        .start();
    assert!(matches!(host.address(), SocketAddr::V6(_)));
    assert_eq!(host.get("/metrics", &[]).status, 200);
}
