//! `filesystem`: sizes and inodes of file systems by mount point, named and left out as by
//! node_exporter.

mod mounts;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use exporter_guest_sdk::{Collector, Error, Failure, Families, Host, Request, log};
use regex::Regex;
use serde::Deserialize;

use mounts::Mount;

/// PID 1's, as node_exporter has it: the machine's mounts and not those of a service manager's
/// sandbox.
const PATH: &str = "/proc/1/mounts";

/// The defaults of Debian's prometheus-node-exporter 1.5.
const MOUNT_POINTS_EXCLUDE: &str =
    "^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
const FS_TYPES_EXCLUDE: &str = "^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$";

/// The collector.
#[derive(Debug)]
pub struct Filesystem {
    mount_points_exclude: Regex,
    fs_types_exclude: Regex,
    max_series: usize,
}

/// Below the 20,000 that a plugin may have unless its sidecar says otherwise.
const MAX_SERIES: usize = 19_000;
/// Of one mount.
const SERIES: usize = 7;

/// Options of [`Filesystem`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    mount_points_exclude: Option<String>,
    fs_types_exclude: Option<String>,
    max_series: Option<usize>,
}

impl Collector for Filesystem {
    const NAME: &'static str = "filesystem";
    const SUMMARY: &'static str = "sizes and inodes of file systems by mount point";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object","properties":{"mount_points_exclude":{"type":"string"},"fs_types_exclude":{"type":"string"},"max_series":{"type":"integer","minimum":1}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        let regex = |name, pattern: Option<String>, default| {
            let pattern = pattern.as_deref().unwrap_or(default);
            Regex::new(pattern).map_err(|error| Error::new(format!("`{name}`: {error}")))
        };
        Ok(Self {
            mount_points_exclude: regex(
                "mount_points_exclude",
                options.mount_points_exclude,
                MOUNT_POINTS_EXCLUDE,
            )?,
            fs_types_exclude: regex(
                "fs_types_exclude",
                options.fs_types_exclude,
                FS_TYPES_EXCLUDE,
            )?,
            max_series: options.max_series.unwrap_or(MAX_SERIES),
        })
    }

    fn collect(
        &self,
        host: &impl Host,
        _: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let text = host.read_to_string(PATH)?;
        let mut seen = BTreeSet::new();
        let (mut served, mut denied) = (0, None);
        let room = self.max_series.saturating_sub(1) / SERIES;
        let mut left_out = 0_usize;
        for line in text.lines() {
            let Some(mount) = Mount::of_line(line) else {
                let start: String = line.chars().take(80).collect();
                log::warn(&format!("{PATH}: a line is no mount: {start}"));
                continue;
            };
            if self.mount_points_exclude.is_match(&mount.mount_point)
                || self.fs_types_exclude.is_match(&mount.fs_type)
            {
                continue;
            }
            let labels = [
                ("device", mount.device.as_str()),
                ("fstype", mount.fs_type.as_str()),
                ("mountpoint", mount.mount_point.as_str()),
            ];
            if !seen.insert(labels.map(|(_, value)| value.to_owned())) {
                continue;
            }
            if served >= room {
                left_out += 1;
                continue;
            }
            let usage = match host.file_system(&mount.mount_point) {
                // The operator does not want it seen.
                Err(error) if error.is_denied() => {
                    denied.get_or_insert(error);
                    continue;
                }
                usage => usage,
            };
            served += 1;
            let mut gauge = |name: &str, help: &str, value: u64| {
                let name = format!("node_filesystem_{name}");
                families.gauge(&name, help).sample(&labels, value);
            };
            gauge(
                "device_error",
                "Whether an error occurred while getting statistics for the given device.",
                usage.is_err().into(),
            );
            let usage = match usage {
                Ok(usage) => usage,
                Err(error) => {
                    log::warn(&error.to_string());
                    continue;
                }
            };
            gauge(
                "avail_bytes",
                "Filesystem space available to non-root users in bytes.",
                usage.available,
            );
            gauge("files", "Filesystem total file nodes.", usage.files);
            gauge(
                "files_free",
                "Filesystem total free file nodes.",
                usage.files_free,
            );
            gauge("free_bytes", "Filesystem free space in bytes.", usage.free);
            gauge(
                "readonly",
                "Filesystem read-only status.",
                mount.read_only.into(),
            );
            gauge("size_bytes", "Filesystem size in bytes.", usage.total);
        }
        if left_out > 0 {
            log::warn(&format!(
                "{left_out} mounts are left out: raise `max_series` of filesystem, and with it `limits` in its sidecar, or exclude mounts"
            ));
        }
        families
            .gauge(
                "filesystem_mounts_left_out",
                "Mounts that are left out, since their series go beyond max_series.",
            )
            .sample(&[], left_out);
        match denied {
            Some(error) if served == 0 => Err(error.into()),
            _ => Ok(()),
        }
    }
}

exporter_guest_sdk::export_plugin! { collectors: [Filesystem] }
