//! A real Prometheus scrapes the host with the configuration that the examples give.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::Setup;
use crate::harness::objects::repository;
use crate::harness::prometheus::Prometheus;
use crate::harness::tuner::Device;

/// It starts within seconds; the machine is busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) => assert!(
                Instant::now() < deadline,
                "within {PATIENCE:?}: {what}: {state}"
            ),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn example() -> String {
    fs::read_to_string(repository().join("examples/prometheus.yml")).unwrap()
}

#[test]
fn the_example_s_targets_are_up_and_labelled_by_device() {
    let tuner = [
        ("/sys/model", "hdhomerun4_atsc"),
        (
            "/tuner0/debug",
            "tun: ch=none lock=none ss=0 snq=0 seq=0 dbg=0\n",
        ),
    ];
    let devices = [Device::start(&tuner), Device::start(&tuner)];
    let host = Setup::new()
        .example("hdhomerun")
        .file(
            "hdhomerun.plugin.yaml",
            "grants:\n  tcp: [\"127.0.0.1:*\"]\n",
        )
        .start();
    let config = example()
        .replace("localhost:9435", &host.address().to_string())
        .replace("192.168.1.90", &devices[0].target())
        .replace("192.168.1.91", &devices[1].target())
        .replace("scrape_interval: 15s", "scrape_interval: 1s");
    let prometheus = Prometheus::start(&config);
    wait("all targets are up", || {
        let targets = prometheus
            .ask("/api/v1/targets?state=active")
            .ok_or("no answer")?;
        let active = targets["activeTargets"].as_array().ok_or("no targets")?;
        let up = active
            .iter()
            .filter(|target| target["health"] == "up")
            .count();
        if (active.len(), up) == (3, 3) {
            Ok(())
        } else {
            Err(format!("{active:#?}"))
        }
    });
    for (job, device) in [("hdhomerun", &devices[0]), ("hdhomerun-path", &devices[1])] {
        let query = format!("/api/v1/query?query=hdhomerun_device_tuners%7Bjob%3D%22{job}%22%7D");
        let found = wait("the device's series are there", || {
            let data = prometheus.ask(&query).ok_or("no answer")?;
            data["result"]
                .as_array()
                .filter(|series| !series.is_empty())
                .cloned()
                .ok_or(data.to_string())
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0]["metric"]["instance"], device.target().as_str());
        assert_eq!(found[0]["value"][1], "1");
    }
}

#[test]
fn the_example_passes_promtool() {
    let file = repository().join("examples/prometheus.yml");
    let checked = Command::new("promtool")
        .args(["check", "config"])
        .arg(file)
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}
