//! What this process may, and what the system's settings leave to it.

use caps::Capability::{
    self, CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_RESOURCE,
};

use super::kernel::text;
use super::{Finding, Status};
use crate::kernel::Release;
use crate::privileges::Privileges;

/// Enough for the maps of a few units where they are charged to it.
const ENOUGH_MEMLOCK: u64 = 64 << 20;

/// The capabilities in force.
pub(super) struct Held(Privileges);

impl Held {
    pub(super) fn now() -> Self {
        Self(Privileges::current().unwrap_or_default())
    }

    pub(super) fn has(&self, capability: Capability) -> bool {
        self.0.effective.contains(capability)
    }

    /// CAP_SYS_ADMIN includes what was split off from it.
    pub(super) fn may(&self, capability: Capability) -> bool {
        self.has(capability) || self.has(CAP_SYS_ADMIN)
    }
}

pub(super) fn examine(held: &Held, version: Option<&Release>) -> Vec<Finding> {
    let mut findings = vec![
        capability(
            held,
            CAP_BPF,
            Status::Missing,
            "no map can be made and no program loaded: units with BPF objects fail, collectors work",
        ),
        capability(
            held,
            CAP_PERFMON,
            Status::Missing,
            "programs that trace are refused: all kinds but those for the network and for cgroups",
        ),
        capability(
            held,
            CAP_NET_ADMIN,
            Status::Limited,
            "XDP, tc and cgroup programs cannot be loaded or attached",
        ),
    ];
    findings.extend([
        perf_event_paranoid(held),
        unprivileged_bpf(held),
        memlock(held, version),
        kallsyms(),
    ]);
    findings
}

fn capability(held: &Held, wanted: Capability, status: Status, consequence: &str) -> Finding {
    let name = wanted.to_string();
    let found = match (held.has(wanted), held.may(wanted)) {
        (true, _) => "held",
        (_, true) => "not held, but CAP_SYS_ADMIN, which includes it",
        _ => "not held",
    };
    let short = name.trim_start_matches("CAP_");
    let remedy = format!(
        "start as root, with AmbientCapabilities={name} (systemd) or --cap-add {short} (container)"
    );
    let finding = Finding::ok(name.to_lowercase(), found);
    if held.may(wanted) {
        finding
    } else {
        finding.but(status, consequence, remedy)
    }
}

fn perf_event_paranoid(held: &Held) -> Finding {
    let Some(value) = text("/proc/sys/kernel/perf_event_paranoid") else {
        return Finding::ok("perf_event_paranoid", "no such setting").but(
            Status::Limited,
            "perf_event programs do not attach",
            "run a kernel with CONFIG_PERF_EVENTS",
        );
    };
    let open = value.parse().is_ok_and(|value: i32| value < 0);
    Finding::ok("perf_event_paranoid", value).unless(
        open || held.may(CAP_PERFMON),
        Status::Limited,
        "events of all processes cannot be opened without CAP_PERFMON: perf_event programs, and hardware counters, do not attach",
        "CAP_PERFMON; lowering the setting is no substitute for loading programs",
    )
}

fn unprivileged_bpf(held: &Held) -> Finding {
    let name = "unprivileged_bpf_disabled";
    let Some(value) = text(format!("/proc/sys/kernel/{name}")) else {
        return Finding::ok(name, "no such setting").but(
            Status::Missing,
            "the kernel has no bpf(2)",
            "run a kernel with CONFIG_BPF_SYSCALL",
        );
    };
    let meaning = match value.as_str() {
        "0" => "0: everybody may load simple programs",
        "1" => "1: only with CAP_BPF, until the next boot",
        "2" => "2: only with CAP_BPF",
        other => other,
    };
    Finding::ok(name, meaning).unless(
        value == "0" || held.may(CAP_BPF),
        Status::Missing,
        "without CAP_BPF the kernel refuses every map and program",
        "CAP_BPF",
    )
}

/// Maps are charged to the limit before 5.11 only.
fn memlock(held: &Held, version: Option<&Release>) -> Finding {
    let limits = text("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("unknown")
        .to_owned();
    let charged = !version.is_some_and(|version| version.since(5, 11));
    let enough = soft == "unlimited"
        || soft.parse().is_ok_and(|bytes: u64| bytes >= ENOUGH_MEMLOCK)
        || held.has(CAP_SYS_RESOURCE);
    let found = if charged {
        format!("{soft} bytes")
    } else {
        format!("{soft} bytes, which since Linux 5.11 maps do not count towards")
    };
    Finding::ok("memlock", found).unless(
        !charged || enough,
        Status::Missing,
        "maps do not fit into the limit: units fail with EPERM or ENOMEM",
        "CAP_SYS_RESOURCE, LimitMEMLOCK=infinity (systemd) or --ulimit memlock=-1 (container)",
    )
}

fn kallsyms() -> Finding {
    let symbols = text("/proc/kallsyms").unwrap_or_default();
    let hidden = symbols.lines().take(64).all(|line| {
        line.split(' ')
            .next()
            .unwrap_or_default()
            .bytes()
            .all(|digit| digit == b'0')
    });
    let found = if hidden {
        "addresses are hidden"
    } else {
        "addresses are shown"
    };
    Finding::ok("kallsyms", found).unless(
        !hidden,
        Status::Limited,
        "the decoders `ksym` and `kstack` find no names, `kaddrs` are 0",
        "CAP_SYSLOG, or kernel.kptr_restrict=0; it is only needed at the start",
    )
}
