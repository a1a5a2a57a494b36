//! `kernel`: which kernels a unit is for. On any other one it is skipped, which is no failure.

use crate::config::yaml::{Diagnostics, Fields, Node, Schema, fields, shorten};
use crate::kernel::KernelVersion;
use crate::near;

pub(super) const KERNEL: Schema = Schema {
    what: "`kernel`",
    known: &["min", "max", "requires"],
    later: &[],
};

/// What a unit wants of the kernel. Without any of it, it is for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KernelNeeds {
    /// This version or a newer one.
    pub(crate) min: Option<KernelVersion>,
    /// This version or an older one; 6.10.14 is still 6.10.
    pub(crate) max: Option<KernelVersion>,
    pub(crate) requires: Vec<KernelFeature>,
}

/// A kind of program that a kernel may or may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KernelFeature {
    RawTracepoint,
    TpBtf,
    Tracepoint,
    PerfEvent,
    Kprobe,
    Fentry,
    Lsm,
    Iterator,
    Uprobe,
    UprobeMulti,
    Xdp,
    Tc,
    CgroupSkb,
    SocketFilter,
}

impl KernelFeature {
    pub(crate) const ALL: [Self; 14] = [
        Self::RawTracepoint,
        Self::TpBtf,
        Self::Tracepoint,
        Self::PerfEvent,
        Self::Kprobe,
        Self::Fentry,
        Self::Lsm,
        Self::Iterator,
        Self::Uprobe,
        Self::UprobeMulti,
        Self::Xdp,
        Self::Tc,
        Self::CgroupSkb,
        Self::SocketFilter,
    ];

    /// As sections begin.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RawTracepoint => "raw_tp",
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::PerfEvent => "perf_event",
            Self::Kprobe => "kprobe",
            Self::Fentry => "fentry",
            Self::Lsm => "lsm",
            Self::Iterator => "iter",
            Self::Uprobe => "uprobe",
            Self::UprobeMulti => "uprobe.multi",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::CgroupSkb => "cgroup_skb",
            Self::SocketFilter => "socket",
        }
    }
}

pub(super) fn read(unit: &Fields<'_>, diagnostics: &mut Diagnostics) -> KernelNeeds {
    let Some(fields) = unit
        .get("kernel")
        .and_then(|node| Fields::of(node, &KERNEL, diagnostics))
    else {
        return KernelNeeds::default();
    };
    let min = read_version("min", &fields, diagnostics);
    let max = read_version("max", &fields, diagnostics);
    if let (Some(min), Some(max), Some(node)) = (&min, &max, fields.get("max"))
        && min.is_after(max)
    {
        diagnostics.error(
            node.at,
            format!("expected a `max` of at least `min`, found {max} and {min}: no kernel is both"),
        );
    }
    let requires = fields
        .list("requires", "kinds of programs", diagnostics)
        .iter()
        .filter_map(|node| read_feature(node, diagnostics))
        .collect();
    KernelNeeds { min, max, requires }
}

fn read_version(
    name: &str,
    fields: &Fields<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<KernelVersion> {
    let node = fields.get(name)?;
    let text = fields.text(name, diagnostics)?;
    let version = KernelVersion::parse(text);
    if version.is_none() {
        diagnostics.error(
            node.at,
            format!(
                "expected a kernel version such as \"5.15\" for `{name}`, found {}",
                node.describe()
            ),
        );
    }
    version
}

fn read_feature(node: &Node, diagnostics: &mut Diagnostics) -> Option<KernelFeature> {
    let name = fields::text(node, "an item of `requires`", diagnostics)?;
    let known = KernelFeature::ALL
        .into_iter()
        .find(|feature| feature.as_str() == name);
    if known.is_none() {
        let names = KernelFeature::ALL.map(KernelFeature::as_str);
        diagnostics.error(
            node.at,
            format!(
                "unknown kind of program in `requires`: `{}`{}",
                shorten(name),
                near::suggestion(name, &names)
            ),
        );
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::COUNTER;
    use crate::config::testing::diagnostics;
    use crate::config::testing::good;

    #[test]
    fn all_of_it_is_read() {
        let unit = good(&format!(
            "kernel: {{min: 5.10, max: \"6.10.3\", requires: [kprobe, uprobe.multi]}}\n{COUNTER}"
        ));
        assert_eq!(
            unit.kernel,
            KernelNeeds {
                // As it is written: not the number 5.1.
                min: KernelVersion::parse("5.10"),
                max: KernelVersion::parse("6.10.3"),
                requires: vec![KernelFeature::Kprobe, KernelFeature::UprobeMulti],
            }
        );
        for empty in ["", "kernel:\n", "kernel: {}\n"] {
            assert_eq!(
                good(&format!("{empty}{COUNTER}")).kernel,
                KernelNeeds::default()
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        assert_eq!(
            diagnostics(&format!(
                "kernel:\n  min: six\n  maximum: 5\n  requires: [kprob, sched]\n{COUNTER}"
            )),
            ":2:8: error: expected a kernel version such as \"5.15\" for `min`, found `six`\n\
             :3:3: warning: unknown key `maximum` in `kernel` (it is ignored)\n\
             :4:14: error: unknown kind of program in `requires`: `kprob`, did you mean `kprobe`?\n\
             :4:21: error: unknown kind of program in `requires`: `sched`: expected `raw_tp`, `tp_btf`, `tracepoint`, `perf_event`, `kprobe`, \
             `fentry`, `lsm`, `iter`, `uprobe`, `uprobe.multi`, `xdp`, `tc`, `cgroup_skb` or `socket`"
        );
        assert_eq!(
            diagnostics(&format!("kernel: {{min: 6.1, max: 5.15}}\n{COUNTER}")),
            ":1:25: error: expected a `max` of at least `min`, found 5.15 and 6.1: no kernel is both"
        );
        assert_eq!(
            diagnostics(&format!("kernel: 6.1\n{COUNTER}")),
            ":1:9: error: expected `kernel` as a mapping of keys, found `6.1`"
        );
    }
}
