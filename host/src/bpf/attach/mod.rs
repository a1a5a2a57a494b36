//! Attaching programs by the name of their section, and what came of it.
//!
//! Most sections are libbpf's to attach. Ours are `perf_event/…` (perf_event.rs), `xdp/<interface>`
//! and `tcx/ingress/<interface>` (interfaces.rs), cgroup programs (cgroup.rs), and plain uprobes
//! where the kernel has the multi link (uprobe.rs). Every attachment is made of real links, owned
//! here; dropping them detaches.

mod cgroup;
mod hint;
mod interfaces;
mod perf_event;
mod targets;
#[cfg(test)]
mod tests;
mod uprobe;

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use libbpf_rs::Link;
use libbpf_rs::OpenProgramMut;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;

use self::interfaces::Hook;
use self::interfaces::Interfaces;
pub(super) use self::interfaces::present as interfaces_present;
use self::perf_event::PerfEvents;
pub(crate) use self::targets::lacking;
use self::uprobe::MultiUprobe;
use super::errno;
use super::log;
use super::object::ProgramDecl;
use super::probe::has_uprobe_multi;
use super::program::KernelProgram;
use super::sys;

/// Whether a program runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Attached {
    Yes,
    /// Why not, in a sentence.
    Failed(String),
    /// Turned off by its author with `SEC("?…")`, or in the YAML: neither attached nor failed.
    Disabled,
    /// Loaded; not attached yet, or detached again.
    No,
}

/// One program of a loaded object.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct ProgramStatus {
    /// The function's name, not cut to the kernel's 15 characters.
    pub(crate) name: String,
    pub(crate) section: String,
    /// `None` if the program is not in the kernel.
    pub(crate) id: Option<u32>,
    /// 16 hexadecimal digits; `None` if the program is not in the kernel.
    pub(crate) tag: Option<String>,
    pub(crate) attached: Attached,
}

/// How a program will be attached; decided when the object is opened, because some ways want
/// another program type at load.
#[derive(Debug)]
pub(super) enum AttachPlan {
    Libbpf,
    PerfEvents(PerfEvents),
    Interfaces(Hook, Interfaces),
    /// To the root of the cgroup (v2) tree: all of this machine's cgroups.
    RootCgroup,
    MultiUprobe(MultiUprobe),
    /// Cannot be attached, and why.
    Impossible(String),
}

impl AttachPlan {
    /// Chooses, and sets the type of programs whose section libbpf does not know.
    pub(super) fn prepare(section: &str, program: &mut OpenProgramMut<'_>) -> Self {
        if let Some(items) = section.strip_prefix("perf_event/") {
            program.set_prog_type(ProgramType::PerfEvent);
            return match PerfEvents::parse(items) {
                Ok(events) => Self::PerfEvents(events),
                Err(why) => Self::Impossible(format!("section `{section}`: {why}")),
            };
        }
        if let Some((hook, interfaces)) = Interfaces::parse(section) {
            match hook {
                Hook::Xdp => {
                    program.set_prog_type(ProgramType::Xdp);
                    program.set_attach_type(libbpf_rs::ProgramAttachType::Xdp);
                }
                Hook::TcxIngress => sys::load_for_tcx(program, libbpf_sys::BPF_TCX_INGRESS),
                Hook::TcxEgress => sys::load_for_tcx(program, libbpf_sys::BPF_TCX_EGRESS),
            }
            return Self::Interfaces(hook, interfaces);
        }
        if program.prog_type() == ProgramType::Unspec {
            // The load of the whole object would fail for this one.
            program.set_autoload(false);
            return Self::Impossible(format!(
                "section `{section}` is of a kind that neither libbpf nor exporter-host knows"
            ));
        }
        if cgroup::takes(program.prog_type()) {
            return Self::RootCgroup;
        }
        // Probing costs a system call or two, and programs that are off need no plan.
        if program.autoload()
            && let Some(probe) = MultiUprobe::parse(section)
            && has_uprobe_multi()
        {
            program.set_attach_type(libbpf_rs::ProgramAttachType::TraceUprobeMulti);
            return Self::MultiUprobe(probe);
        }
        Self::Libbpf
    }

    /// The CPUs or interfaces at which there should be a link each. None: the program has one link,
    /// at no place in particular.
    fn places(&self) -> Result<Option<Vec<u32>>, String> {
        match self {
            Self::PerfEvents(events) => events.places().map(Some),
            Self::Interfaces(_, interfaces) => interfaces.places().map(Some),
            Self::Libbpf | Self::RootCgroup | Self::MultiUprobe(_) | Self::Impossible(_) => {
                Ok(None)
            }
        }
    }

    /// `place`: one of `places`.
    fn attach_at(
        &self,
        section: &str,
        program: &ProgramMut<'_>,
        place: u32,
    ) -> Result<Link, String> {
        match self {
            Self::Libbpf => by_libbpf(section, || program.attach()),
            Self::PerfEvents(events) => events.attach_at(program, place),
            Self::Interfaces(hook, _) => Interfaces::attach_at(*hook, program, place),
            Self::RootCgroup => cgroup::attach(section, program),
            Self::MultiUprobe(probe) => by_libbpf(section, || probe.attach(program)),
            Self::Impossible(why) => Err(why.clone()),
        }
    }

    /// At all places, or at none.
    fn attach(&self, section: &str, program: &ProgramMut<'_>) -> Result<Vec<(u32, Link)>, String> {
        if let Self::PerfEvents(events) = self {
            events.warn(program);
        }
        let places = self.places()?.unwrap_or_else(|| vec![NOWHERE]);
        let attached = places.into_iter().map(|place| {
            let link = self.attach_at(section, program, place)?;
            Ok((place, link))
        });
        attached.collect()
    }
}

/// The place of a link that is at none in particular.
const NOWHERE: u32 = 0;

/// Runs an attach call of libbpf; a failure becomes a sentence with the error, what usually is
/// behind it, and libbpf's last word.
fn by_libbpf(
    section: &str,
    attach: impl FnOnce() -> libbpf_rs::Result<Link>,
) -> Result<Link, String> {
    let (result, said) = log::capture(attach);
    result.map_err(|error| {
        let errno = errno::of(&error);
        let mut why = errno::text(errno);
        if let Some(hint) = hint::hint(section, errno) {
            why.push_str(": ");
            why.push_str(&hint);
        }
        if let Some(line) = said.last() {
            why.push_str("; libbpf says: ");
            why.push_str(line);
        }
        why
    })
}

/// A program of a loaded object, with its links.
#[derive(Debug)]
pub(super) struct AttachedProgram {
    declared: ProgramDecl,
    plan: AttachPlan,
    /// `None` if it is not in the kernel.
    kernel: Option<KernelProgram>,
    /// By CPU or interface, where it has one at each.
    links: Vec<(u32, Link)>,
    attached: Attached,
}

impl AttachedProgram {
    pub(super) fn new(object: &libbpf_rs::Object, declared: ProgramDecl, plan: AttachPlan) -> Self {
        // A program that was not loaded has no descriptor to ask for.
        let kernel = object
            .progs()
            .filter(libbpf_rs::Program::autoload)
            .find(|program| program.name() == declared.name.as_str())
            .and_then(|program| {
                program
                    .as_fd()
                    .try_clone_to_owned()
                    .and_then(KernelProgram::new)
                    .ok()
            });
        let attached = if declared.autoload {
            Attached::No
        } else {
            Attached::Disabled
        };
        Self {
            declared,
            plan,
            kernel,
            links: Vec::new(),
            attached,
        }
    }

    /// Does nothing if it is attached already.
    pub(super) fn attach(&mut self, object: &libbpf_rs::Object) {
        if !self.declared.autoload || !self.links.is_empty() {
            return;
        }
        let program = object
            .progs_mut()
            .find(|program| program.name() == self.declared.name.as_str());
        let result = match (&self.plan, program) {
            (AttachPlan::Impossible(why), _) => Err(why.clone()),
            (plan, Some(program)) => plan.attach(&self.declared.section, &program),
            (_, None) => Err("the program is not in the object any more".to_owned()),
        };
        self.attached = match result {
            Ok(links) => {
                self.links = links;
                Attached::Yes
            }
            Err(why) => Attached::Failed(why),
        };
    }

    /// An attached program gets links at the CPUs and interfaces that have come since, and loses
    /// those at which are gone. Gives what cannot be attached.
    pub(super) fn follow(&mut self, object: &libbpf_rs::Object) -> Vec<String> {
        if self.attached != Attached::Yes {
            return Vec::new();
        }
        let places = match self.plan.places() {
            Ok(Some(places)) => places,
            Ok(None) => return Vec::new(),
            Err(why) => {
                self.links.clear();
                self.attached = Attached::Failed(why.clone());
                return vec![why];
            }
        };
        let before = self.links.len();
        self.links.retain(|(place, _)| places.contains(place));
        let gone = before - self.links.len();
        let program = object
            .progs_mut()
            .find(|program| program.name() == self.declared.name.as_str());
        let Some(program) = program else {
            return Vec::new();
        };
        let (mut come, mut failed) = (0, Vec::new());
        for place in places {
            if self.links.iter().any(|(known, _)| *known == place) {
                continue;
            }
            match self.plan.attach_at(&self.declared.section, &program, place) {
                Ok(link) => {
                    self.links.push((place, link));
                    come += 1;
                }
                Err(why) => failed.push(why),
            }
        }
        if come + gone > 0 {
            tracing::info!(
                program = self.declared.name,
                come,
                gone,
                "program follows CPUs and interfaces that come and go"
            );
        }
        if self.links.is_empty() {
            self.attached = Attached::Failed(failed.join("; "));
        }
        failed
    }

    #[cfg(test)]
    pub(super) fn detach(&mut self) {
        self.links.clear();
        if self.attached == Attached::Yes {
            self.attached = Attached::No;
        }
    }

    pub(super) fn status(&self) -> ProgramStatus {
        ProgramStatus {
            name: self.declared.name.clone(),
            section: self.declared.section.clone(),
            id: self.kernel.as_ref().map(|program| program.id),
            tag: self.kernel.as_ref().map(|program| program.tag.clone()),
            attached: self.attached.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn link_count(&self) -> usize {
        self.links.len()
    }

    pub(super) fn name(&self) -> &str {
        &self.declared.name
    }

    /// None: it is not loaded.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(KernelProgram::descriptor)
    }
}
