//! Samples that are sent while there is no server: they wait in their buffer.

use super::mortal;
use crate::harness::event::{fire, watch_me};
use crate::harness::sys::{SIGCONT, SIGKILL, SIGSTOP, send, stay_on_this_cpu};
use crate::harness::tree::one_process;
use crate::harness::{Body, Host, Setup, eventually};

/// Far fewer than a buffer holds, and far more.
const FEW: usize = 300;
const MANY: usize = 400_000;

fn host(object: &str, field: &str) -> Host {
    let yaml = format!(
        "metrics: {{counters: [{{name: samples_total, help: Test., {field}: true, labels: [\
         {{name: argument, size: 4, decoders: [{{name: uint}}]}}, \
         {{name: command, size: 16, decoders: [{{name: string}}]}}]}}]}}"
    );
    mortal(Setup::new().unit("unit", object, &yaml))
}

fn counted(body: &Body, argument: &str) -> f64 {
    body.value("ebpf_exporter_samples_total", &[("argument", argument)])
        .unwrap_or_default()
}

/// Does something while there is no server. None comes as long as the starter does not run.
fn without_a_server(host: &Host, work: impl FnOnce()) {
    let (starter, server) = (host.starter(), host.server());
    send(starter, SIGSTOP).unwrap();
    send(server, SIGKILL).unwrap();
    eventually("the server is dead", || {
        let mut processes = host.tree().processes().into_iter();
        (!processes.any(|process| process.pid == server)).then_some(())
    });
    work();
    send(starter, SIGCONT).unwrap();
    host.tree().server_after(server);
}

fn are_there(host: &Host) {
    watch_me(host);
    fire(7, 1);
    eventually("a sample is counted", || {
        (counted(&host.text(), "7") == 1.0).then_some(())
    });
    without_a_server(host, || fire(8, FEW));
    eventually("all samples are counted", || {
        let found = counted(&host.text(), "8");
        assert!(found <= FEW as f64, "{found}");
        (found == FEW as f64).then_some(())
    });
    // None of them twice, and counting goes on.
    fire(9, 5);
    eventually("counting goes on", || {
        (counted(&host.text(), "9") == 5.0).then_some(())
    });
    assert_eq!(counted(&host.text(), "8"), FEW as f64);
}

#[test]
fn samples_of_a_perf_event_array_wait_for_a_server() {
    if !one_process() {
        are_there(&host("perf-array", "perf_event_array"));
    }
}

#[test]
fn samples_of_a_ring_buffer_wait_for_a_server() {
    if !one_process() {
        are_there(&host("ring-buffer", "ringbuf"));
    }
}

/// A buffer that is full wakes nobody.
#[test]
fn a_full_perf_buffer_is_read_by_the_next_server() {
    if one_process() {
        return;
    }
    let host = host("perf-array", "perf_event_array");
    watch_me(&host);
    stay_on_this_cpu();
    without_a_server(&host, || fire(8, MANY));
    let found = eventually("what the buffer held is counted", || {
        let found = counted(&host.text(), "8");
        (found > 0.0).then_some(found)
    });
    assert!(found < MANY as f64, "the buffer was full: {found}");
    // The kernel tells what was lost with the next sample that there is room for.
    fire(9, 1);
    eventually("counted + lost = sent", || {
        let body = host.text();
        let lost: f64 = body
            .series("exporter_host_lost_samples_total")
            .values()
            .sum();
        let found = counted(&body, "8");
        assert!(found + lost <= MANY as f64, "{found} + {lost}");
        (found + lost == MANY as f64 && counted(&body, "9") == 1.0).then_some(())
    });
}

/// Samples that a server had counted end with it: the next one says so by counting from 0.
#[test]
fn what_a_server_had_counted_begins_anew() {
    if one_process() {
        return;
    }
    let host = host("perf-array", "perf_event_array");
    watch_me(&host);
    fire(7, 10);
    eventually("they are counted", || {
        (counted(&host.text(), "7") == 10.0).then_some(())
    });
    without_a_server(&host, || fire(7, 3));
    eventually("only those since then", || {
        let found = counted(&host.text(), "7");
        assert!(found <= 3.0, "{found}");
        (found == 3.0).then_some(())
    });
}
