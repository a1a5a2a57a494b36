//! A real Prometheus scrapes the host with the configuration that the examples give.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::objects::repository;
use crate::harness::tuner::Device;
use crate::harness::{Setup, http};

/// It starts within seconds; the machine is busy with all the other tests.
const PATIENCE: Duration = Duration::from_secs(60);

struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    fn start(config: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("exporter-host-prometheus-")
            .tempdir()
            .unwrap();
        let file = directory.path().join("prometheus.yml");
        fs::write(&file, config).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus runs: tests/run.sh installs it");
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let mut log = Vec::new();
        let address = lines.by_ref().find_map(|line| {
            let address = line
                .contains("Listening on")
                .then(|| line.split("address=").nth(1)?.trim().parse().ok());
            log.push(line);
            address.flatten()
        });
        // Someone has to read on, or it stops to write.
        thread::spawn(move || lines.for_each(drop));
        let Some(address) = address else {
            let _killed = child.kill();
            panic!("prometheus listens: {log:#?}");
        };
        Self {
            child,
            address,
            _directory: directory,
        }
    }

    /// The `data` of an answer; None: not yet.
    fn ask(&self, path: &str) -> Option<Value> {
        let response = http::request(self.address, "GET", path, &[]);
        let answer: Value = serde_json::from_slice(&response.body).ok()?;
        (answer["status"] == "success").then(|| answer["data"].clone())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

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
