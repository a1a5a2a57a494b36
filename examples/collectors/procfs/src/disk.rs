//! /proc/diskstats, see the kernel's admin-guide/iostats.rst.

use std::collections::BTreeMap;

use exporter_guest_sdk::families::{Kind, Value};
use exporter_guest_sdk::{Failure, Families, Host};
use procfs_core::DiskStat;
use regex::Regex;

const PATH: &str = "/proc/diskstats";
/// Whatever the device's own sectors are.
const SECTOR_BYTES: f64 = 512.0;

/// Of one disk, at most.
pub(crate) const SERIES: usize = 17;

/// The disks by name.
pub(crate) fn read(
    host: &impl Host,
    exclude: &Regex,
) -> Result<BTreeMap<String, DiskStat>, Failure> {
    let text = host.read_to_string(PATH)?;
    let mut all = BTreeMap::new();
    for line in text.lines() {
        match DiskStat::from_line(line) {
            Ok(disk) if exclude.is_match(&disk.name) => {}
            Ok(disk) => {
                let name = disk.name.clone();
                crate::first(&mut all, PATH, &name, disk);
            }
            Err(_) => crate::left_out(PATH, line, "expected a disk and its numbers"),
        }
    }
    Ok(all)
}

pub(crate) fn device(label: &str, disk: &DiskStat, families: &mut Families) {
    let mut add = |kind: Kind, name: &str, help: &str, value: Value| {
        families
            .family(kind, &format!("node_disk_{name}"), help)
            .sample(&[("device", label)], value);
    };
    let seconds = |milliseconds: u64| Value::Real(milliseconds as f64 * 0.001);
    let bytes = |sectors: u64| Value::Real(sectors as f64 * SECTOR_BYTES);
    add(
        Kind::Counter,
        "reads_completed_total",
        "The total number of reads completed successfully.",
        disk.reads.into(),
    );
    add(
        Kind::Counter,
        "reads_merged_total",
        "The total number of reads merged.",
        disk.merged.into(),
    );
    add(
        Kind::Counter,
        "read_bytes_total",
        "The total number of bytes read successfully.",
        bytes(disk.sectors_read),
    );
    add(
        Kind::Counter,
        "read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        seconds(disk.time_reading),
    );
    add(
        Kind::Counter,
        "writes_completed_total",
        "The total number of writes completed successfully.",
        disk.writes.into(),
    );
    add(
        Kind::Counter,
        "writes_merged_total",
        "The number of writes merged.",
        disk.writes_merged.into(),
    );
    add(
        Kind::Counter,
        "written_bytes_total",
        "The total number of bytes written successfully.",
        bytes(disk.sectors_written),
    );
    add(
        Kind::Counter,
        "write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        seconds(disk.time_writing),
    );
    add(
        Kind::Gauge,
        "io_now",
        "The number of I/Os currently in progress.",
        disk.in_progress.into(),
    );
    add(
        Kind::Counter,
        "io_time_seconds_total",
        "Total seconds spent doing I/Os.",
        seconds(disk.time_in_progress),
    );
    add(
        Kind::Counter,
        "io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        seconds(disk.weighted_time_in_progress),
    );
    // Not of all kernels.
    let mut newer = |name: &str, help: &str, value: Option<Value>| {
        if let Some(value) = value {
            add(Kind::Counter, name, help, value);
        }
    };
    newer(
        "discards_completed_total",
        "The total number of discards completed successfully.",
        disk.discards.map(Value::from),
    );
    newer(
        "discards_merged_total",
        "The total number of discards merged.",
        disk.discards_merged.map(Value::from),
    );
    newer(
        "discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        disk.sectors_discarded.map(Value::from),
    );
    newer(
        "discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        disk.time_discarding.map(seconds),
    );
    newer(
        "flush_requests_total",
        "The total number of flush requests completed successfully",
        disk.flushes.map(Value::from),
    );
    newer(
        "flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        disk.time_flushing.map(seconds),
    );
}
