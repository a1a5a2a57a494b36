//! The `process_*` metrics every Prometheus client has, read from /proc/self when asked for.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks per second of the times in /proc/PID/stat: part of the kernel's interface, the same on every architecture Linux runs BPF on.
const USER_HZ: f64 = 100.0;

/// What cannot be read is left out, each number by itself.
#[derive(Debug, Default, PartialEq)]
struct Process {
    cpu_seconds: Option<f64>,
    threads: Option<u64>,
    start_time: Option<f64>,
    virtual_bytes: Option<u64>,
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let process = Process::read();
        if let Some(seconds) = process.cpu_seconds {
            let help = "Total user and system CPU time spent in seconds.";
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(seconds).encode(metric)?;
        }
        if let Some(seconds) = process.start_time {
            let help = "Start time of the process since unix epoch in seconds.";
            let name = "process_start_time_seconds";
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(seconds).encode(metric)?;
        }
        for (name, help, value) in [
            (
                "process_max_fds",
                "Maximum number of open file descriptors.",
                process.max_fds,
            ),
            (
                "process_open_fds",
                "Number of open file descriptors.",
                process.open_fds,
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                process.resident_bytes,
            ),
            (
                "process_threads",
                "Number of OS threads in the process.",
                process.threads,
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                process.virtual_bytes,
            ),
        ] {
            let Some(value) = value else { continue };
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }
}

impl Process {
    fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let status = text("/proc/self/status");
        let mut process = Self {
            virtual_bytes: kibibytes(&status, "VmSize:"),
            resident_bytes: kibibytes(&status, "VmRSS:"),
            // One of them is the directory itself, being read.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: field(&text("/proc/self/limits"), "Max open files"),
            ..Self::default()
        };
        process.set_times(
            &text("/proc/self/stat"),
            field(&text("/proc/stat"), "btime"),
        );
        process
    }

    /// `stat`: /proc/PID/stat, whose second field may hold anything up to the last parenthesis. `boot`: seconds since the epoch.
    fn set_times(&mut self, stat: &str, boot: Option<u64>) {
        let Some((_, stat)) = stat.rsplit_once(") ") else {
            return;
        };
        let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
        // proc(5) counts from 1; the first here is its third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        if let (Some(user), Some(system)) = (number(14), number(15)) {
            self.cpu_seconds = Some((user + system) as f64 / USER_HZ);
        }
        self.threads = number(20);
        if let (Some(start), Some(boot)) = (number(22), boot) {
            self.start_time = Some(boot as f64 + start as f64 / USER_HZ);
        }
    }
}

/// The number that follows `key` at the start of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    field(text, key).map(|kibibytes| kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_command_name() {
        let mut process = Process::default();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 12345 99 1";
        process.set_times(stat, Some(1_000));
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.threads, Some(9));
        assert_eq!(process.start_time, Some(1_123.45));
        let mut process = Process::default();
        process.set_times("nonsense", None);
        assert_eq!(process, Process::default());
    }

    #[test]
    fn this_process_can_be_read() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.open_fds.unwrap() >= 3 && process.max_fds.unwrap() >= 3);
        assert!(process.start_time.unwrap() > 1.6e9);
    }
}
