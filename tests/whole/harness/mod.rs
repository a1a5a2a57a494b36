//! What the tests stand on: starting a host, asking it over HTTP, parsing what it says, and
//! reaching into its maps.

pub(crate) mod bombs;
pub(crate) mod components;
pub(crate) mod event;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod identity;
pub(crate) mod maps;
pub(crate) mod network;
pub(crate) mod node_exporter;
pub(crate) mod objects;
pub(crate) mod parser;
pub(crate) mod plugin;
pub(crate) mod project;
pub(crate) mod prometheus;
mod promtool;
pub(crate) mod scraper;
pub(crate) mod sockets;
pub(crate) mod sys;
pub(crate) mod tree;
pub(crate) mod tuner;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use host::{Host, Setup};
pub(crate) use parser::{Body, Series, labels, series};
pub(crate) use promtool::promtool;

/// The name of the host's own families, in one place.
pub(crate) mod names {
    pub(crate) const PLUGIN_CALLS: &str = "exporter_host_plugin_calls_total";
    pub(crate) const PROGRAM_INFO: &str = "ebpf_exporter_ebpf_program_info";
    pub(crate) const PROGRAM_ATTACHED: &str = "ebpf_exporter_ebpf_program_attached";
    pub(crate) const LOAD_SUCCESSFUL: &str = "exporter_host_unit_last_load_successful";
    pub(crate) const RELOAD_SUCCESSFUL: &str = "exporter_host_config_last_reload_successful";
    pub(crate) const ENABLED_CONFIGS: &str = "ebpf_exporter_enabled_configs";
    pub(crate) const DECODER_ERRORS: &str = "ebpf_exporter_decoder_errors_total";
}

/// The states of units as `exporter_host_unit_state` numbers them.
pub(crate) fn states(body: &Body) -> std::collections::BTreeMap<String, &'static str> {
    const STATES: [&str; 7] = [
        "failed", "running", "starting", "stopping", "stopped", "skipped", "degraded",
    ];
    let series = body.series("exporter_host_unit_state");
    series
        .into_iter()
        .map(|(labels, value)| (labels["config"].clone(), STATES[value as usize]))
        .collect()
}

/// Asks until there is an answer. For what the kernel does in its own time (perf buffers, sampling,
/// freeing programs).
pub(crate) fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    // Virtual machines without acceleration are slow.
    within(Duration::from_secs(30), what, ask)
}

/// The same for what has a limit of its own.
pub(crate) fn within<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
