//! /proc/stat, see proc_stat(5): time by CPU and mode, and what the kernel counts for all of them.

use std::collections::BTreeSet;

use exporter_guest_sdk::families::Kind;
use exporter_guest_sdk::{Failure, Families, Host};

const PATH: &str = "/proc/stat";
/// Ticks in a second, on all of Rust's Linux targets.
const USER_HZ: f64 = 100.0;
/// Columns as in the file; those after them are guests'.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];
const GUEST_MODES: [&str; 2] = ["user", "nice"];

/// The first word of a line, what it is, and how it is served.
const NUMBERS: [(&str, Kind, &str, &str); 6] = [
    (
        "intr",
        Kind::Counter,
        "node_intr_total",
        "Total number of interrupts serviced.",
    ),
    (
        "ctxt",
        Kind::Counter,
        "node_context_switches_total",
        "Total number of context switches.",
    ),
    (
        "processes",
        Kind::Counter,
        "node_forks_total",
        "Total number of forks.",
    ),
    (
        "btime",
        Kind::Gauge,
        "node_boot_time_seconds",
        "Node boot time, in unixtime.",
    ),
    (
        "procs_running",
        Kind::Gauge,
        "node_procs_running",
        "Number of processes in runnable state.",
    ),
    (
        "procs_blocked",
        Kind::Gauge,
        "node_procs_blocked",
        "Number of processes blocked waiting for I/O to complete.",
    ),
];

pub(crate) fn collect(
    host: &impl Host,
    cpu: bool,
    kernel: bool,
    families: &mut Families,
) -> Result<(), Failure> {
    let text = host.read_to_string(PATH)?;
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !seen.insert(word) && !word.is_empty() {
            crate::left_out(PATH, line, "it is there twice");
            continue;
        }
        if let Some(number) = word.strip_prefix("cpu") {
            // Without a number: the sum of them all.
            if cpu && !number.is_empty() && !times(number, rest, families) {
                crate::left_out(PATH, line, "expected a CPU and its numbers");
            }
        } else if let Some((_, kind, name, help)) = NUMBERS.iter().find(|known| known.0 == word)
            && kernel
        {
            // intr goes on with a number for each interrupt.
            match rest.split(' ').next().map(str::parse::<u64>) {
                Some(Ok(number)) => {
                    families.family(*kind, name, help).sample(&[], number);
                }
                _ => {
                    crate::left_out(PATH, line, "expected a number");
                }
            }
        }
    }
    Ok(())
}

/// One CPU's; false: they can't be read.
fn times(number: &str, columns: &str, families: &mut Families) -> bool {
    let ticks = columns.split_whitespace().map(str::parse::<u64>);
    let Ok(ticks) = ticks.take(10).collect::<Result<Vec<u64>, _>>() else {
        return false;
    };
    if ticks.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let mut seconds = families.counter(
        "node_cpu_seconds_total",
        "Seconds the CPUs spent in each mode.",
    );
    for (mode, ticks) in MODES.iter().zip(&ticks) {
        let labels = [("cpu", number), ("mode", mode)];
        seconds.sample(&labels, *ticks as f64 / USER_HZ);
    }
    let guests = ticks.iter().skip(MODES.len());
    for (mode, ticks) in GUEST_MODES.iter().zip(guests) {
        families
            .counter(
                "node_cpu_guest_seconds_total",
                "Seconds the CPUs spent in guests (VMs) for each mode.",
            )
            .sample(&[("cpu", number), ("mode", mode)], *ticks as f64 / USER_HZ);
    }
    true
}
