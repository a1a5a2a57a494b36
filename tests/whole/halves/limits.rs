//! More units than there is room for: those that fit run, the others say why.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::reload;
use crate::hardening::{USER, for_everybody};
use crate::harness::event::{fire, watch_me};
use crate::harness::identity::of_each_thread;
use crate::harness::objects::object;
use crate::harness::sys::{SIGKILL, send};
use crate::harness::tree::{descriptors, one_process};
use crate::harness::{self, Host, Setup, eventually, http};

const UNITS: usize = 300;
const LIMIT: &str = "--nofile=256:256";

fn yaml(number: usize) -> String {
    format!(
        "namespace: unit{number}\nmetrics: {{gauges: [{{name: one_total, help: Test., \
         labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

fn with_units(setup: Setup) -> Setup {
    (0..UNITS).fold(setup, |setup, number| {
        setup.unit(&format!("unit{number}"), "one-map", &yaml(number))
    })
}

/// The state that each unit is in.
fn states(host: &Host) -> BTreeMap<String, &'static str> {
    harness::states(&host.text())
}

/// Each unit that runs has its series. Those that do not say that there were not enough
/// descriptors. How many run.
fn run_or_say_why(host: &Host) -> usize {
    let states = states(host);
    let (body, log) = (host.text(), host.log());
    let mut running = 0;
    for number in 0..UNITS {
        let unit = format!("unit{number}");
        let series = body.value(&format!("{unit}_one_total"), &[("n", "0")]);
        let state = states.get(&unit).copied();
        let runs = state == Some("running");
        assert_eq!(series.is_some(), runs, "{unit} is {state:?}");
        if runs {
            running += 1;
            continue;
        }
        let config = format!("config={unit}");
        let reported = log.lines().any(|line| {
            line.split(' ').any(|word| word == config)
                && (line.contains("descriptors") || line.contains("Too many open files"))
        });
        assert!(reported, "{unit} says why it does not run:\n{log}");
    }
    running
}

#[test]
fn three_hundred_units_run_and_run_with_the_next_server() {
    if one_process() {
        return;
    }
    let host = with_units(Setup::new()).start();
    assert_eq!(run_or_say_why(&host), UNITS);
    host.server_may_end();
    let server = host.server();
    send(server, SIGKILL).unwrap();
    host.tree().server_after(server);
    eventually("it answers", || http::whole(host.address(), "/metrics"));
    assert_eq!(run_or_say_why(&host), UNITS);
}

/// The soft limit of a container, or of systemd: it is the host's to raise.
#[test]
fn three_hundred_units_run_below_a_soft_limit() {
    let nothing = fs::File::open("/dev/null").unwrap();
    let host = with_units(Setup::new())
        .wrapped(&["prlimit", "--nofile=256:20000"], nothing.into())
        .start();
    assert_eq!(run_or_say_why(&host), UNITS);
    for process in host.tree().processes() {
        let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid)).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let soft = line.unwrap().split_whitespace().nth(3);
        assert_eq!(soft, Some("20000"), "{}", process.name);
    }
}

#[test]
fn what_fits_below_a_limit_of_descriptors_runs() {
    let nothing = fs::File::open("/dev/null").unwrap();
    let host = with_units(Setup::new())
        .wrapped(&["prlimit", LIMIT], nothing.into())
        .start();
    let running = run_or_say_why(&host);
    eprintln!("{running} of {UNITS} units run with {LIMIT}");
    assert!(running > 10 && running < UNITS, "{running}");
}

/// The loader has room for all of them, the server has not: it goes on answering, and takes what
/// fits.
#[test]
fn what_the_server_has_no_room_for_says_so() {
    if one_process() {
        return;
    }
    let host = Setup::new()
        .unit("unit0", "one-map", &yaml(0))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let server = host.server();
    let room = descriptors(server) + 64;
    let user = of_each_thread(server, "Uid");
    let user = user.split('\t').next().unwrap();
    // Whoever is of the same user may.
    let limited = Command::new("setpriv")
        .args([
            "--reuid",
            user,
            "--regid",
            user,
            "--clear-groups",
            "prlimit",
        ])
        .args([format!("--pid={server}"), format!("--nofile={room}:{room}")])
        .status()
        .unwrap();
    assert!(limited.success());
    for number in 1..UNITS {
        let path = host.path().join(format!("unit{number}.bpf.o"));
        fs::copy(object("one-map"), path).unwrap();
        fs::write(host.path().join(format!("unit{number}.yaml")), yaml(number)).unwrap();
    }
    let (status, reported) = reload(&host);
    assert_eq!(status, 500, "{reported}");
    let running = run_or_say_why(&host);
    eprintln!("{running} of {UNITS} units run in a server with {room} descriptors");
    assert!(running > 10 && running < 60, "{running}");
    // With fewer there is room again.
    for number in 10..UNITS {
        fs::remove_file(host.path().join(format!("unit{number}.yaml"))).unwrap();
    }
    let (status, reported) = reload(&host);
    assert_eq!(status, 200, "{reported}");
    assert_eq!(states(&host).len(), 10);
}

/// A user's memory limit counts what the loader maps, and the server maps it a second time.
#[test]
fn perf_buffers_of_another_user_are_read() {
    let samples = "metrics: {counters: [{name: samples_total, help: Test., perf_event_array: true, \
        labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let host = (0..8)
        .fold(for_everybody(), |setup, number| {
            let yaml = format!("namespace: unit{number}\n{samples}");
            setup.unit(&format!("samples{number}"), "perf-array", &yaml)
        })
        .argument(format!("--user={USER}"))
        .start();
    watch_me(&host);
    fire(3, 5);
    eventually("all units count", || {
        let body = host.text();
        let mut all = (0..8).map(|number| format!("unit{number}_samples_total"));
        all.all(|name| body.value(&name, &[("n", "3")]) == Some(5.0))
            .then_some(())
    });
}
