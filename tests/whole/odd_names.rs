//! Names of interfaces and mount points are bytes, and interfaces come and go: neither costs
//! anything but itself.

use std::ffi::OsStr;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::host::assert_says;
use crate::harness::network::{in_own_namespace, ip};
use crate::harness::sys::unshare_mounts;
use crate::harness::{Host, eventually, names, series};

const YAML: &str = "metrics: {counters: [\
    {name: received_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]},\
    {name: egress_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]},\
    {name: cgroups_total, help: Test., labels: [{name: cgroup, size: 8, decoders: [{name: uint}, {name: cgroup}]}]}]}";

fn run(program: &str, arguments: &[&OsStr]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {message}"
    );
}

/// A pair of interfaces, both up.
fn veth(name: &[u8], peer: &[u8]) {
    let (name, peer) = (OsStr::from_bytes(name), OsStr::from_bytes(peer));
    let words = |text: &'static str| text.split(' ').map(OsStr::new);
    let add: Vec<_> = words("link add")
        .chain([name])
        .chain(words("type veth peer name"))
        .chain([peer])
        .collect();
    run("ip", &add);
    for one in [name, peer] {
        let up: Vec<_> = words("link set").chain([one]).chain(words("up")).collect();
        run("ip", &up);
    }
}

fn cgroup2() -> PathBuf {
    let mounts = String::from_utf8_lossy(&fs::read("/proc/self/mounts").unwrap()).into_owned();
    let mount = mounts.lines().find(|line| line.contains(" cgroup2 "));
    mount.unwrap().split(' ').nth(1).unwrap().into()
}

/// Sends itself a packet until the counter of the loopback has one.
fn counts_loopback(host: &Host) {
    eventually("packets of the loopback are counted", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        host.text()
            .value("ebpf_exporter_received_total", &[("n", "1")])
            .filter(|count| *count > 0.0)
    });
}

fn attached(host: &Host, program: &str) -> Option<f64> {
    let body = host.text();
    let ids = body.series(names::PROGRAM_INFO);
    let labels = ids.keys().find(|labels| labels["program"] == program)?;
    body.value(names::PROGRAM_ATTACHED, &[("id", &labels["id"])])
}

#[test]
fn names_that_are_not_utf8_cost_nothing() {
    in_own_namespace(|| {
        unshare_mounts().expect("a new mount namespace (as root)");
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join(OsStr::from_bytes(b"caf\xe9"));
        fs::create_dir(&odd).unwrap();
        let tmpfs = ["-t", "tmpfs", "t"].map(OsStr::new);
        run("mount", &[tmpfs.as_slice(), &[odd.as_os_str()]].concat());
        veth(b"v\xff1", b"peer1");
        let host = Host::start("odd-names", YAML);
        for program in ["received", "egress"] {
            assert_eq!(attached(&host, program), Some(1.0), "{}", host.log());
        }
        counts_loopback(&host);
        let root = cgroup2();
        let id = fs::metadata(&root).unwrap().ino();
        host.map("cgroups_total").set(&id.to_ne_bytes(), 7);
        assert_eq!(
            host.series("ebpf_exporter_cgroups_total"),
            series("cgroup", &[(root.to_str().unwrap(), 7.0)])
        );
        assert!(!host.log().contains("valid UTF-8"), "{}", host.log());
        drop(host);
        run("umount", &[odd.as_os_str()]);
    });
}

/// One interface belongs to another XDP program: the glob has all others, and that one later.
#[test]
fn an_interface_that_refuses_is_one_interface() {
    in_own_namespace(|| {
        veth(b"exhtest0", b"exhtest1");
        let frames = "metrics: {counters: [{name: frames_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
        let other = Host::start("xdp", frames);
        assert_eq!(attached(&other, "frames"), Some(1.0), "{}", other.log());
        let host = Host::start("odd-names", YAML);
        assert_eq!(attached(&host, "received"), Some(1.0), "{}", host.log());
        assert_says(&host.log(), &["not attached at 1 of 3", "exhtest0"]);
        counts_loopback(&host);
        let page = host.get("/", &[]);
        assert!(
            page.text().contains("not attached at 1 of 3"),
            "{}",
            page.text()
        );
        other.stop();
        eventually("it gets the interface that is free now", || {
            host.log()
                .contains("program attached at last")
                .then_some(())
        });
        let links = Command::new("ip")
            .args(["link", "show", "exhtest0"])
            .output();
        let links = String::from_utf8(links.unwrap().stdout).unwrap();
        assert!(links.contains("xdp"), "{links}");
    });
}

/// Interfaces that are removed while the glob is attached are no reason not to have the others.
#[test]
fn interfaces_that_vanish_meanwhile_cost_nothing() {
    in_own_namespace(|| {
        for number in 0..20 {
            ip(&format!(
                "link add stay{number} type veth peer name rest{number}"
            ));
        }
        let churn = "while :; do for i in 1 2 3 4; do ip link add a$i type veth peer name b$i; done; \
                     for i in 1 2 3 4; do ip link del a$i; done; done";
        let mut churn = Command::new("sh").args(["-c", churn]).spawn().unwrap();
        let hosts: Vec<_> = (0..3)
            .map(|_| {
                let host = Host::start("odd-names", YAML);
                let attached = attached(&host, "received");
                (attached, host.stop_by(15))
            })
            .collect();
        churn.kill().unwrap();
        churn.wait().unwrap();
        for (attached, log) in hosts {
            assert_eq!(attached, Some(1.0), "{log}");
        }
    });
}
