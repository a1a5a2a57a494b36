//! Whether this kernel is one that a unit is for.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::privilege::Held;
use super::programs::{self, Kind};
use super::{Finding, Status};
use crate::bpf::{ProgramKind, has_uprobe_multi};
use crate::config::{KernelFeature, KernelNeeds};
use crate::kernel::Release;

/// Why a unit is not for this kernel. None: it is, or nobody can tell.
///
/// Kinds of programs are tried, once each for the process. Where only a capability is missing,
/// which says nothing about the kernel, the kind counts as there: loading says what is missing.
pub(crate) fn unmet(needs: &KernelNeeds) -> Option<String> {
    if needs.min.is_some() || needs.max.is_some() {
        let running = Release::running()?;
        if let Some(min) = needs
            .min
            .as_ref()
            .filter(|min| min.compare(&running).is_gt())
        {
            return Some(format!(
                "it is for Linux {min} and newer, this is {}",
                running.text
            ));
        }
        if let Some(max) = needs
            .max
            .as_ref()
            .filter(|max| max.compare(&running).is_lt())
        {
            return Some(format!(
                "it is for Linux up to {max}, this is {}",
                running.text
            ));
        }
    }
    needs.requires.iter().find_map(|feature| lacks(*feature))
}

/// What was found out about this kernel.
static KNOWN: Mutex<BTreeMap<KernelFeature, Option<String>>> = Mutex::new(BTreeMap::new());

fn lacks(feature: KernelFeature) -> Option<String> {
    let mut known = KNOWN.lock();
    if let Some(known) = known.get(&feature) {
        return known.clone();
    }
    let held = Held::now();
    let lacks = match look(feature, &held) {
        Look::Fine => None,
        Look::No(why) => Some(format!("it requires {}: {why}", feature.as_str())),
        Look::NotAllowed => return None,
    };
    known.insert(feature, lacks.clone());
    lacks
}

pub(super) enum Look {
    Fine,
    /// What there is instead, and what will not work.
    No(String),
    /// This process cannot find out.
    NotAllowed,
}

pub(super) fn look(feature: KernelFeature, held: &Held) -> Look {
    let kind = match feature {
        KernelFeature::RawTracepoint => ProgramKind::RawTracepoint,
        KernelFeature::TpBtf => ProgramKind::TpBtf,
        KernelFeature::Tracepoint => ProgramKind::Tracepoint,
        KernelFeature::PerfEvent => ProgramKind::PerfEvent,
        KernelFeature::Kprobe | KernelFeature::Uprobe | KernelFeature::UprobeMulti => {
            ProgramKind::Kprobe
        }
        KernelFeature::Fentry => ProgramKind::Fentry,
        KernelFeature::Lsm => ProgramKind::Lsm,
        KernelFeature::Iterator => ProgramKind::Iterator,
        KernelFeature::Xdp => ProgramKind::Xdp,
        KernelFeature::Tc => ProgramKind::SchedCls,
        KernelFeature::CgroupSkb => ProgramKind::CgroupSkb,
        KernelFeature::SocketFilter => ProgramKind::SocketFilter,
    };
    match programs::kind(kind, held) {
        Kind::Loads => {}
        Kind::Refused { error, missing }
            if error.raw_os_error() == Some(libc::EPERM) && !missing.is_empty() =>
        {
            return Look::NotAllowed;
        }
        Kind::Refused { error, .. } => {
            return Look::No(format!("this kernel does not load such programs: {error}"));
        }
    }
    let attaches = match feature {
        KernelFeature::Kprobe => programs::kprobe_attach(),
        // What keeps uprobes from attaching where they are is a capability.
        KernelFeature::Uprobe if !has_uprobe_multi() && !programs::has_uprobes() => {
            return Look::No("not in this kernel".to_owned());
        }
        KernelFeature::UprobeMulti if !has_uprobe_multi() => {
            return Look::No("not in this kernel, it came with Linux 6.6".to_owned());
        }
        _ => return Look::Fine,
    };
    match attaches {
        Finding {
            status: Status::Ok, ..
        } => Look::Fine,
        Finding { found, .. } => Look::No(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::KernelVersion;

    fn bounds(min: Option<&str>, max: Option<&str>) -> KernelNeeds {
        let version = |text: &str| KernelVersion::parse(text).unwrap();
        KernelNeeds {
            min: min.map(version),
            max: max.map(version),
            requires: Vec::new(),
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        let release = Release::running().unwrap().text;
        let number = release.split('-').next().unwrap();
        assert_eq!(unmet(&KernelNeeds::default()), None);
        assert_eq!(unmet(&bounds(Some(number), Some(number))), None);
        assert_eq!(unmet(&bounds(Some("2.6"), Some("4000"))), None);
        assert_eq!(
            unmet(&bounds(Some("4000.1"), None)),
            Some(format!(
                "it is for Linux 4000.1 and newer, this is {release}"
            ))
        );
        assert_eq!(
            unmet(&bounds(None, Some("2.6"))),
            Some(format!("it is for Linux up to 2.6, this is {release}"))
        );
    }

    /// The answers are those of `exporter-host doctor`.
    #[test]
    fn kinds_of_programs_are_tried() {
        let held = Held::now();
        for feature in KernelFeature::ALL {
            let needs = KernelNeeds {
                requires: vec![feature],
                ..KernelNeeds::default()
            };
            let why = unmet(&needs);
            let finding = super::super::programs::examine(&held)
                .into_iter()
                .find(|one| one.check == format!("program {}", feature.as_str()));
            match finding {
                Some(finding) if finding.status != Status::Ok && why.is_some() => {
                    let name = format!("it requires {}: ", feature.as_str());
                    assert!(why.unwrap().starts_with(&name));
                }
                Some(finding) if finding.status == Status::Ok => {
                    // Attaching may be another matter.
                    assert!(why.is_none() || feature == KernelFeature::Kprobe, "{why:?}");
                }
                _ => {}
            }
        }
    }
}
