//! Debian's prometheus-node-exporter, to hold ours against.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::http;
use super::parser::{Body, Format};

/// A running one; dropping it ends it.
pub(crate) struct NodeExporter {
    child: Child,
    address: SocketAddr,
}

impl NodeExporter {
    /// With these of its collectors only.
    pub(crate) fn start(collectors: &[&str]) -> Self {
        let mut child = Command::new("prometheus-node-exporter")
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--collector.disable-defaults",
                // To the parser two of Go's have the same name.
                "--web.disable-exporter-metrics",
            ])
            .args(collectors.iter().map(|name| format!("--collector.{name}")))
            // From the same file as ours.
            .arg("--no-collector.netdev.netlink")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus-node-exporter runs: tests/run.sh installs it");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            let (_, address) = line.split_once(r#"msg="Listening on" address="#)?;
            Some(address.trim().parse().unwrap())
        });
        // Or else it would wait for somebody to read.
        thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: address.expect("prometheus-node-exporter says where it listens"),
        }
    }

    pub(crate) fn text(&self) -> Body {
        let response = http::request(self.address, "GET", "/metrics", &[]);
        assert_eq!(response.status, 200, "{}", response.text());
        Body::parse(Format::Text, response.text())
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
