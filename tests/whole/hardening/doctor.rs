//! `exporter-host doctor` and `exporter-host healthcheck`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{USER, setup};
use crate::harness::host::{assert_says, program};

fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

#[test]
fn the_doctor_finds_what_is_there() {
    let output = output(&["doctor", "--format=json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // These tests load programs, so it must find that they can be.
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(output.status.code(), Some(0));
    let checks = report["checks"].as_array().unwrap();
    let status = |name: &str| {
        let found = checks.iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("a check {name}"))["status"].clone()
    };
    for name in [
        "btf",
        "cap_bpf",
        "cap_perfmon",
        "program tp_btf",
        "program raw_tp",
        "program perf_event",
        "program xdp",
    ] {
        assert_eq!(status(name), "ok", "{name}");
    }
    for name in [
        "lockdown",
        "tracefs",
        "cgroup2",
        "bpffs",
        "memlock",
        "perf_event_paranoid",
        "unprivileged_bpf_disabled",
        "program fentry",
        "program lsm",
    ] {
        status(name);
    }
    let there = Path::new("/sys/bus/event_source/devices/kprobe").exists();
    assert_eq!(status("kprobes"), if there { "ok" } else { "limited" });
}

#[test]
fn the_doctor_says_what_nobody_lacks() {
    let user = USER.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .arg(program().get_program())
        .arg("doctor")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_says(&text, &["MISSING", "program tp_btf"]);
    assert_says(&text, &["- CAP_BPF and CAP_PERFMON"]);
    assert_says(&text, &["AmbientCapabilities=CAP_BPF", "--cap-add BPF"]);
}

#[test]
fn the_health_check_asks_a_running_host() {
    let host = setup().start();
    let url = format!("--url=http://{}/-/healthy", host.address());
    let ask = |url: &str| {
        let mut command = program();
        command.args(["healthcheck", url]).stdout(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(ask(&url), Some(0));
    assert_eq!(ask(&url.replace("healthy", "no-such-page")), Some(1));
    host.stop();
    assert_eq!(ask(&url), Some(1));
}
