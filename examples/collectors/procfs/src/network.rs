//! /proc/1/net/dev: packets and bytes by interface of PID 1's network namespace. /proc/net is a
//! link to the reader's own, and links are not followed out of a grant.

use std::collections::BTreeMap;

use exporter_guest_sdk::{Failure, Families, Host};
use procfs_core::FromRead;
use procfs_core::net::{DeviceStatus, InterfaceDeviceStatus};
use regex::Regex;

const PATH: &str = "/proc/1/net/dev";

/// Of one interface.
pub(crate) const SERIES: usize = 16;

/// The interfaces by name.
pub(crate) fn read(
    host: &impl Host,
    exclude: &Regex,
) -> Result<BTreeMap<String, DeviceStatus>, Failure> {
    let text = host.read_to_string(PATH)?;
    let mut all = BTreeMap::new();
    for line in text.lines().skip(2) {
        // Old kernels leave no space after the colon.
        let Some((name, numbers)) = line.trim_start().rsplit_once(':') else {
            crate::left_out(PATH, line, "expected `interface: numbers`");
            continue;
        };
        if exclude.is_match(name) {
            continue;
        }
        // procfs-core reads whole files, and refuses them for one line: so each line is a file. The
        // name is kept out of it, as it may hold what is no name to procfs-core.
        let file = format!("\n\nx: {numbers}\n");
        match InterfaceDeviceStatus::from_read(file.as_bytes()) {
            Ok(InterfaceDeviceStatus(devices)) => {
                for status in devices.into_values() {
                    crate::first(&mut all, PATH, name, status);
                }
            }
            Err(error) => crate::left_out(PATH, line, error),
        }
    }
    Ok(all)
}

pub(crate) fn device(name: &str, status: &DeviceStatus, families: &mut Families) {
    let statistics = [
        ("receive_bytes", status.recv_bytes),
        ("receive_packets", status.recv_packets),
        ("receive_errs", status.recv_errs),
        ("receive_drop", status.recv_drop),
        ("receive_fifo", status.recv_fifo),
        ("receive_frame", status.recv_frame),
        ("receive_compressed", status.recv_compressed),
        ("receive_multicast", status.recv_multicast),
        ("transmit_bytes", status.sent_bytes),
        ("transmit_packets", status.sent_packets),
        ("transmit_errs", status.sent_errs),
        ("transmit_drop", status.sent_drop),
        ("transmit_fifo", status.sent_fifo),
        ("transmit_colls", status.sent_colls),
        ("transmit_carrier", status.sent_carrier),
        ("transmit_compressed", status.sent_compressed),
    ];
    for (statistic, number) in statistics {
        families
            .counter(
                &format!("node_network_{statistic}_total"),
                &format!("Network device statistic {statistic}."),
            )
            .sample(&[("device", name)], number);
    }
}
