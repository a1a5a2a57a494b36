//! The units of examples/probes, which want kprobes or fentry. On kernels that have them (see
//! `tests/kernels.sh`) what they show is checked; on others it is that the host says why not.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::harness::network::in_own_namespace;
use crate::harness::objects::repository;
use crate::harness::sys::{set_backlog, thread_id};
use crate::harness::{Host, Setup, eventually, names};

/// A unit that every kernel takes.
const SECOND_UNIT: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";

/// A host with this unit, if the kernel takes all its programs.
fn unit(name: &str) -> Option<Host> {
    let yaml = repository()
        .join("examples/probes")
        .join(format!("{name}.yaml"));
    let host = Setup::new()
        .unit(name, name, &fs::read_to_string(yaml).unwrap())
        // A host of which no unit runs would end.
        .unit("beside", "events", SECOND_UNIT)
        .start();
    let body = host.text();
    let programs: Vec<_> = body
        .series(names::PROGRAM_INFO)
        .into_keys()
        .filter(|labels| labels["config"] == name)
        .collect();
    let attached = programs
        .iter()
        .all(|labels| body.value(names::PROGRAM_ATTACHED, &[("id", &labels["id"])]) == Some(1.0));
    if attached && !programs.is_empty() {
        return Some(host);
    }
    let log = host.log();
    let says = ["program not attached: ", "unit failed: "];
    assert!(
        says.iter().any(|words| log.contains(words)),
        "the host says why:\n{log}"
    );
    eprintln!("{name}: this kernel has not what it needs");
    None
}

/// The observations of a histogram in all series whose label has this value.
fn observations(host: &Host, histogram: &str, label: &str, value: &str) -> f64 {
    host.text()
        .series(&format!("{histogram}_count"))
        .iter()
        .filter(|(labels, _)| labels[label] == value)
        .map(|(_, count)| count)
        .sum()
}

#[test]
fn file_latency() {
    let Some(host) = unit("file-latency") else {
        return;
    };
    let metric = "ebpf_exporter_file_operation_seconds";
    let counts =
        || ["read", "write"].map(|operation| observations(&host, metric, "operation", operation));
    let before = counts();
    let mut file = tempfile::tempfile().unwrap();
    for _ in 0..50 {
        file.write_all(b"x").unwrap();
    }
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut byte = [0];
    for _ in 0..50 {
        file.read_exact(&mut byte).unwrap();
    }
    let after = counts();
    // Others read and write too.
    for (before, after) in before.into_iter().zip(after) {
        assert!(
            after - before >= 50.0,
            "{before} to {after}, at least 50 more"
        );
    }
}

#[test]
fn accept_latency() {
    let Some(host) = unit("accept-latency") else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..5)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for _ in &clients {
        listener.accept().unwrap();
    }
    let port = address.port().to_string();
    let count = observations(&host, "ebpf_exporter_accept_queue_seconds", "port", &port);
    assert_eq!(count, 5.0);
}

#[test]
fn tcp_retransmits() {
    in_own_namespace(|| {
        let Some(host) = unit("tcp-retransmits") else {
            return;
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Room for one connection (and one more: so the kernel counts). Who comes then is not
        // answered, and asks again after a second.
        set_backlog(&listener, 0).unwrap();
        let clients: Vec<_> = (0..4).map(|_| knock(address)).collect();
        eventually("a SYN is sent again", || {
            // One scrape: the next one may have more.
            let series = host
                .text()
                .series("ebpf_exporter_tcp_retransmitted_segments_total");
            let labels = series.keys().find(|labels| labels["state"] == "syn_sent")?;
            assert_eq!(labels["address"], "127.0.0.1");
            assert_eq!(labels["port"], address.port().to_string());
            Some(())
        });
        drop(listener);
        for client in clients {
            client.join().unwrap();
        }
    });
}

/// Tries to connect for some seconds, on a thread in the same network namespace.
fn knock(address: SocketAddr) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let connection = TcpStream::connect_timeout(&address, Duration::from_secs(3));
        thread::sleep(Duration::from_millis(500));
        drop(connection);
    })
}

#[test]
fn oom_victims() {
    let Some(host) = unit("oom-victims") else {
        return;
    };
    let root = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = root
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .and_then(|line| line.split(' ').nth(4))
        .expect("a cgroup (v2) file system is mounted");
    // Without the memory controller there is no killing just one cgroup.
    if fs::write(format!("{root}/cgroup.subtree_control"), "+memory").is_err() {
        eprintln!("no memory controller: only that the unit runs is tested");
        return;
    }
    let cgroup = format!("{root}/exporter-test-{}", thread_id());
    fs::create_dir(&cgroup).unwrap();
    fs::write(format!("{cgroup}/memory.max"), "16M").unwrap();
    let script = format!("echo $$ > {cgroup}/cgroup.procs; exec python3 -c 'b\"x\" * (64 << 20)'");
    let status = Command::new("sh").args(["-c", &script]).status().unwrap();
    let killed = !status.success();
    let series = host.series("ebpf_exporter_oom_victims_total");
    fs::remove_dir(&cgroup).unwrap();
    assert!(killed, "the process was killed");
    let victim = series
        .keys()
        .find(|labels| labels["cgroup"] == cgroup)
        .unwrap();
    assert_eq!(
        (victim["command"].as_str(), victim["scope"].as_str()),
        ("python3", "cgroup")
    );
}

#[test]
fn page_cache_hits() {
    let Some(host) = unit("page-cache-hits") else {
        return;
    };
    let counts = || {
        let series = host
            .text()
            .series("ebpf_exporter_page_cache_accesses_total");
        ["used", "added"].map(|kind| {
            series
                .iter()
                .filter(|(labels, _)| labels["kind"] == kind)
                .map(|(_, count)| count)
                .sum::<f64>()
        })
    };
    let before = counts();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, vec![1; 4096 * 64]).unwrap();
    let mut content = Vec::new();
    for _ in 0..3 {
        content.clear();
        File::open(&path)
            .unwrap()
            .read_to_end(&mut content)
            .unwrap();
    }
    let after = counts();
    assert!(after[0] > before[0], "{before:?} {after:?}");
}
