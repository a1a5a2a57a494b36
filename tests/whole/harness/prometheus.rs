//! A real Prometheus with a port and data of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::http;

/// A running server. Dropping it ends it and removes its data.
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    pub(crate) fn start(config: &str) -> Self {
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
    pub(crate) fn ask(&self, path: &str) -> Option<Value> {
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
