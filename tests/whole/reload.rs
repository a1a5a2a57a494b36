//! Units and plugins that come, change and go while the host runs, all of it after its capabilities
//! have been dropped.

mod asked;
mod counts;
mod directories;
mod files;
mod layouts;
mod plugins;
mod replace;
mod sidecars;
mod units;
mod unreadable;
mod watching;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use libbpf_rs::query::ProgInfoIter;

use crate::harness::host::LogLines;
use crate::harness::objects::object;
use crate::harness::{Host, Setup, http, names};

/// The events by argument. `more` goes into the metric.
fn events(help: &str, label: &str, more: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: events_total, help: {help}, labels: [\
         {{name: command, size: 16, decoders: [{{name: string}}]}}, \
         {{name: {label}, size: 4, decoders: [{{name: uint}}{more}]}}]}}]}}"
    )
}

/// A counter from a map with keys of four bytes.
fn simple(name: &str, help: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: {name}, help: {help}, labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

const EVENTS: &str = "ebpf_exporter_events_total{";

/// A host that counts the events in a unit called `unit`.
fn setup() -> Setup {
    Setup::new().unit("unit", "events", &events("Test.", "argument", ""))
}

/// The same; it reloads only when it is told to.
fn asked() -> Setup {
    on_request(setup())
}

fn on_request(setup: Setup) -> Setup {
    setup
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
}

/// A reload that has to do something, or nothing, and to succeed. Gives what the host says.
fn reload(host: &Host) -> String {
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 200, "{}\n{}", response.text(), host.log());
    crate::capabilities::only_bpf_and_perfmon(host);
    response.text().to_owned()
}

/// A reload that has to fail and to say these words in one line.
fn reload_fails(host: &Host, words: &[&str]) {
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 500, "{}", response.text());
    crate::harness::host::assert_says(response.text(), words);
    crate::capabilities::only_bpf_and_perfmon(host);
}

/// Waits for the end of a reload that had something to do. Those that found nothing changed are
/// skipped: files that are written slowly make some.
fn changed(host: &Host, lines: &mut LogLines<'_>) -> (usize, usize) {
    loop {
        let reloaded = outcome(&lines.next(&["msg=reloaded"]));
        if reloaded != (0, 0) {
            crate::capabilities::only_bpf_and_perfmon(host);
            return reloaded;
        }
    }
}

/// Changed and failed of the host's line about a reload.
fn outcome(line: &str) -> (usize, usize) {
    let field = |name: &str| {
        let mut fields = line.split_whitespace();
        let value = fields.find_map(|field| field.strip_prefix(name));
        value.unwrap_or_else(|| panic!("{name} is in {line}"))
    };
    (
        field("changed=").parse().unwrap(),
        field("failed=").parse().unwrap(),
    )
}

/// Writes a file as careful programs do: whole, under another name, renamed.
fn install(path: &Path, content: impl AsRef<[u8]>) {
    let name = path.file_name().unwrap().to_str().unwrap();
    let temporary = path.with_file_name(format!(".{name}.new"));
    fs::write(&temporary, content).unwrap();
    fs::rename(temporary, path).unwrap();
}

fn install_object(directory: &Path, unit: &str, name: &str) {
    let bytes = fs::read(object(name)).unwrap();
    install(&directory.join(format!("{unit}.bpf.o")), bytes);
}

/// The ids of a unit's programs.
fn programs(host: &Host, unit: &str) -> BTreeSet<u32> {
    let info = host.text().series(names::PROGRAM_INFO);
    let of_unit = info.keys().filter(|labels| labels["config"] == unit);
    of_unit
        .map(|labels| labels["id"].parse().unwrap())
        .collect()
}

fn in_kernel(program: u32) -> bool {
    ProgInfoIter::default().any(|info| info.id == program)
}

/// Whether the unit's newest version is what runs, and whether all went well at the last reload.
fn successful(host: &Host, unit: &str) -> (bool, bool) {
    let body = host.text();
    let unit = body.value(names::LOAD_SUCCESSFUL, &[("config", unit)]);
    let all = body.value(names::RELOAD_SUCCESSFUL, &[]);
    (unit == Some(1.0), all == Some(1.0))
}

/// The number of events with this argument, by a label of this name.
fn count(host: &Host, label: &str, argument: &str) -> Option<f64> {
    host.text()
        .value("ebpf_exporter_events_total", &[(label, argument)])
}
