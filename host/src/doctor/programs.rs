//! Which kinds of programs can be loaded: tried. What attaching takes beyond that is looked up.

use std::io;
use std::path::Path;

use caps::Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};

use super::privilege::Held;
use super::{Finding, Status};
use crate::bpf::{ProgramKind, has_uprobe_multi, probe_program};

/// Each is a device that perf_event_open(2) knows.
const EVENT_SOURCES: &str = "/sys/bus/event_source/devices";

pub(super) fn examine(held: &Held) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ProgramKind::ALL
        .into_iter()
        .map(|kind| program(kind, held))
        .collect();
    findings.push(kprobe_attach());
    findings.push(uprobes(held));
    findings
}

/// What comes of loading a program of a kind.
pub(super) enum Kind {
    Loads,
    Refused {
        error: io::Error,
        /// Of the capabilities that it takes.
        missing: Vec<String>,
    },
}

pub(super) fn kind(kind: ProgramKind, held: &Held) -> Kind {
    let Err(error) = probe_program(kind) else {
        return Kind::Loads;
    };
    let needed = match kind {
        ProgramKind::Xdp | ProgramKind::SchedCls | ProgramKind::CgroupSkb => {
            &[CAP_BPF, CAP_NET_ADMIN][..]
        }
        ProgramKind::SocketFilter => &[CAP_BPF][..],
        _ => &[CAP_BPF, CAP_PERFMON][..],
    };
    let missing = needed
        .iter()
        .filter(|one| !held.may(**one))
        .map(ToString::to_string)
        .collect();
    Kind::Refused { error, missing }
}

fn program(kind: ProgramKind, held: &Held) -> Finding {
    let name = format!("program {}", kind.as_str());
    let Kind::Refused { error, missing } = self::kind(kind, held) else {
        return Finding::ok(name, "loads");
    };
    // The kinds that nearly every unit is of.
    let status = match kind {
        ProgramKind::RawTracepoint | ProgramKind::TpBtf => Status::Missing,
        _ => Status::Limited,
    };
    let consequence = format!(
        "units with programs in sections {}/… do not load",
        kind.as_str()
    );
    let remedy = if !missing.is_empty() {
        missing.join(" and ")
    } else if error.raw_os_error() == Some(libc::EPERM) {
        "the capabilities are there, so this kernel, its lockdown, a security module or a container's seccomp profile refuses this kind: use tp_btf or raw_tp instead, or a profile that allows bpf and perf_event_open".to_owned()
    } else {
        "this kernel was built without it, or is too old".to_owned()
    };
    Finding::ok(name, format!("does not load: {error}")).but(status, &consequence, remedy)
}

pub(super) fn kprobe_attach() -> Finding {
    let there = Path::new(EVENT_SOURCES).join("kprobe").exists();
    let found = if there { "there" } else { "not in this kernel" };
    Finding::ok("kprobes", found).unless(
        there,
        Status::Limited,
        "programs in sections kprobe/… and kretprobe/… load, but do not attach",
        "run a kernel with CONFIG_KPROBES, or use tp_btf, raw_tp or fentry",
    )
}

pub(super) fn has_uprobes() -> bool {
    Path::new(EVENT_SOURCES).join("uprobe").exists()
}

fn uprobes(held: &Held) -> Finding {
    let finding = |found| Finding::ok("uprobes", found);
    if held.may(CAP_BPF) && held.may(CAP_PERFMON) && has_uprobe_multi() {
        return finding("as uprobe.multi, which needs CAP_BPF and CAP_PERFMON only");
    }
    if !has_uprobes() {
        return finding("not in this kernel").but(
            Status::Limited,
            "programs in sections uprobe/… and usdt/… do not attach",
            "run a kernel with CONFIG_UPROBES",
        );
    }
    finding("through perf events, which needs CAP_SYS_ADMIN").unless(
        held.has(CAP_SYS_ADMIN),
        Status::Limited,
        "programs in sections uprobe/… and usdt/… do not attach",
        "Linux 6.6 or newer with CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN (kept, if such units are to be reloaded)",
    )
}
