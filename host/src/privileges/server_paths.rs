//! Which files the server may open: what its plugins were granted, and what it needs itself.
//! Nothing of it can be written or executed.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::access::{dedicated_parent, literal_prefix, resolver_directory};
use crate::kernel::cgroup2_mount;

/// Of every server. What is not there is no error.
const ALWAYS: &[&str] = &[
    // Numbers of CPUs: the values of per-CPU maps.
    "/sys/devices/system/cpu",
    // Paths of cgroups, and how much of the CPUs this process may use, which the standard library
    // asks.
    "/sys/fs/cgroup",
    // Names of block devices, the time of the boot, the kernel's release, whether run counts are
    // kept, and what the C library's allocator asks.
    "/proc/partitions",
    "/proc/stat",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/bpf_stats_enabled",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/vm/overcommit_memory",
    // pci.ids.
    "/usr/share/hwdata",
    "/usr/share/misc",
    // Resolving names, with the libraries that the C library loads for it.
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/nix/store",
    "/gnu/store",
    // Whom to trust.
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/localtime",
    "/dev/null",
];

/// Trees of /sys that consist of links into [`DEVICES`]. Landlock goes by where a link leads.
const LINKS: [&str; 4] = ["/sys/class", "/sys/block", "/sys/bus", "/sys/dev"];
const DEVICES: &str = "/sys/devices";

/// What a server may read beyond what every server needs: what the sidecars of its plugins grant,
/// and what the operator names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerPaths {
    /// Files, or everything beneath directories.
    pub(crate) read: Vec<PathBuf>,
}

// === impl ServerPaths ===

impl ServerPaths {
    /// Of patterns as sidecars have them, cut down to what landlock can say: everything below the
    /// part without wildcards. A file that may be replaced by another one of its name is granted
    /// with its directory, where that holds nothing else.
    pub(crate) fn of_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut paths = Self::default();
        for pattern in patterns {
            for path in opened_by(pattern) {
                if !paths.read.contains(&path) {
                    paths.read.push(path);
                }
            }
        }
        paths
    }

    /// With what every server needs. To be asked in the server: /proc/self is another directory in
    /// each process.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let always = ALWAYS.iter().map(PathBuf::from);
        let mut all: Vec<PathBuf> = always.chain([PathBuf::from("/proc/self")]).collect();
        all.extend(resolver_directory());
        all.extend(cgroup2_mount().ok().flatten());
        // For its own symbols.
        all.extend(std::env::current_exe());
        all.extend(self.read.iter().cloned());
        all
    }
}

fn opened_by(pattern: &str) -> Vec<PathBuf> {
    let literal = literal_prefix(pattern);
    if let Ok(below) = literal.strip_prefix("/proc") {
        // The directory of a process is another one once its number is somebody else's.
        let of_a_process = matches!(below.components().next(), Some(Component::Normal(name))
            if name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        return vec![if of_a_process {
            PathBuf::from("/proc")
        } else {
            literal
        }];
    }
    if literal.starts_with("/sys") {
        let linked = LINKS.iter().any(|tree| literal.starts_with(tree));
        let devices = linked.then(|| PathBuf::from(DEVICES));
        return [literal].into_iter().chain(devices).collect();
    }
    if literal == Path::new(pattern) {
        vec![dedicated_parent(&literal).unwrap_or(literal)]
    } else {
        vec![literal]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(pattern: &str) -> Vec<PathBuf> {
        ServerPaths::of_patterns([pattern]).read
    }

    #[test]
    fn patterns_are_cut_down_to_what_landlock_can_say() {
        for (pattern, expected) in [
            ("/var/lib/x/*.prom", &["/var/lib/x"][..]),
            ("/etc/hostname", &["/etc/hostname"]),
            ("/proc/stat", &["/proc/stat"]),
            ("/proc/self/net/*", &["/proc/self/net"]),
            ("/proc/[0-9]*/stat", &["/proc"]),
            ("/proc/1/stat", &["/proc"]),
            ("/sys/fs/cgroup/*/x", &["/sys/fs/cgroup"]),
            ("/sys/class/net/*/mtu", &["/sys/class/net", "/sys/devices"]),
        ] {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(opened(pattern), expected, "{pattern}");
        }
        let twice = ServerPaths::of_patterns(["/sys/block/*/stat", "/sys/class/net/*/mtu"]);
        assert_eq!(twice.read.len(), 3);
    }

    #[test]
    fn a_file_that_may_be_replaced_is_granted_with_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let own = directory.path().canonicalize().unwrap().join("own");
        std::fs::create_dir(&own).unwrap();
        let file = own.join("a.prom");
        std::fs::write(&file, "").unwrap();
        assert_eq!(opened(file.to_str().unwrap()), [own]);
    }

    #[test]
    fn what_every_server_needs_is_no_secret() {
        let all = ServerPaths::default().all();
        for secret in [
            "/etc/passwd",
            "/root/x",
            "/proc/1/environ",
            "/tmp/x",
            "/sys/kernel/x",
        ] {
            let below = |path: &PathBuf| Path::new(secret).starts_with(path);
            assert!(!all.iter().any(below), "{secret}");
        }
    }
}
