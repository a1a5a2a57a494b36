//! Every way to attach a program that this kernel has, and one that it hasn't.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::network::{in_own_namespace, ip, send_frames};
use crate::harness::objects::usdt_target;
use crate::harness::{Host, Setup, eventually, names, series};

/// One counter labelled by one number of four bytes.
fn counter(name: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: {name}, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

#[test]
fn raw_and_typed_and_traced_tracepoints() {
    let host = Host::start("attach", &counter("seen_total"));
    watch_me(&host);
    fire(1, 4);
    assert_eq!(
        host.series("ebpf_exporter_seen_total"),
        series("n", &[("1", 4.0), ("2", 4.0), ("3", 4.0)])
    );
}

#[test]
fn optional_programs_are_left_alone() {
    // Two of them: ebpf_exporter gives both the id 0, and then fails.
    let host = Host::start("attach", &counter("seen_total"));
    let body = host.text();
    let programs: Vec<_> = body.series(names::PROGRAM_INFO).into_keys().collect();
    for name in ["raw", "typed", "traced"] {
        let info = programs
            .iter()
            .find(|labels| labels["program"] == name)
            .expect("the program is named");
        assert_eq!(info["config"], "unit");
        assert_eq!(info["tag"].len(), 16);
        assert_eq!(
            body.value(names::PROGRAM_ATTACHED, &[("id", &info["id"])]),
            Some(1.0)
        );
    }
}

#[test]
fn perf_event() {
    let yaml = "metrics: {counters: [{name: ticks_total, help: Test.}]}";
    let host = Host::start("perf-event", yaml);
    watch_me(&host);
    // Scraping takes this thread's time, too.
    eventually("the clock samples this thread", || {
        (0..1_000_000_u32).for_each(|i| {
            std::hint::black_box(i);
        });
        host.text()
            .value("ebpf_exporter_ticks_total", &[])
            .filter(|&ticks| ticks > 0.0)
    });
}

#[test]
fn xdp() {
    in_own_namespace(|| {
        ip("link add exhtest0 type veth peer name exhtest1");
        ip("link set exhtest0 up");
        ip("link set exhtest1 up");
        let host = Host::start("xdp", &counter("frames_total"));
        // An EtherType for experiments, that nobody else sends.
        send_frames("exhtest1", 0x88b5, 9);
        eventually("9 frames are counted", || {
            let frames = host
                .text()
                .value("ebpf_exporter_frames_total", &[("n", "34997")])?;
            assert!(frames <= 9.0);
            (frames == 9.0).then_some(())
        });
        host.stop();
        let links = Command::new("ip")
            .args(["link", "show", "exhtest0"])
            .output()
            .unwrap();
        let links = String::from_utf8(links.stdout).unwrap();
        assert!(
            !links.contains("xdp"),
            "the program is off the interface: {links}"
        );
    });
}

#[test]
fn xdp_without_its_interface_serves_on() {
    in_own_namespace(|| {
        let host = Host::start("xdp", &counter("frames_total"));
        let body = host.text();
        let ids = body.series(names::PROGRAM_INFO);
        let id = &ids
            .keys()
            .find(|labels| labels["program"] == "frames")
            .unwrap()["id"];
        assert_eq!(
            body.value(names::PROGRAM_ATTACHED, &[("id", id)]),
            Some(0.0)
        );
        crate::harness::host::assert_says(&host.log(), &["exhtest0"]);
    });
}

#[test]
fn uprobe_and_uretprobe() {
    let host = Host::start("uprobe", &counter("uprobe_total"));
    watch_me(&host);
    fire(1, 6);
    assert_eq!(
        host.series("ebpf_exporter_uprobe_total"),
        series("n", &[("1", 6.0), ("2", 6.0)])
    );
}

#[test]
fn the_host_passes_the_mark_when_all_is_attached() {
    let host = Host::start(
        "uprobe",
        "metrics: {counters: [{name: marks_total, help: Test., labels: []}]}",
    );
    // Hosts of other tests pass it, too, also between two scrapes.
    let marks = host.text().value("ebpf_exporter_marks_total", &[]);
    assert!(marks.is_some_and(|marks| marks >= 1.0), "{marks:?}");
}

#[test]
fn usdt() {
    let host = Host::start("usdt", &counter("usdt_total"));
    fire_usdt();
    assert_eq!(
        host.series("ebpf_exporter_usdt_total"),
        series("n", &[("7", 1.0), ("8", 2.0)])
    );
}

/// The host cannot say where the arguments are: nothing is attached, and everything else runs.
#[test]
fn usdt_of_an_unknown_header() {
    let yaml = counter("usdt_total");
    let host = Setup::new()
        .unit("unknown", "usdt-unknown", &yaml)
        .unit("known", "usdt", &yaml)
        .start();
    fire_usdt();
    assert_eq!(
        host.series("ebpf_exporter_usdt_total"),
        series("n", &[("7", 1.0), ("8", 2.0)])
    );
    let words = [
        "program step",
        "__bpf_usdt_spec",
        "arg_shift",
        "libbpf 0.8 to 1.7",
    ];
    assert_says(host.get("/", &[]).text(), &words);
}

/// Objects read the arguments, whichever libbpf's usdt.bpf.h they were compiled with.
#[test]
fn usdt_arguments() {
    let yaml = counter("arguments_total");
    let setup = ["system", "1.5", "1.7"]
        .iter()
        .fold(Setup::new(), |setup, version| {
            let object = format!("usdt-arguments-{version}");
            setup.unit(&version.replace('.', "-"), &object, &yaml)
        });
    let host = setup.start();
    let program = usdt_target().with_file_name("usdt-arguments");
    assert!(Command::new(program).status().unwrap().success());
    let mut indexed = Vec::new();
    for map in host.maps("arguments_total") {
        let read: Vec<_> = (0..8).map(|key| map.get(&number(key))).collect();
        let signed = |value: i64| Some(value.cast_unsigned());
        let expected = [
            signed(-2_147_483_647),
            Some(0x0123_4567_89ab_cdef),
            Some(0xf5),
            signed(-2),
            signed(-7),
            Some(71),
            signed(-77),
            Some(0x1122_3344_5566_7788),
        ];
        assert_eq!(read, expected);
        assert_eq!(map.get(&number(100)), Some(8));
        indexed.push(map.get(&number(50)));
    }
    indexed.sort_unstable();
    if cfg!(target_arch = "x86_64") {
        // Older headers cannot say it, so that these programs fail, and nothing else.
        assert_eq!(indexed, [None, None, Some(4)]);
        let words = ["program indexed", "two registers", "libbpf 1.7"];
        assert_says(host.get("/", &[]).text(), &words);
    }
}

/// Runs the program that passes its probe with 7, 8 and 8.
pub(crate) fn fire_usdt() {
    let mut program = Command::new(usdt_target())
        .args(["7", "8", "8"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut there = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut there)
        .unwrap();
    program.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(program.wait().unwrap().success());
}

#[test]
fn kaddrs() {
    let yaml = "kaddrs: [schedule, do_exit]\n\
        metrics: {counters: [{name: addresses_total, help: Test., labels: [{name: symbol, size: 8, decoders: [{name: ksym}]}]}]}";
    let host = Host::start("kaddrs", yaml);
    watch_me(&host);
    fire(1, 1);
    assert_eq!(
        host.series("ebpf_exporter_addresses_total"),
        series("symbol", &[("schedule", 1.0), ("do_exit", 2.0)])
    );
}

/// A cgroup of the test's own, removed in the end.
struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    fn new(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(2) == Some("cgroup2"))
            .expect("cgroup2 is mounted");
        let path = Path::new(line.split(' ').nth(1).unwrap())
            .join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.path).unwrap().ino()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _removed_already = fs::remove_dir(&self.path);
    }
}

#[test]
fn cgroup_id_map() {
    let before = Cgroup::new("exh-chosen-before");
    let other = Cgroup::new("exh-other");
    let yaml = format!(
        "cgroup_id_map: {{name: chosen_total, type: hash, regexps: ['/exh-chosen-[a-z]+-{}$']}}\n\
         metrics: {{counters: [{{name: chosen_total, help: Test., labels: [{{name: id, size: 8, decoders: [{{name: uint}}, {{name: cgroup}}]}}]}}]}}",
        std::process::id()
    );
    let host = Host::start("cgroup-hash", &yaml);
    assert_eq!(
        host.series("ebpf_exporter_chosen_total"),
        series("id", &[(before.text(), 1.0)])
    );
    assert_eq!(
        host.map("chosen_total").get(&other.id().to_ne_bytes()),
        None
    );

    let after = Cgroup::new("exh-chosen-after");
    let wanted = series("id", &[(before.text(), 1.0), (after.text(), 1.0)]);
    eventually("a new cgroup is found", || {
        (host.text().series("ebpf_exporter_chosen_total") == wanted).then_some(())
    });
    let removed = after.id();
    drop(after);
    let map = host.map("chosen_total");
    eventually("a removed cgroup is taken out", || {
        map.get(&removed.to_ne_bytes()).is_none().then_some(())
    });
}

#[test]
fn cgroup_id_map_in_cgroup_storage() {
    let chosen = Cgroup::new("exh-storage-chosen");
    let other = Cgroup::new("exh-storage-other");
    let yaml = format!(
        "cgroup_id_map: {{name: chosen, type: cgrp_storage, regexps: ['/exh-storage-chosen-{}$']}}\n{}",
        std::process::id(),
        counter("storage_total")
    );
    let host = Host::start("cgroup-storage", &yaml);
    let map = host.map("chosen");
    let has =
        |cgroup: &Cgroup| map.get_by_descriptor(fs::File::open(&cgroup.path).unwrap().as_raw_fd());
    assert_eq!(has(&chosen), Some(1));
    assert_eq!(has(&other), None);
}

#[test]
fn a_kprobe_that_cannot_attach() {
    let host = Setup::new()
        .unit("unit", "kprobe", &counter("kprobe_total"))
        .unit("other", "maps", &counter("hash_total"))
        .start();
    watch_me(&host);
    fire(1, 3);
    assert_eq!(
        host.series("ebpf_exporter_kprobe_total"),
        series("n", &[("2", 3.0)]),
        "its unit serves on"
    );

    let body = host.text();
    let attached = |program: &str| {
        let all = body.series(names::PROGRAM_INFO);
        let id = all
            .keys()
            .find(|labels| labels["program"] == program)
            .map(|labels| labels["id"].clone())
            .unwrap();
        body.value(names::PROGRAM_ATTACHED, &[("id", &id)])
    };
    assert_eq!(
        (attached("impossible"), attached("possible")),
        (Some(0.0), Some(1.0))
    );
    crate::harness::host::assert_says(
        &host.log(),
        &[
            "unit",
            "impossible",
            "kprobe/exporter_host_has_no_such_function",
        ],
    );

    host.map("hash_total").set(&[1, 0, 0, 0], 1);
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("n", &[("1", 1.0)]),
        "so do the others"
    );
}

#[test]
fn a_btf_of_ones_own() {
    let directory = tempfile::tempdir().unwrap();
    let btf = directory.path().join("vmlinux");
    fs::copy("/sys/kernel/btf/vmlinux", &btf).unwrap();
    let host = Setup::new()
        .unit("unit", "compat", "metrics: {counters: [{name: forks_total, help: Test., labels: [{name: parent, size: 4, decoders: [{name: uint}]}, {name: command, size: 16, decoders: [{name: string}]}]}]}")
        .argument(format!("--btf.path={}", btf.display()))
        .start();
    Command::new("true").status().unwrap();
    let me = std::process::id().to_string();
    let forks: f64 = host
        .text()
        .samples()
        .filter(|s| s.labels.get("parent") == Some(&me))
        .map(|s| s.value)
        .sum();
    assert!(forks >= 1.0);
}
