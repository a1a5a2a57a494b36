//! What in the kernel programs are for, by the kernel's own types: tracepoints and functions.

use libbpf_rs::btf::{Btf, BtfKind};

use crate::bpf::probe::{ProgramKind, probe_program};
use crate::near::nearest;

/// What the kernel calls the types of tracepoints.
const TRACEPOINT: &str = "btf_trace_";

/// Why programs of these sections cannot be loaded, in a sentence, where it is for want of what
/// they name, or of their kind. To be asked where a load has failed: it takes a while.
pub(crate) fn lacking<'a>(programs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let mut types = None;
    let mut refused = None;
    for (program, section) in programs {
        let Some((kind, target)) = section.split_once('/') else {
            continue;
        };
        let missing = match kind {
            "tp_btf" => {
                let types = types.get_or_insert_with(KernelNames::read).as_ref()?;
                no_tracepoint(types, target)
            }
            "fentry" | "fentry.s" | "fexit" | "fexit.s" | "fmod_ret" | "fmod_ret.s" => {
                if *refused.get_or_insert_with(no_trampolines) {
                    return Some(NO_TRAMPOLINES.to_owned());
                }
                let types = types.get_or_insert_with(KernelNames::read).as_ref()?;
                no_function(types, target)
            }
            _ => None,
        };
        if let Some(missing) = missing {
            return Some(format!("program `{program}` (`{section}`): {missing}"));
        }
    }
    None
}

/// As `raw_tp/…` names it. None: there is one, or nobody can tell.
pub(super) fn near_tracepoint(target: &str) -> Option<String> {
    no_tracepoint(&KernelNames::read()?, target)
}

pub(super) const NO_TRAMPOLINES: &str = "this kernel loads no fentry and fexit programs, whoever asks (they need CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and the BPF JIT): use kprobe/… or a tracepoint";

/// Whether it is this kind of program that the kernel refuses.
fn no_trampolines() -> bool {
    probe_program(ProgramKind::RawTracepoint).is_ok() && probe_program(ProgramKind::Fentry).is_err()
}

fn no_tracepoint(names: &KernelNames, target: &str) -> Option<String> {
    let known = || names.tracepoints.iter().map(String::as_str);
    if known().any(|name| name == target) {
        return None;
    }
    let hint = nearest(target, known()).map(|near| format!(", did you mean `{near}`?"));
    let hint = hint.unwrap_or_default();
    Some(format!("this kernel has no tracepoint `{target}`{hint}"))
}

fn no_function(names: &KernelNames, target: &str) -> Option<String> {
    // In a module, whose types are elsewhere.
    let known = || names.functions.iter().map(String::as_str);
    if target.contains(':') || known().any(|name| name == target) {
        return None;
    }
    let hint = nearest(target, known()).map(|near| format!(", did you mean `{near}`?"));
    let hint = hint.unwrap_or_default();
    Some(format!(
        "this kernel has no function `{target}` among its types{hint}"
    ))
}

/// What the kernel's BTF names.
struct KernelNames {
    tracepoints: Vec<String>,
    functions: Vec<String>,
}

impl KernelNames {
    fn read() -> Option<Self> {
        let btf = Btf::from_vmlinux().ok()?;
        let mut names = Self {
            tracepoints: Vec::new(),
            functions: Vec::new(),
        };
        for id in 1..u32::try_from(btf.len()).ok()? {
            let Some(ty) = btf.type_by_id::<libbpf_rs::btf::BtfType<'_>>(id.into()) else {
                continue;
            };
            let Some(name) = ty.name().and_then(|name| name.to_str()) else {
                continue;
            };
            match (ty.kind(), name.strip_prefix(TRACEPOINT)) {
                (BtfKind::Typedef, Some(name)) => names.tracepoints.push(name.to_owned()),
                (BtfKind::Func, _) => names.functions.push(name.to_owned()),
                _ => {}
            }
        }
        (!names.tracepoints.is_empty()).then_some(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_the_near_miss() {
        let names = KernelNames {
            tracepoints: vec!["sched_switch".to_owned(), "sys_enter".to_owned()],
            functions: vec!["vfs_read".to_owned()],
        };
        assert_eq!(
            no_tracepoint(&names, "sched_swich").unwrap(),
            "this kernel has no tracepoint `sched_swich`, did you mean `sched_switch`?"
        );
        assert_eq!(
            no_tracepoint(&names, "nothing").unwrap(),
            "this kernel has no tracepoint `nothing`"
        );
        assert_eq!(no_tracepoint(&names, "sys_enter"), None);
        assert_eq!(
            no_function(&names, "vfs_raed").unwrap(),
            "this kernel has no function `vfs_raed` among its types, did you mean `vfs_read`?"
        );
        assert_eq!(no_function(&names, "module:vfs_raed"), None);
    }
}
