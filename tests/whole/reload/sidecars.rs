//! What a sidecar grants, from outside: the file that a collector may read, and what is said when
//! it may not.

use std::fs;

use super::{on_request, reload, reload_fails, setup};
use crate::harness::guest::component;
use crate::harness::{Host, Setup, eventually};

/// A gauge: how many bytes a file has. It also prints, as a panic would.
const READER: &str = r#"
use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, Request};

struct Reader(String);

#[derive(serde::Deserialize)]
struct Options {
    path: String,
}

impl Collector for Reader {
    const NAME: &'static str = "reader";
    const SUMMARY: &'static str = "the size of a file, as read";
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        Ok(Self(options.path))
    }

    fn collect(&self, host: &impl Host, _: &Request, families: &mut Families) -> Result<(), Failure> {
        eprintln!("about to read {}", self.0);
        let text = host.read_to_string(&self.0)?;
        families.gauge("read_bytes", "Test.").sample(&[], text.len() as f64);
        Ok(())
    }
}

exporter_guest_sdk::export_plugin! { collectors: [Reader] }
"#;

const UNIT: &str = "collectors: [{name: reader, options: {path: /proc/stat}}]";

fn with_reader(setup: Setup) -> Setup {
    setup.file("files.yaml", UNIT).file(
        "reader.wasm",
        fs::read(component("reader", READER, "reader", &[])).unwrap(),
    )
}

fn read_bytes(host: &Host) -> Option<f64> {
    host.text().value("read_bytes", &[])
}

fn denied(host: &Host) -> Option<f64> {
    let labels = [("interface", "files"), ("plugin", "reader")];
    host.text()
        .value("exporter_host_plugin_denied_total", &labels)
}

/// Waits for a line of the log with all of these.
fn says(host: &Host, words: &[&str]) {
    eventually(&format!("the log says {words:?}"), || {
        let log = host.log();
        let mut lines = log.lines();
        lines
            .any(|line| words.iter().all(|word| line.contains(word)))
            .then_some(())
    });
}

#[test]
fn a_sidecar_comes_breaks_and_goes_with_its_plugin() {
    let host = with_reader(on_request(setup())).start();
    // Wider rules take a new server.
    host.server_may_end();
    let sidecar = |text: &str| fs::write(host.path().join("reader.plugin.yaml"), text).unwrap();

    // Without one nothing is granted.
    assert_eq!(read_bytes(&host), None);
    assert!(denied(&host) >= Some(1.0));
    says(
        &host,
        &[
            "denied to the plugin: /proc/stat",
            "plugin=reader",
            "interface=files",
        ],
    );
    says(
        &host,
        &["about to read /proc/stat", "level=warn", "plugin=reader"],
    );

    sidecar("grants: {read: [/proc/stat]}");
    let message = reload(&host);
    assert!(message.contains("files: "), "{message}");
    let before = denied(&host);
    assert!(read_bytes(&host) > Some(100.0));
    assert_eq!(
        denied(&host),
        before,
        "it goes on counting, and nothing is denied"
    );

    // What is wrong with it is said, and the grants before stay.
    sidecar("grants: {raed: [/proc/stat]}");
    reload_fails(
        &host,
        &[
            "reader.wasm",
            "reader.plugin.yaml:1:10: error: unknown key `raed`",
            "`read`",
        ],
    );
    assert!(read_bytes(&host) > Some(100.0));
    sidecar(&format!("sha256: {}", "0".repeat(64)));
    reload_fails(&host, &["reader.wasm", "expected SHA-256 0000", "found "]);
    assert!(read_bytes(&host) > Some(100.0));

    // Another file is another file.
    sidecar("grants: {read: [/proc/statm, /proc/*/stat]}");
    reload(&host);
    assert_eq!(read_bytes(&host), None);
    assert!(denied(&host) > before);

    for file in ["files.yaml", "reader.wasm"] {
        fs::remove_file(host.path().join(file)).unwrap();
    }
    reload(&host);
    says(
        &host,
        &[
            "level=warn",
            "reader.plugin.yaml: warning: there is no plugin",
        ],
    );
    let body = host.text();
    let left = body
        .samples()
        .filter(|sample| {
            sample
                .labels
                .get("plugin")
                .is_some_and(|plugin| plugin == "reader")
        })
        .count();
    assert_eq!(left, 0, "a plugin that is gone has no series");
}
