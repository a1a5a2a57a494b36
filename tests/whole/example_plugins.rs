//! The decoders of examples/decoders and the shaper of examples/shapers, in a host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::maps::number;
use crate::harness::objects::repository;
use crate::harness::{Setup, series};

/// The component of an example, built as examples/build-plugins.sh builds it.
fn example(name: &str) -> PathBuf {
    static ALL: OnceLock<PathBuf> = OnceLock::new();
    let directory = ALL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("example-plugins");
        let output = Command::new(repository().join("examples/build-plugins.sh"))
            .arg(&directory)
            .args(["container", "network", "fields"])
            .output()
            .expect("examples/build-plugins.sh runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        directory
    });
    directory.join(format!("{name}.wasm"))
}

fn with_example(name: &str, yaml: &str) -> Setup {
    Setup::new()
        .file(&format!("{name}.wasm"), fs::read(example(name)).unwrap())
        .unit("unit", "maps", yaml)
}

#[test]
fn containers_of_real_cgroups() {
    let id = "5c7b8b4b3e6d8c1d2a0f4e5b6a7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8";
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mut fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let root = fields
        .find(|fields| fields[2] == "cgroup2")
        .expect("cgroup2 is mounted")[1]
        .to_owned();
    let pod = format!(
        "{root}/exporter-host-test-{}-pod0a6f3c1e_7d1b_4b8e_9c55_4f1d2f3a4b5c.slice",
        std::process::id()
    );
    let container = format!("{pod}/cri-containerd-{id}.scope");
    fs::create_dir_all(&container).unwrap();
    let chain = |options: &str| {
        format!("[{{name: uint}}, {{name: cgroup}}, {{name: container, {options}}}]")
    };
    let yaml = format!(
        "metrics: {{counters: [{{name: k24_total, help: Test., labels: [\
         {{name: container, size: 8, decoders: {}}},\
         {{name: pod, size: 8, decoders: {}}},\
         {{name: runtime, size: 8, decoders: {}}}]}}]}}",
        chain("short: true"),
        chain("part: pod"),
        chain("part: runtime, unknown: host")
    );
    let host = with_example("container", &yaml).start();
    let map = host.map("k24_total");
    for (path, value) in [(&container, 1), (&pod, 2), (&root, 3)] {
        let inode = fs::metadata(path).unwrap().ino();
        map.set(&inode.to_ne_bytes().repeat(3), value);
    }
    let uid = "0a6f3c1e-7d1b-4b8e-9c55-4f1d2f3a4b5c";
    let body = host.text();
    for (container, pod, runtime, value) in [
        (&id[..12], uid, "containerd", 1.0),
        ("", uid, "host", 2.0),
        ("", "", "host", 3.0),
    ] {
        let labels = [("container", container), ("pod", pod), ("runtime", runtime)];
        assert_eq!(
            body.value("ebpf_exporter_k24_total", &labels),
            Some(value),
            "{labels:?}"
        );
    }
    drop(host);
    fs::remove_dir(&container).unwrap();
    fs::remove_dir(&pod).unwrap();
}

#[test]
fn networks_of_addresses() {
    let host = with_example(
        "network",
        "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: network, size: 4, decoders: [{name: network, default: internet, \
         networks: {private: [10.0.0.0/8], office: [10.1.0.0/16, \"2001:db8::/32\"]}}]}]}]}",
    )
    .start();
    let map = host.map("k4_total");
    for (address, value) in [
        ([10, 1, 2, 3], 1),
        ([10, 2, 0, 1], 2),
        ([10, 3, 0, 1], 4),
        ([8, 8, 8, 8], 8),
    ] {
        map.set(&address, value);
    }
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series(
            "network",
            &[("office", 1.0), ("private", 6.0), ("internet", 8.0)]
        )
    );
}

#[test]
fn networks_that_cannot_be_meant() {
    let ended = with_example(
        "network",
        "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: network, size: 4, decoders: [{name: network, networks: {a: [10.0.0.1/8]}}]}]}]}",
    )
    .run();
    ended.says(&["10.0.0.1/8", "write 10.0.0.0/8"]);
}

/// requests: total, in flight, padding, nanoseconds.
fn requests(total: u64, in_flight: i32, nanoseconds: u64) -> Vec<u8> {
    [
        &total.to_ne_bytes()[..],
        &in_flight.to_ne_bytes(),
        &[0; 4],
        &nanoseconds.to_ne_bytes(),
    ]
    .concat()
}

const FIELDS: &str = "metrics: {shaped: [{map: requests, help: Requests., shaper: fields, options: {fields: [\
    {name: total, kind: counter, offset: 0},\
    {name: in_flight, kind: gauge, offset: 8, type: s32},\
    {name: seconds, kind: mean, unit: seconds, offset: 16, scale: 1e-9, count: {offset: 0}}]},\
    labels: [{name: server, size: 4, decoders: [{name: uint}]}]}]}";

#[test]
fn members_of_a_struct_are_families() {
    let host = with_example("fields", FIELDS).start();
    let map = host.map("requests");
    map.put(&number(1), &requests(10, 3, 2_500_000_000));
    map.put(&number(2), &requests(4, -1, 1_000_000_000));
    let body = host.text();
    let value = |name: &str, server| {
        body.value(
            &format!("ebpf_exporter_requests_{name}"),
            &[("server", server)],
        )
    };
    assert_eq!(value("total", "1"), Some(10.0));
    assert_eq!(value("in_flight", "2"), Some(-1.0));
    assert_eq!(value("seconds_sum", "1"), Some(2.5));
    assert_eq!(value("seconds_count", "1"), Some(10.0));
    assert_eq!(value("seconds_count", "2"), Some(4.0));
    let infinity = body.value(
        "ebpf_exporter_requests_seconds_bucket",
        &[("server", "1"), ("le", "inf")],
    );
    assert_eq!(infinity, Some(10.0));
    host.open_metrics();
    // Again: nothing adds up from scrape to scrape.
    map.put(&number(1), &requests(11, 0, 3_000_000_000));
    let body = host.text();
    assert_eq!(
        body.value("ebpf_exporter_requests_total", &[("server", "1")]),
        Some(11.0)
    );
    assert_eq!(
        body.value("ebpf_exporter_requests_seconds_sum", &[("server", "1")]),
        Some(3.0)
    );
}

#[test]
fn members_beyond_the_struct_are_refused() {
    let yaml = FIELDS.replace("offset: 16", "offset: 20");
    let ended = with_example("fields", &yaml).run();
    ended.says(&["bytes 20 to 28 of a value", "`requests` have 24 bytes"]);
    let yaml = FIELDS.replace("shaper: fields", "shaper: field");
    with_example("fields", &yaml).run().says(&[
        "no plugin offers the shaper `field`",
        "did you mean `fields`?",
    ]);
    let yaml = FIELDS.replace("shaper: fields, ", "");
    with_example("fields", &yaml)
        .run()
        .says(&["a shaped metric needs a `shaper`"]);
}
