//! `process_*` is about all processes, `exporter_host_process_*` about each half.

use super::setup;
use crate::harness::tree::{descriptors, one_process, resident};
use crate::harness::{Body, Host, eventually};

fn of_half(body: &Body, name: &str, half: &str) -> f64 {
    let name = format!("exporter_host_process_{name}");
    body.value(&name, &[("half", half)])
        .unwrap_or_else(|| panic!("there is {name} of the {half}"))
}

/// Whether the figure is about what /proc says: it is some seconds old.
fn about(figure: f64, found: f64, slack: f64) -> bool {
    (figure - found).abs() <= slack
}

fn agree(host: &Host) -> bool {
    let body = host.text();
    let (loader, server) = (host.loader(), host.server());
    // The starter is some of the loader's half.
    let memory = |half, pids: &[u32]| {
        let found = pids.iter().map(|&pid| resident(pid)).sum::<u64>() as f64;
        about(
            of_half(&body, "resident_memory_bytes", half),
            found,
            found / 5.0,
        )
    };
    let files = |half, pid| {
        about(
            of_half(&body, "open_fds", half),
            descriptors(pid) as f64,
            8.0,
        )
    };
    let all = |name: &str| body.value(&format!("process_{name}"), &[]).unwrap();
    memory("loader", &[loader, host.starter()])
        && memory("server", &[server])
        && files("loader", loader)
        && files("server", server)
        && about(all("open_fds"), host.tree().descriptors() as f64, 16.0)
        && about(
            all("cpu_seconds_total"),
            host.tree().cpu().as_secs_f64(),
            1.0,
        )
}

#[test]
fn each_half_has_its_figures_and_their_sum() {
    if one_process() {
        return;
    }
    let host = setup().start();
    eventually("the figures are those of /proc", || {
        agree(&host).then_some(())
    });
    let body = host.text();
    for name in ["open_fds", "threads", "resident_memory_bytes"] {
        let sum = body.value(&format!("process_{name}"), &[]).unwrap();
        let halves = of_half(&body, name, "loader") + of_half(&body, name, "server");
        // The starter is some of it too.
        assert!(sum >= halves, "{name}: {sum}, {halves}");
        assert!(halves > sum / 2.0, "{name}: {sum}, {halves}");
    }
}
