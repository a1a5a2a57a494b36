//! The halves of a host: the loader, which holds the kernel, and the server, which holds the
//! network, with the starter between them and the compilers beside the server. What each may do,
//! and what becomes of the host when one of them dies.

mod bombs;
mod deaths;
mod edits;
mod figures;
mod identity;
mod inside;
mod limits;
mod once;
mod samples;
mod scrapes;
mod signals;

use crate::harness::{Host, Setup};

/// The events by argument, of the object `events`.
fn events(help: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: events_total, help: {help}, labels: [\
         {{name: command, size: 16, decoders: [{{name: string}}]}}, \
         {{name: argument, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

const EVENTS: &str = "ebpf_exporter_events_total";

/// A host that counts the events, and reloads when it is asked to.
fn setup() -> Setup {
    Setup::new()
        .unit("unit", "events", &events("Test."))
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
}

/// A host whose servers are going to die.
fn mortal(setup: Setup) -> Host {
    let host = setup.start();
    host.server_may_end();
    host
}

/// The answer to a reload, and whether all went well.
fn reload(host: &Host) -> (u16, String) {
    let response = crate::harness::http::request(host.address(), "POST", "/-/reload", &[]);
    (response.status, response.text().to_owned())
}
