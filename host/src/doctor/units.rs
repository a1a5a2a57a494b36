//! What of a unit will not work on this kernel with these privileges.

use super::needs::{self, Look};
use super::privilege::Held;
use crate::bpf::{OpenObject, OpenOptions, lacking};
use crate::config::{Enabled, KernelFeature, UnitConfig};

/// Why a unit, or programs of it, will not work here; empty: nothing speaks against it. What nobody
/// can tell is among it. What is wrong with its files is not.
pub(crate) fn unit_lacks(config: &UnitConfig) -> Vec<String> {
    if let Some(why) = needs::unmet(&config.kernel) {
        return vec![format!("it is skipped: {why}")];
    }
    let object = config.object.as_ref();
    let object = object.and_then(|path| OpenObject::open(path, &OpenOptions::default()).ok());
    let Some(object) = object else {
        return Vec::new();
    };
    let wanted = |name: &str| {
        let mut programs = config.programs.iter();
        programs
            .find(|program| program.name == name)
            .map(|program| program.enabled)
    };
    let programs: Vec<(&str, &str)> = object
        .declared()
        .filter(|(name, _, autoload)| match wanted(name) {
            Some(Enabled::Required) => true,
            Some(Enabled::Never) => false,
            Some(Enabled::Auto) | None => *autoload,
        })
        .map(|(name, section, _)| (name, section))
        .collect();
    let held = Held::now();
    let mut lacks = Vec::new();
    for (name, section) in &programs {
        let Some(feature) = feature_of(section) else {
            continue;
        };
        let why = match needs::look(feature, &held) {
            Look::Fine => continue,
            Look::No(why) => why,
            Look::NotAllowed => {
                "unknown, since this process may not try: run doctor as the exporter will run"
                    .to_owned()
            }
        };
        lacks.push(format!("program `{name}` (`{section}`): {why}"));
    }
    if lacks.is_empty() {
        lacks.extend(lacking(programs.into_iter()));
    }
    lacks
}

/// What the kernel has to have for programs of a section. None: nothing is known of its kind.
fn feature_of(section: &str) -> Option<KernelFeature> {
    let kind = section.split('/').next().unwrap_or_default();
    let kind = kind.strip_suffix(".s").unwrap_or(kind);
    Some(match kind {
        "raw_tp" | "raw_tracepoint" | "raw_tp.w" | "raw_tracepoint.w" => {
            KernelFeature::RawTracepoint
        }
        "tp_btf" => KernelFeature::TpBtf,
        "tp" | "tracepoint" => KernelFeature::Tracepoint,
        "perf_event" => KernelFeature::PerfEvent,
        "kprobe" | "kretprobe" | "ksyscall" | "kretsyscall" | "kprobe.multi"
        | "kretprobe.multi" | "kprobe.session" => KernelFeature::Kprobe,
        "fentry" | "fexit" | "fmod_ret" => KernelFeature::Fentry,
        "lsm" | "lsm_cgroup" => KernelFeature::Lsm,
        "iter" => KernelFeature::Iterator,
        "uprobe" | "uretprobe" | "usdt" => KernelFeature::Uprobe,
        "uprobe.multi" | "uretprobe.multi" => KernelFeature::UprobeMulti,
        "xdp" | "xdp.frags" => KernelFeature::Xdp,
        "tc" | "tcx" | "classifier" | "action" | "netkit" => KernelFeature::Tc,
        "cgroup_skb" => KernelFeature::CgroupSkb,
        "socket" => KernelFeature::SocketFilter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_of_a_kind() {
        for (section, feature) in [
            ("fentry.s/vfs_read", Some(KernelFeature::Fentry)),
            ("kprobe.multi/vfs_*", Some(KernelFeature::Kprobe)),
            ("tcx/ingress/eth0", Some(KernelFeature::Tc)),
            ("uprobe.multi", Some(KernelFeature::UprobeMulti)),
            ("struct_ops", None),
            ("", None),
        ] {
            assert_eq!(feature_of(section), feature, "{section}");
        }
    }
}
