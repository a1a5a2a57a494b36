//! Units that fail and may heal by themselves are tried again.

use std::fs;
use std::time::{Duration, Instant};

use crate::capabilities::only_bpf_and_perfmon;
use crate::harness::objects::object;
use crate::harness::{Host, Setup, eventually, network};

fn simple(name: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: {name}, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

fn restarts(host: &Host, unit: &str) -> f64 {
    let body = host.text();
    body.value("exporter_host_unit_restarts_total", &[("config", unit)])
        .expect("the counter is there")
}

fn runs(host: &Host, unit: &str) -> bool {
    let body = host.text();
    body.value("exporter_host_unit_state", &[("config", unit)]) == Some(1.0)
}

#[test]
fn less_and_less_often_and_at_once_when_a_file_changes() {
    let host = Setup::new()
        .unit("good", "maps", &simple("k4_total"))
        .unit("bad", "refused", &simple("refused_total"))
        .start();
    let began = Instant::now();
    eventually("it is tried again after 1 s, and after 2 more", || {
        (restarts(&host, "bad") >= 2.0).then_some(())
    });
    let twice = began.elapsed();
    eprintln!("tried again twice within {twice:?}");
    assert!(twice >= Duration::from_millis(2000), "{twice:?}");
    let page = host.get("/", &[]);
    assert!(page.text().contains("tried again in "), "{}", page.text());
    let response = host.get("/metrics/bad", &[]);
    assert_eq!(response.status, 503);
    let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=8).contains(&seconds), "{seconds}");
    // It is in the log once.
    let message = host.log();
    assert_eq!(
        message
            .lines()
            .filter(|line| line.contains("unit failed"))
            .count(),
        1,
        "{message}"
    );
    fs::copy(object("maps"), host.path().join("bad.bpf.o")).unwrap();
    fs::write(
        host.path().join("bad.yaml"),
        simple("k2_total").replace("size: 4", "size: 2"),
    )
    .unwrap();
    eventually("the mended one runs", || runs(&host, "bad").then_some(()));
    assert!(!host.get("/", &[]).text().contains("tried again in "));
    assert_eq!(restarts(&host, "good"), 0.0);
    only_bpf_and_perfmon(&host);
}

#[test]
fn what_only_a_change_can_heal_is_not_tried_again() {
    let host = Setup::new()
        .unit("good", "maps", &simple("k4_total"))
        .unit("yaml", "maps", "metrics: [")
        .unit("map", "maps", &simple("no_such_total"))
        .file("object.yaml", simple("k4_total"))
        .start();
    std::thread::sleep(Duration::from_millis(2500));
    for unit in ["yaml", "map", "object"] {
        assert_eq!(restarts(&host, unit), 0.0, "{unit}");
    }
    assert!(!host.get("/", &[]).text().contains("tried again in "));
}

#[test]
fn it_heals_without_a_change() {
    let files = tempfile::tempdir().unwrap();
    let btf = files.path().join("vmlinux");
    fs::copy("/sys/kernel/btf/vmlinux", &btf).unwrap();
    let host = Setup::new()
        .unit("good", "maps", &simple("k4_total"))
        .argument(format!("--btf.path={}", btf.display()))
        .start();
    fs::rename(&btf, files.path().join("away")).unwrap();
    let mut lines = host.log_from_now();
    fs::copy(object("attach"), host.path().join("new.bpf.o")).unwrap();
    fs::write(host.path().join("new.yaml"), simple("seen_total")).unwrap();
    lines.next(&["unit failed", "vmlinux"]);
    fs::rename(files.path().join("away"), &btf).unwrap();
    lines.next(&["unit running", "config=new"]);
    assert!(restarts(&host, "new") >= 1.0);
    let body = host.text();
    assert_eq!(
        body.value(
            "exporter_host_unit_last_load_successful",
            &[("config", "new")]
        ),
        Some(1.0)
    );
    only_bpf_and_perfmon(&host);
}

/// The interface comes after the program. The kernel asks for CAP_NET_ADMIN when an XDP program is
/// loaded, not when it is linked.
#[test]
fn a_program_is_attached_when_what_it_wants_is_there() {
    network::in_own_namespace(|| {
        let host = Setup::new()
            .unit("unit", "xdp", &simple("frames_total"))
            .start();
        assert!(host.get("/", &[]).text().contains("exhtest0"));
        let mut lines = host.log_from_now();
        network::ip("link add exhtest0 type veth peer name exhtest1");
        network::ip("link set exhtest0 up");
        lines.next(&["program attached at last", "frames"]);
        network::ip("link set exhtest1 up");
        network::send_frames("exhtest1", 0x88b5, 3);
        eventually("its frames are counted", || {
            let body = host.text();
            let value = body.value("ebpf_exporter_frames_total", &[("n", "34997")]);
            (value == Some(3.0)).then_some(())
        });
        assert!(restarts(&host, "unit") >= 1.0);
        assert!(!host.get("/", &[]).text().contains("tried again in "));
        // Another one of its name is another one.
        network::ip("link del exhtest0");
        network::ip("link add exhtest0 type veth peer name exhtest1");
        network::ip("link set exhtest0 up");
        network::ip("link set exhtest1 up");
        eventually("frames of the new one are counted", || {
            network::send_frames("exhtest1", 0x88b5, 1);
            let body = host.text();
            let value = body.value("ebpf_exporter_frames_total", &[("n", "34997")]);
            (value > Some(3.0)).then_some(())
        });
        only_bpf_and_perfmon(&host);
    });
}

/// Loading it takes more than what is kept.
#[test]
fn what_was_given_away_is_named() {
    network::in_own_namespace(|| {
        let host = Setup::new()
            .unit("good", "maps", &simple("k4_total"))
            .start();
        network::ip("link add exhtest0 type veth peer name exhtest1");
        let mut lines = host.log_from_now();
        fs::copy(object("xdp"), host.path().join("new.bpf.o")).unwrap();
        fs::write(host.path().join("new.yaml"), simple("frames_total")).unwrap();
        lines.next(&["unit failed", "CAP_NET_ADMIN"]);
        // The server is told a moment after the log.
        eventually("what is missing is named", || {
            let response = host.get("/metrics/new", &[]);
            assert_eq!(response.status, 503);
            response.text().contains("CAP_NET_ADMIN").then_some(())
        });
        only_bpf_and_perfmon(&host);
    });
}
