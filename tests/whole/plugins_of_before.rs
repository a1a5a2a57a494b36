//! Components that were built with interface 0.1.0, as they were then (tests/compat/0.1.0): each
//! runs unchanged in this host and gives the series that it gave.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::maps::number;
use crate::harness::objects::repository;
use crate::harness::project::{cache, plugin, plugin_says};
use crate::harness::{Setup, eventually, series};

const ALL: [&str; 6] = [
    "c_collector",
    "c_decoder",
    "c_shaper",
    "cpustat",
    "fields",
    "network",
];

const LOADAVG: &str = "grants: {read: [/proc/loadavg]}\n";

fn component(name: &str) -> Vec<u8> {
    let compressed = repository().join(format!("tests/compat/0.1.0/{name}.wasm.zst"));
    zstd::decode_all(fs::File::open(compressed).unwrap()).unwrap()
}

fn cpustat_sidecar() -> String {
    fs::read_to_string(repository().join("tests/compat/0.1.0/cpustat.plugin.yaml")).unwrap()
}

/// All of them, unpacked, with their sidecars.
fn unpacked(name: &str) -> String {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: String, content: &[u8]| {
            fs::write(directory.path().join(name), content).unwrap();
        };
        for name in ALL {
            write(format!("{name}.wasm"), &component(name));
        }
        write("cpustat.plugin.yaml".into(), cpustat_sidecar().as_bytes());
        write("c_collector.plugin.yaml".into(), LOADAVG.as_bytes());
        directory
    });
    let path: PathBuf = directory.path().join(format!("{name}.wasm"));
    path.to_str().unwrap().to_owned()
}

fn decoded(name: &str, options: &str, hex: &[&str]) -> (String, Option<i32>) {
    let (file, cache) = (unpacked(name), cache());
    let mut arguments = vec!["run", &file, "--decoder", name, "--options", options];
    arguments.extend(hex.iter().flat_map(|hex| ["--hex", hex]));
    arguments.push(&cache);
    let output = plugin(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        !text.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (text, output.status.code())
}

#[test]
fn each_says_what_it_said() {
    for (name, kind, interface) in [
        ("c_collector", "collectors", "collecting"),
        ("c_decoder", "decoders", "decoding"),
        ("c_shaper", "shapers", "shaping"),
        ("cpustat", "collectors", "collecting"),
        ("fields", "shapers", "shaping"),
        ("network", "decoders", "decoding"),
    ] {
        let report = plugin_says(&["inspect", "--format=json", &unpacked(name), &cache()]);
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["ok"], true, "{report}");
        assert_eq!(report["interface"], "0.1.0");
        assert_eq!(report[kind][0]["name"], name);
        let export = format!("exporter:plugin/{interface}@0.1.0");
        let exports = report["exports"].as_array().unwrap();
        assert!(exports.iter().any(|one| *one == *export), "{report}");
    }
}

#[test]
fn decoders_give_the_labels_that_they_gave() {
    let states = ["0a000000", "01000000", "00010000"];
    assert_eq!(
        decoded("c_decoder", "{}", &states),
        ("LISTEN\nESTABLISHED\nUNKNOWN:256\n".to_owned(), Some(0))
    );
    assert_eq!(
        decoded("c_decoder", r#"{"lowercase": true}"#, &["02000000"]).0,
        "syn_sent\n"
    );
    // A row's error is that row's.
    assert_eq!(
        decoded("c_decoder", "{}", &["00", "07000000"]),
        (
            "\t(error: decoder `c_decoder`: c_decoder wants 4 bytes, got 1)\nCLOSE\n".to_owned(),
            Some(1)
        )
    );
    let networks = r#"{"default": "internet", "networks": {"private": ["10.0.0.0/8"], "office": ["10.1.0.0/16", "2001:db8::/32"]}}"#;
    let addresses = [
        "0a010203",
        "0a020001",
        "08080808",
        "20010db8000000000000000000000001",
    ];
    assert_eq!(
        decoded("network", networks, &addresses).0,
        "office\nprivate\ninternet\noffice\n"
    );
}

#[test]
fn a_host_serves_the_series_of_all_of_them() {
    const YAML: &str = "
metrics:
  counters:
    - {name: k4_total, help: States., labels: [{name: state, size: 4, decoders: [{name: c_decoder}]}]}
    - {name: hash_total, help: Networks., labels: [{name: network, size: 4, decoders: [{name: network, default: internet, networks: {private: [10.0.0.0/8]}}]}]}
  shaped:
    - map: requests
      help: Requests.
      shaper: fields
      options:
        fields:
          - {name: total, kind: counter, offset: 0}
          - {name: in_flight, kind: gauge, offset: 8, type: s32}
          - {name: seconds, kind: mean, unit: seconds, offset: 16, scale: 1e-9, count: {offset: 0}}
      labels: [{name: server, size: 4, decoders: [{name: uint}]}]
    - name: cache
      map: requests
      help: Cache.
      shaper: c_shaper
      labels: [{name: server, size: 4, decoders: [{name: uint}]}]
collectors:
  - {name: c_collector, plugin: c_collector}
  - {name: cpustat, plugin: cpustat}
";
    let mut setup = Setup::new()
        .file("c_collector.plugin.yaml", LOADAVG)
        .file("cpustat.plugin.yaml", cpustat_sidecar())
        .unit("unit", "maps", YAML);
    for name in ALL {
        setup = setup.file(&format!("{name}.wasm"), component(name));
    }
    let host = setup.start();
    let states = host.map("k4_total");
    for (state, value) in [(1_u32, 5), (10, 7), (256, 9)] {
        states.set(&number(state), value);
    }
    let networks = host.map("hash_total");
    networks.set(&[10, 2, 0, 1], 3);
    networks.set(&[10, 3, 0, 1], 4);
    networks.set(&[8, 8, 8, 8], 8);
    // requests: total, in flight, padding, nanoseconds; for c_shaper: hits, misses.
    let requests = [10_u64, 3, 2_500_000_000].map(u64::to_ne_bytes).concat();
    host.map("requests").put(&number(1), &requests);
    assert_eq!(
        host.series("ebpf_exporter_k4_total"),
        series(
            "state",
            &[("ESTABLISHED", 5.0), ("LISTEN", 7.0), ("UNKNOWN:256", 9.0)]
        )
    );
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("network", &[("private", 7.0), ("internet", 8.0)])
    );
    let body = host.text();
    for (name, value) in [
        ("requests_total", 10.0),
        ("requests_in_flight", 3.0),
        ("requests_seconds_sum", 2.5),
        ("requests_seconds_count", 10.0),
        ("cache_hits_total", 10.0),
        ("cache_misses_total", 3.0),
    ] {
        assert_eq!(
            body.value(&format!("ebpf_exporter_{name}"), &[("server", "1")]),
            Some(value),
            "{name}"
        );
    }
    // The load may change between the two reads.
    eventually("the load is that of /proc/loadavg", || {
        let load = fs::read_to_string("/proc/loadavg").unwrap();
        let mut load = load.split(' ').map(|number| number.parse::<f64>().unwrap());
        let body = host.text();
        ["1m", "5m", "15m"]
            .into_iter()
            .all(|window| body.value("c_collector", &[("window", window)]) == load.next())
            .then_some(())
    });
    let ticks = |stat: &str| -> Vec<f64> {
        let lines = stat.lines().filter(|line| line.starts_with("cpu"));
        let lines = lines.filter(|line| !line.starts_with("cpu "));
        let user = lines.map(|line| line.split(' ').nth(1).unwrap().parse().unwrap());
        user.collect()
    };
    let before = ticks(&fs::read_to_string("/proc/stat").unwrap());
    let body = host.text();
    let after = ticks(&fs::read_to_string("/proc/stat").unwrap());
    assert!(!before.is_empty());
    for (cpu, (before, after)) in before.into_iter().zip(after).enumerate() {
        let labels = [("cpu", format!("cpu{cpu}")), ("mode", "user".to_owned())];
        let labels = labels
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let value = body
            .value("cpustat_time_user_hertz_total", &labels)
            .unwrap();
        assert!(
            (before..=after).contains(&value),
            "{before} {value} {after}"
        );
    }
    host.open_metrics();
}
