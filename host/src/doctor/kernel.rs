//! What the kernel has, and what is mounted.

use std::fs;
use std::path::Path;

use super::{Finding, Status};
use crate::kernel::{Release, cgroup2_mount, read_text};
use crate::privileges::{Support, landlock_support};

const BTF: &str = "/sys/kernel/btf/vmlinux";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
/// Where tracefs is, newer place first, and the file that attaching a tracepoint reads.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const TRACEPOINT: &str = "events/sched/sched_switch/id";

pub(super) fn examine(version: Option<&Release>) -> Vec<Finding> {
    vec![
        release(version),
        btf(),
        lockdown(),
        tracefs(),
        cgroup2(),
        bpffs(),
        landlock(),
        seccomp(),
    ]
}

/// The file's text without the newline at its end.
pub(super) fn text(path: impl AsRef<Path>) -> Option<String> {
    read_text(path).ok().map(|text| text.trim_end().to_owned())
}

fn release(version: Option<&Release>) -> Finding {
    let found = version.map_or("unknown", |version| &version.text);
    Finding::ok("kernel", found).unless(
        version.is_some_and(|version| version.since(5, 8)),
        Status::Limited,
        "before Linux 5.8 there are neither CAP_BPF and CAP_PERFMON nor ring buffers",
        "run a newer kernel, or keep CAP_SYS_ADMIN with --capabilities.keep",
    )
}

fn btf() -> Finding {
    match fs::File::open(BTF) {
        Ok(_) => Finding::ok("btf", BTF),
        Err(error) => Finding::ok("btf", format!("{BTF}: {error}")).but(
            Status::Missing,
            "objects that follow the kernel's types (CO-RE: all of the examples) do not load",
            "run a kernel with CONFIG_DEBUG_INFO_BTF, or give its BTF with --btf.path; in a container /sys has to be mounted",
        ),
    }
}

/// `none [integrity] confidentiality`: the one in brackets is on.
fn lockdown() -> Finding {
    let Some(modes) = text(LOCKDOWN) else {
        return Finding::ok(
            "lockdown",
            "unknown: securityfs is not mounted or not readable",
        )
        .but(
            Status::Limited,
            "nobody can tell whether the kernel refuses programs that read its memory",
            "mount -t securityfs securityfs /sys/kernel/security, and run doctor as uid 0",
        );
    };
    let mode = modes
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("none", |(mode, _)| mode);
    Finding::ok("lockdown", mode).unless(
        mode != "confidentiality",
        Status::Missing,
        "the kernel refuses all programs that read its memory, which are all that trace",
        "boot with lockdown=integrity, or without lockdown",
    )
}

fn tracefs() -> Finding {
    let remedy = "uid 0 or CAP_DAC_READ_SEARCH, and tracefs mounted: mount -t tracefs tracefs /sys/kernel/tracing; in a container -v /sys/kernel/tracing:/sys/kernel/tracing:ro";
    let consequence =
        "programs in sections tracepoint/… do not attach (tp_btf/… and raw_tp/… do without it)";
    let mut found = "not mounted".to_owned();
    for mount in TRACEFS {
        match fs::read(Path::new(mount).join(TRACEPOINT)) {
            Ok(_) => return Finding::ok("tracefs", mount),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                found = format!("{mount}: {error}");
            }
            Err(_) => {}
        }
    }
    Finding::ok("tracefs", found).but(Status::Limited, consequence, remedy)
}

fn cgroup2() -> Finding {
    let consequence =
        "the decoder `cgroup` gives ids instead of paths, and `cgroup_id_map` does not work";
    let remedy = "mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; in a container bind the machine's";
    match cgroup2_mount() {
        Ok(Some(mount)) => Finding::ok("cgroup2", mount.display().to_string()),
        Ok(None) => Finding::ok("cgroup2", "not mounted").but(Status::Limited, consequence, remedy),
        Err(error) => Finding::ok("cgroup2", format!("cannot read the mounts: {error}")).but(
            Status::Limited,
            consequence,
            remedy,
        ),
    }
}

fn bpffs() -> Finding {
    const MOUNT_POINT: &str = "/sys/fs/bpf";
    let mounts = text("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next(), fields.next()) == (Some(MOUNT_POINT), Some("bpf"))
    });
    let found = if mounted { MOUNT_POINT } else { "not mounted" };
    Finding::ok("bpffs", found).unless(
        mounted,
        Status::Limited,
        "objects whose maps are pinned (LIBBPF_PIN_BY_NAME) do not load",
        "mount -t bpf bpf /sys/fs/bpf",
    )
}

fn landlock() -> Finding {
    match landlock_support() {
        Support::Abi(abi) => Finding::ok("landlock", format!("ABI {abi}")),
        Support::Missing(why) => Finding::ok("landlock", why).but(
            Status::Limited,
            "once it runs the host may open every file that its user may",
            "add landlock to lsm= on the kernel's command line, or run the host as a user of its own (--user)",
        ),
    }
}

fn seccomp() -> Finding {
    let actions = text("/proc/sys/kernel/seccomp/actions_avail");
    let there = actions
        .as_ref()
        .is_some_and(|actions| actions.split(' ').any(|action| action == "errno"));
    let found = if there { "filters" } else { "no filters" };
    Finding::ok("seccomp", found).unless(
        there,
        Status::Limited,
        "no system call is refused to the host once it runs",
        "run a kernel with CONFIG_SECCOMP_FILTER",
    )
}
