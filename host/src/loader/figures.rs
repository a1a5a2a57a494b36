//! What the loader and the starter use, for `process_*`: the server may not read it of another
//! user's processes.

use crate::link::ProcessFigures;
use crate::telemetry::process_figures;

/// Sums over both. What cannot be read of the starter, another user's process, is left out.
pub(super) fn of_the_loader(starter: Option<u32>) -> ProcessFigures {
    let loader = process_figures("self");
    let Some(starter) = starter else {
        return loader;
    };
    let starter = process_figures(&starter.to_string());
    let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    };
    ProcessFigures {
        cpu_seconds: match (loader.cpu_seconds, starter.cpu_seconds) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        },
        threads: sum(loader.threads, starter.threads),
        virtual_bytes: sum(loader.virtual_bytes, starter.virtual_bytes),
        resident_bytes: sum(loader.resident_bytes, starter.resident_bytes),
        open_fds: sum(loader.open_fds, starter.open_fds),
        start_time: loader.start_time,
        max_fds: loader.max_fds,
        log_lines_dropped: loader.log_lines_dropped,
        max_virtual_bytes: loader.max_virtual_bytes,
        received_bytes: loader.received_bytes,
        sent_bytes: loader.sent_bytes,
    }
}
