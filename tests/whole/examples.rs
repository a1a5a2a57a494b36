//! The units of examples/conf.d, all together in one host, on a machine where something happens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::objects::{object, repository};
use crate::harness::parser::Format;
use crate::harness::{Body, Setup, eventually, names, promtool};

/// The units and their metrics' names.
fn units() -> BTreeMap<String, Vec<String>> {
    let directory = repository().join("examples/conf.d");
    let mut units = BTreeMap::new();
    for file in fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            units.insert(name, metrics(&path));
        }
    }
    units
}

fn metrics(path: &Path) -> Vec<String> {
    let yaml: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    ["counters", "gauges", "histograms"]
        .iter()
        .filter_map(|kind| yaml["metrics"][kind].as_sequence())
        .flatten()
        .map(|metric| format!("ebpf_exporter_{}", metric["name"].as_str().unwrap()))
        .collect()
}

/// A bit of everything that the units look at.
fn do_something() {
    Command::new("sh")
        .args(["-c", "true; (exit 3); ls / /does-not-exist"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[7; 100_000]).unwrap();
    drop(client);
    server.read_to_end(&mut Vec::new()).unwrap();
    let closed = listener.local_addr().unwrap();
    drop((listener, server));
    // Nobody listens there any more.
    let _refused = TcpStream::connect(closed);
    let _refused = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .send_to(b"x", closed);
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut file = File::create(directory.path().join("file")).unwrap();
    file.write_all(&vec![1; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    std::hint::black_box(vec![1_u8; 50 << 20]);
}

fn non_empty<'a>(units: &'a BTreeMap<String, Vec<String>>, body: &Body) -> Vec<&'a str> {
    let has = |metric: &String| {
        let histogram = format!("{metric}_bucket");
        body.samples()
            .any(|sample| sample.name == *metric || sample.name == histogram)
    };
    units
        .iter()
        .filter(|(_, metrics)| metrics.iter().any(has))
        .map(|(unit, _)| unit.as_str())
        .collect()
}

#[test]
fn all_example_units() {
    let units = units();
    assert!(units.len() >= 14, "{units:?}");
    let mut setup = Setup::new();
    for name in units.keys() {
        let yaml =
            fs::read_to_string(repository().join(format!("examples/conf.d/{name}.yaml"))).unwrap();
        setup = setup.unit(name, name, &yaml);
        assert!(object(name).exists());
    }
    let host = setup.start();
    let body = host.text();
    let enabled: Vec<_> = body
        .series(names::ENABLED_CONFIGS)
        .into_keys()
        .map(|labels| labels["name"].clone())
        .collect();
    assert_eq!(
        enabled,
        units.keys().cloned().collect::<Vec<_>>(),
        "all load"
    );
    let found = eventually("at least 12 units have something to say", || {
        do_something();
        let body = host.text();
        let found: Vec<_> = non_empty(&units, &body)
            .into_iter()
            .map(str::to_owned)
            .collect();
        (found.len() >= 12).then_some(found)
    });
    eprintln!("units with samples: {found:?}");
    host.open_metrics();

    let text = host.fetch(Format::Text);
    assert_eq!(promtool(&text), "", "promtool check metrics");
}
