//! What usually is behind a failed attach, by kind of section and error.

use std::path::Path;

use super::targets;
use crate::bpf::errno::ENOTSUPP;
use crate::near::nearest;

/// What sections begin with, for who has mistyped it.
const KINDS: [&str; 34] = [
    "cgroup",
    "cgroup_skb",
    "fentry",
    "fentry.s",
    "fexit",
    "fexit.s",
    "fmod_ret",
    "iter",
    "kprobe",
    "kprobe.multi",
    "kprobe.session",
    "kretprobe",
    "kretprobe.multi",
    "ksyscall",
    "kretsyscall",
    "lsm",
    "lsm.s",
    "perf_event",
    "raw_tp",
    "raw_tracepoint",
    "sk_lookup",
    "sockops",
    "socket",
    "tcx",
    "tp",
    "tp_btf",
    "tracepoint",
    "uprobe",
    "uprobe.multi",
    "uretprobe",
    "uretprobe.multi",
    "usdt",
    "usdt.s",
    "xdp",
];

/// Why a program of such a section is never attached.
pub(super) fn unknown_kind(section: &str) -> String {
    let kind = section.split('/').next().unwrap_or(section);
    let near = nearest(kind, KINDS);
    let near = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
    format!("section `{section}` is of a kind that neither libbpf nor exporter-host knows{near}")
}

/// Whether a section says to what libbpf is to attach its program.
pub(super) fn has_target(section: &str) -> bool {
    match section.split_once('/') {
        None => false,
        Some(("tc" | "classifier" | "action" | "netkit" | "struct_ops" | "struct_ops.s", _)) => {
            false
        }
        Some((_, target)) => !target.is_empty(),
    }
}

/// Part of a sentence, or `None` where the error says enough.
pub(super) fn hint(section: &str, errno: i32) -> Option<String> {
    let (kind, target) = section.split_once('/').unwrap_or((section, ""));
    let denied = matches!(errno, libc::EPERM | libc::EACCES);
    let absent = matches!(errno, libc::ENOENT | libc::ESRCH);
    let hint = match kind {
        "kprobe" | "kretprobe" | "ksyscall" | "kretsyscall" if !Path::new("/sys/bus/event_source/devices/kprobe").exists() => {
            "this kernel was built without kprobes (CONFIG_KPROBES)".to_owned()
        }
        "kprobe" | "kretprobe" | "ksyscall" | "kretsyscall" if absent => {
            format!("this kernel has no function `{}` that can be probed (see /proc/kallsyms)", target.trim_end_matches('/'))
        }
        "kprobe.multi" | "kretprobe.multi" | "kprobe.session" if matches!(errno, libc::EOPNOTSUPP | libc::EINVAL) => {
            "this kernel has no multi-kprobes (Linux 5.18 and newer with CONFIG_FPROBE)".to_owned()
        }
        "uprobe.multi" | "uretprobe.multi" if errno == libc::EINVAL => {
            "this kernel has no multi-uprobes (Linux 6.6 and newer); `uprobe` and `uretprobe` work on older ones".to_owned()
        }
        "usdt" | "usdt.s" if errno == libc::EOPNOTSUPP => "probes in all processes at once need Linux 5.15 (bpf_get_attach_cookie)".to_owned(),
        "tp" | "tracepoint" if absent => format!("this kernel has no tracepoint `{target}` (see /sys/kernel/tracing/events), or tracefs is not mounted"),
        "tp" | "tracepoint" if denied => {
            "attaching a tracepoint reads its id from tracefs, which needs CAP_DAC_READ_SEARCH (raw_tp and tp_btf do not), and CAP_PERFMON".to_owned()
        }
        "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w" | "tp_btf" if absent => {
            targets::near_tracepoint(target).unwrap_or_else(|| format!("this kernel has no tracepoint `{target}`"))
        }
        "fentry" | "fentry.s" | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s" if matches!(errno, ENOTSUPP | libc::EOPNOTSUPP | libc::EINVAL) => {
            targets::NO_TRAMPOLINES.to_owned()
        }
        "uprobe" | "uretprobe" | "uprobe.s" | "uretprobe.s" | "uprobe.multi" | "uretprobe.multi" if absent => {
            format!("there is no such file, or no such function in it: `{target}`")
        }
        "uprobe" | "uretprobe" | "uprobe.s" | "uretprobe.s" if denied => {
            "uprobes through perf_event_open need CAP_SYS_ADMIN; kernel 6.6 and newer have multi-uprobes, which need CAP_BPF and CAP_PERFMON".to_owned()
        }
        "usdt" | "usdt.s" if denied => "before kernel 6.6 USDT needs CAP_SYS_ADMIN; since then CAP_BPF and CAP_PERFMON".to_owned(),
        "usdt" | "usdt.s" if absent => format!("there is no such file, or it has no such probe (see `readelf -n`): `{target}`"),
        "lsm" | "lsm.s" if denied || errno == libc::EOPNOTSUPP => "BPF is not among this kernel's security modules (`lsm=…,bpf` on its command line)".to_owned(),
        "xdp" if denied => "XDP needs CAP_NET_ADMIN".to_owned(),
        "xdp" | "xdp.frags" if target.is_empty() => "the section names no interface: use `xdp/<interface>`".to_owned(),
        "tcx" if errno == libc::EINVAL && target == "…" => "this kernel has no tcx links (6.6 and newer have them)".to_owned(),
        "tcx" if target != "…" => "the section names no interface: use `tcx/ingress/<interface>` or `tcx/egress/<interface>`".to_owned(),
        "tc" | "classifier" | "action" | "netkit" => "traffic control programs are loaded, but not attached, by exporter-host".to_owned(),
        "struct_ops" | "struct_ops.s" => "struct_ops maps are created, but not registered, by exporter-host".to_owned(),
        _ if denied => "not permitted: attaching needs CAP_BPF and CAP_PERFMON, for network and cgroup programs CAP_NET_ADMIN".to_owned(),
        _ if errno == libc::EOPNOTSUPP => format!("programs in `{section}` cannot be attached by their section's name"),
        _ => return None,
    };
    Some(hint)
}
