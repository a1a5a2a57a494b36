//! Disks and interfaces: of each class as many as the limit of series has room for.

use std::collections::BTreeMap;

use exporter_guest_sdk::{Families, Host, log};

use crate::{Parts, disk, network, options};

/// What is added after the devices: how the parts went, and what is left out.
const RESERVE: usize = 32;

pub(crate) fn collect(
    host: &impl Host,
    options: &options::Read,
    parts: &mut Parts,
    families: &mut Families,
) {
    let on = &options.on;
    let mut disks = BTreeMap::new();
    if on.disk {
        let read = disk::read(host, &options.disk_exclude);
        parts.done("diskstats", read.map(|read| disks = read));
    }
    let mut interfaces = BTreeMap::new();
    if on.network {
        let read = network::read(host, &options.network_exclude);
        parts.done("netdev", read.map(|read| interfaces = read));
    }
    let room = options
        .max_series
        .saturating_sub(families.sample_count() + RESERVE);
    let wanted = [
        disks.len() * disk::SERIES,
        interfaces.len() * network::SERIES,
    ];
    let [of_disks, of_interfaces] = share(room, wanted);
    let (of_disks, of_interfaces) = (of_disks / disk::SERIES, of_interfaces / network::SERIES);
    for (name, disk) in disks.iter().take(of_disks) {
        disk::device(name, disk, families);
    }
    for (name, status) in interfaces.iter().take(of_interfaces) {
        network::device(name, status, families);
    }
    for (class, is_on, all, served) in [
        ("disk", on.disk, disks.len(), of_disks),
        ("network", on.network, interfaces.len(), of_interfaces),
    ] {
        if !is_on {
            continue;
        }
        let left_out = all.saturating_sub(served);
        if left_out > 0 {
            log::warn(&format!(
                "{class}: {left_out} of {all} devices are left out: raise `max_series` of procfs, and with it `limits` in its sidecar, or exclude devices"
            ));
        }
        families
            .gauge(
                "procfs_devices_left_out",
                "Devices of a class that are left out, since their series go beyond max_series.",
            )
            .sample(&[("class", class)], left_out);
    }
}

/// What each gets of the room: no more than it wants, and at least half if it wants that much.
fn share(room: usize, [a, b]: [usize; 2]) -> [usize; 2] {
    let of_a = a.min(room.saturating_sub(b).max(room / 2));
    [of_a, b.min(room - of_a)]
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_large_class_leaves_the_other_its_half() {
        assert_eq!(share(100, [10, 20]), [10, 20]);
        assert_eq!(share(100, [10, 900]), [10, 90]);
        assert_eq!(share(100, [900, 10]), [90, 10]);
        assert_eq!(share(100, [900, 900]), [50, 50]);
        assert_eq!(share(0, [1, 1]), [0, 0]);
    }
}
