//! The `process_*` metrics every Prometheus client has, read from /proc when asked for: sums over
//! the processes of the host, with what each half uses beside them.

use std::fs;
use std::sync::Arc;

use parking_lot::Mutex;

use super::logs::lines_dropped;
use super::registry::{Source, family, head};
use crate::exposition::{Family, Kind, Number, label_block};
use crate::link::ProcessFigures;

/// Ticks per second of the times in /proc/PID/stat: part of the kernel's interface, the same on
/// every architecture Linux runs BPF on.
const USER_HZ: f64 = 100.0;

/// What is shown of processes.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessCollector {
    /// The loader's latest figures. None: this is the only process.
    loader: Arc<Mutex<Option<ProcessFigures>>>,
}

/// A number of a process, under its name and that of each half.
type Column = (
    &'static str,
    &'static str,
    Option<&'static str>,
    fn(&ProcessFigures) -> Option<u64>,
);

const COLUMNS: [Column; 6] = [
    (
        "process_max_fds",
        "Maximum number of open file descriptors.",
        None,
        |figures| figures.max_fds,
    ),
    (
        "process_open_fds",
        "Number of open file descriptors.",
        Some("exporter_host_process_open_fds"),
        |figures| figures.open_fds,
    ),
    (
        "process_resident_memory_bytes",
        "Resident memory size in bytes.",
        Some("exporter_host_process_resident_memory_bytes"),
        |figures| figures.resident_bytes,
    ),
    (
        "process_threads",
        "Number of OS threads in the process.",
        Some("exporter_host_process_threads"),
        |figures| figures.threads,
    ),
    (
        "process_virtual_memory_bytes",
        "Virtual memory size in bytes.",
        None,
        |figures| figures.virtual_bytes,
    ),
    (
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        None,
        |figures| figures.max_virtual_bytes,
    ),
];

impl ProcessCollector {
    pub(super) fn set_loader(&self, figures: ProcessFigures) {
        *self.loader.lock() = Some(figures);
    }
}

impl Source for ProcessCollector {
    fn families(&self) -> Vec<Family> {
        let (own, loader) = (figures("self"), *self.loader.lock());
        let all = loader.map_or(own, |loader| sum(&own, &loader));
        let single = |name, help, kind, value: Option<Number>| {
            let sample = value.map(|value| ("".into(), value));
            family(head(name, help, kind), sample)
        };
        let mut families = vec![
            single(
                "process_cpu_seconds_total",
                "Total user and system CPU time spent in seconds.",
                Kind::Counter,
                all.cpu_seconds.map(Number::Float),
            ),
            single(
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds.",
                Kind::Gauge,
                all.start_time.map(Number::Float),
            ),
            single(
                "exporter_host_log_lines_dropped_total",
                "Log lines that were dropped since nobody read the log.",
                Kind::Counter,
                Some(Number::Unsigned(all.log_lines_dropped)),
            ),
        ];
        let network = [
            (
                "process_network_receive_bytes_total",
                "Number of bytes received by the process over the network.",
                all.received_bytes,
            ),
            (
                "process_network_transmit_bytes_total",
                "Number of bytes sent by the process over the network.",
                all.sent_bytes,
            ),
        ];
        families.extend(network.map(|(name, help, value)| {
            single(name, help, Kind::Counter, value.map(Number::Unsigned))
        }));
        families.extend(COLUMNS.iter().map(|(name, help, _, value)| {
            single(name, help, Kind::Gauge, value(&all).map(Number::Unsigned))
        }));
        if let Some(loader) = loader {
            add_halves(&mut families, &[("loader", loader), ("server", own)]);
        }
        families
    }
}

fn add_halves(families: &mut Vec<Family>, halves: &[(&str, ProcessFigures)]) {
    let mut add =
        |name: &str, help: &str, kind, value: &dyn Fn(&ProcessFigures) -> Option<Number>| {
            let samples = halves.iter().filter_map(|(half, figures)| {
                let value = value(figures)?;
                Some((label_block(&[("half", half)]), value))
            });
            families.push(family(head(name, help, kind), samples));
        };
    add(
        "exporter_host_process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds, by half of the host.",
        Kind::Counter,
        &|figures| figures.cpu_seconds.map(Number::Float),
    );
    for (_, help, name, value) in COLUMNS {
        let Some(name) = name else { continue };
        let help = format!("{}, by half of the host.", help.trim_end_matches('.'));
        add(name, &help, Kind::Gauge, &|figures| {
            value(figures).map(Number::Unsigned)
        });
    }
}

/// Of the server and the loader together, as one process that has been there as long as the loader
/// and has the server's bound on descriptors.
fn sum(server: &ProcessFigures, loader: &ProcessFigures) -> ProcessFigures {
    fn add<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }
    ProcessFigures {
        cpu_seconds: add(server.cpu_seconds, loader.cpu_seconds),
        threads: add(server.threads, loader.threads),
        start_time: loader.start_time.or(server.start_time),
        virtual_bytes: add(server.virtual_bytes, loader.virtual_bytes),
        resident_bytes: add(server.resident_bytes, loader.resident_bytes),
        open_fds: add(server.open_fds, loader.open_fds),
        max_fds: server.max_fds,
        log_lines_dropped: server.log_lines_dropped + loader.log_lines_dropped,
        max_virtual_bytes: server.max_virtual_bytes.or(loader.max_virtual_bytes),
        // Of the network namespace, which is the one that answers requests.
        received_bytes: server.received_bytes.or(loader.received_bytes),
        sent_bytes: server.sent_bytes.or(loader.sent_bytes),
    }
}

/// Of one process; `process` is its number or `self`. What cannot be read is left out, each number
/// by itself: another user's process does not show everything.
pub(crate) fn figures(process: &str) -> ProcessFigures {
    // The name of a command is any bytes.
    let text = |path: String| {
        let bytes = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let status = text(format!("/proc/{process}/status"));
    let limits = text(format!("/proc/{process}/limits"));
    let netstat = text(format!("/proc/{process}/net/netstat"));
    // One of them is the directory itself, being read.
    let read = u64::from(process == "self");
    let mut figures = ProcessFigures {
        virtual_bytes: kibibytes(&status, "VmSize:"),
        resident_bytes: kibibytes(&status, "VmRSS:"),
        open_fds: fs::read_dir(format!("/proc/{process}/fd"))
            .ok()
            .map(|fds| (fds.count() as u64).saturating_sub(read)),
        max_fds: field(&limits, "Max open files"),
        // As every Prometheus client says it where there is no limit.
        max_virtual_bytes: match field(&limits, "Max address space") {
            None if limits.contains("Max address space") => Some(u64::MAX),
            limit => limit,
        },
        received_bytes: network(&netstat, "InOctets"),
        sent_bytes: network(&netstat, "OutOctets"),
        log_lines_dropped: if read == 1 { lines_dropped() } else { 0 },
        ..ProcessFigures::default()
    };
    let boot = field(&text("/proc/stat".to_owned()), "btime");
    set_times(&mut figures, &text(format!("/proc/{process}/stat")), boot);
    figures
}

/// `stat`: /proc/PID/stat, whose second field may hold anything up to the last parenthesis.
/// `boot`: seconds since the epoch.
fn set_times(figures: &mut ProcessFigures, stat: &str, boot: Option<u64>) {
    let Some((_, stat)) = stat.rsplit_once(") ") else {
        return;
    };
    let fields: Vec<&str> = stat.split_ascii_whitespace().collect();
    // proc(5) counts from 1; the first here is its third.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // With that of children that have ended: servers before this one.
    let times = [14, 15, 16, 17].map(number);
    if let [
        Some(user),
        Some(system),
        Some(of_children),
        Some(system_of_children),
    ] = times
    {
        let ticks = user + system + of_children + system_of_children;
        figures.cpu_seconds = Some(ticks as f64 / USER_HZ);
    }
    figures.threads = number(20);
    if let (Some(start), Some(boot)) = (number(22), boot) {
        figures.start_time = Some(boot as f64 + start as f64 / USER_HZ);
    }
}

/// The number that follows `key` at the start of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// A number of IP's extended statistics: a line of names, and one of numbers below it.
fn network(netstat: &str, name: &str) -> Option<u64> {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let column = names.split_ascii_whitespace().position(|one| one == name)?;
    numbers.split_ascii_whitespace().nth(column)?.parse().ok()
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    field(text, key).map(|kibibytes| kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_command_name() {
        let mut process = ProcessFigures::default();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 12345 99 1";
        set_times(&mut process, stat, Some(1_000));
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.threads, Some(9));
        assert_eq!(process.start_time, Some(1_123.45));
        let mut process = ProcessFigures::default();
        set_times(&mut process, "nonsense", None);
        assert_eq!(process, ProcessFigures::default());
    }

    #[test]
    fn this_process_can_be_read() {
        let process = figures("self");
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.open_fds.unwrap() >= 3 && process.max_fds.unwrap() >= 3);
        assert!(process.start_time.unwrap() > 1.6e9);
        let same = figures(&std::process::id().to_string());
        assert_eq!(same.start_time, process.start_time);
    }

    #[test]
    fn the_network_is_found_by_the_names_of_columns() {
        let text = "TcpExt: A InOctets\nTcpExt: 1 2\nIpExt: A InOctets OutOctets\nIpExt: 3 4 5\n";
        assert_eq!(network(text, "InOctets"), Some(4));
        assert_eq!(network(text, "OutOctets"), Some(5));
        assert_eq!(network("IpExt: A\n", "A"), None);
        let process = figures("self");
        assert!(process.received_bytes.is_some() && process.sent_bytes.is_some());
        assert!(process.max_virtual_bytes.unwrap() > 1 << 20);
    }

    #[test]
    fn two_processes_are_shown_as_one() {
        let of = |number: u64, start: f64| ProcessFigures {
            cpu_seconds: Some(number as f64),
            threads: Some(number),
            start_time: Some(start),
            virtual_bytes: None,
            resident_bytes: Some(number),
            open_fds: Some(number),
            max_fds: Some(number),
            log_lines_dropped: number,
            ..ProcessFigures::default()
        };
        let all = sum(&of(1, 20.0), &of(2, 10.0));
        assert_eq!((all.cpu_seconds, all.threads), (Some(3.0), Some(3)));
        assert_eq!((all.start_time, all.max_fds), (Some(10.0), Some(1)));
        assert_eq!((all.virtual_bytes, all.open_fds), (None, Some(3)));
        assert_eq!(all.log_lines_dropped, 3);
    }
}
