//! Attaching programs by the name of their section, and what came of it.
//!
//! Most sections are libbpf's to attach. Ours are `perf_event/…` (perf_event.rs), `xdp/<interface>`
//! and `tcx/ingress/<interface>` (interfaces.rs), cgroup programs (cgroup.rs), static
//! probes (usdt/), and plain uprobes where the kernel has the multi link (uprobe.rs). Every
//! attachment is made of real links, owned here; dropping them detaches.

mod cgroup;
mod hint;
mod interfaces;
mod perf_event;
mod targets;
#[cfg(test)]
mod tests;
mod uprobe;
mod usdt;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use libbpf_rs::Link;
use libbpf_rs::OpenProgramMut;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;

use self::interfaces::Hook;
use self::interfaces::Interfaces;
use self::perf_event::PerfEvents;
pub(crate) use self::targets::lacking;
use self::uprobe::MultiUprobe;
use self::usdt::Usdt;
pub(super) use self::usdt::UsdtMaps;
pub(super) use self::usdt::is_own_map as is_usdt_map;
use super::errno;
use super::log;
use super::probe::has_uprobe_multi;
use super::program::KernelProgram;
use super::program::ProgramDecl;
use super::sys;

/// Whether a program runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Attached {
    Yes,
    /// Why not, in a sentence.
    Failed(String),
    /// Turned off by its author with `SEC("?…")` or in the YAML, or called by other programs:
    /// neither attached nor failed.
    Disabled,
    /// Loaded; not attached yet, or detached again.
    No,
}

/// Who has to do something about what does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Cause {
    /// Whoever wrote the object or the YAML: it runs on no kernel.
    Config,
    /// It does not run on this kernel, as it is now.
    Kernel,
}

impl Cause {
    /// As the pages have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Kernel => "kernel",
        }
    }
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
    /// Of its failure, if it fails to attach.
    pub(crate) cause: Cause,
    /// Trying again to attach it may help.
    pub(crate) retryable: bool,
    /// It is attached at some CPUs or interfaces and not at all: at how many not, and why.
    pub(crate) partial: Option<String>,
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
    Usdt(Usdt),
    /// It is in a program array, for other programs to call.
    Called,
    /// Cannot be attached, and why.
    Impossible(Cause, String),
}

impl AttachPlan {
    /// Chooses, and sets the type of programs whose section libbpf does not know.
    pub(super) fn prepare(
        section: &str,
        program: &mut OpenProgramMut<'_>,
        usdt: &UsdtMaps,
    ) -> Self {
        if let Some(items) = section.strip_prefix("perf_event/") {
            program.set_prog_type(ProgramType::PerfEvent);
            return match PerfEvents::parse(items) {
                Ok(events) => Self::PerfEvents(events),
                Err(why) => Self::Impossible(Cause::Config, format!("section `{section}`: {why}")),
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
            return Self::Impossible(Cause::Config, hint::unknown_kind(section));
        }
        if cgroup::takes(program.prog_type()) {
            return Self::RootCgroup;
        }
        if section.starts_with("usdt/") || section.starts_with("usdt.s/") {
            // Not libbpf's: it would write more than the object has room for.
            return Usdt::parse(section, usdt).map_or_else(
                || {
                    Self::Impossible(
                        Cause::Config,
                        format!("section `{section}`: expected `usdt/FILE:PROVIDER:NAME`"),
                    )
                },
                Self::Usdt,
            );
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

    /// There is a link at each CPU or interface, not one alone.
    fn has_points(&self) -> bool {
        matches!(self, Self::PerfEvents(_) | Self::Interfaces(..))
    }

    /// The CPUs or interfaces at which there should be a link each, or the one point of a program
    /// that has a single link. `Err`: it cannot be told which there are.
    fn points(&self) -> Result<Vec<u32>, String> {
        match self {
            Self::PerfEvents(events) => events.cpus(),
            Self::Interfaces(_, interfaces) => interfaces.indexes(),
            Self::Libbpf
            | Self::RootCgroup
            | Self::MultiUprobe(_)
            | Self::Usdt(_)
            | Self::Called
            | Self::Impossible(..) => Ok(vec![SINGLE]),
        }
    }

    /// Says that there is no point.
    fn absent(&self) -> String {
        match self {
            Self::Interfaces(_, interfaces) => interfaces.absent(),
            _ => "no CPU is online".to_owned(),
        }
    }

    /// `point`: one of `points`.
    fn attach_at(
        &self,
        section: &str,
        program: &ProgramMut<'_>,
        point: u32,
    ) -> Result<Link, String> {
        match self {
            Self::Libbpf | Self::Usdt(_) | Self::Called => by_libbpf(section, || program.attach()),
            Self::PerfEvents(events) => events.attach_at(program, point),
            Self::Interfaces(hook, _) => Interfaces::attach_at(*hook, program, point),
            Self::RootCgroup => cgroup::attach(section, program),
            Self::MultiUprobe(probe) => by_libbpf(section, || probe.attach(program)),
            Self::Impossible(_, why) => Err(why.clone()),
        }
    }
}

/// The point of a link that is the program's only one.
const SINGLE: u32 = 0;
/// Reasons of points that are put into words; the others are counted.
const MAX_REASONS: usize = 3;

/// Runs an attach call of libbpf; a failure becomes a sentence with the error, what usually is
/// behind it, and libbpf's last word.
fn by_libbpf(
    section: &str,
    attach: impl FnOnce() -> libbpf_rs::Result<Link>,
) -> Result<Link, String> {
    let (result, captured) = log::capture(attach);
    result.map_err(|error| {
        let errno = errno::of(&error);
        let mut why = errno::text(errno);
        if let Some(hint) = hint::hint(section, errno) {
            why.push_str(": ");
            why.push_str(&hint);
        }
        if let Some(line) = captured.last() {
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
    /// The points at which it could not be attached, with the reasons.
    failing: BTreeMap<u32, String>,
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
        let attached = if declared.autoload && !matches!(plan, AttachPlan::Called) {
            Attached::No
        } else {
            Attached::Disabled
        };
        Self {
            declared,
            plan,
            kernel,
            links: Vec::new(),
            failing: BTreeMap::new(),
            attached,
        }
    }

    /// Does nothing where it is attached already.
    pub(super) fn attach(&mut self, object: &libbpf_rs::Object) {
        let complete = self.attached == Attached::Yes && self.failing.is_empty();
        if self.attached == Attached::Disabled || complete {
            return;
        }
        if let AttachPlan::Impossible(_, why) = &self.plan {
            self.attached = Attached::Failed(why.clone());
            return;
        }
        self.settle(object);
    }

    /// An attached program gets links at the CPUs and interfaces that have been added since, and
    /// loses those that were removed. Gives why it cannot be attached at new ones.
    pub(super) fn follow(&mut self, object: &libbpf_rs::Object) -> Vec<String> {
        if self.attached != Attached::Yes || !self.plan.has_points() {
            return Vec::new();
        }
        let before: Vec<u32> = self.links.iter().map(|(point, _)| *point).collect();
        let known = self.failing.clone();
        self.settle(object);
        let now = self.links.iter();
        let added = now.filter(|(point, _)| !before.contains(point)).count();
        let removed = before.len() + added - self.links.len();
        if added + removed > 0 {
            tracing::info!(
                program = self.declared.name,
                added,
                removed,
                "program follows CPUs and interfaces"
            );
        }
        if let Attached::Failed(why) = &self.attached {
            return vec![why.clone()];
        }
        let new = self.failing.iter();
        new.filter(|(point, _)| !known.contains_key(point))
            .map(|(_, why)| why.clone())
            .collect()
    }

    /// Gives each point that there is now a link, where that can be had. One that fails leaves the
    /// others alone.
    fn settle(&mut self, object: &libbpf_rs::Object) {
        let program = object
            .progs_mut()
            .find(|program| program.name() == self.declared.name.as_str());
        let Some(program) = program else {
            self.attached =
                Attached::Failed("the program is not in the object any more".to_owned());
            return;
        };
        if let AttachPlan::Usdt(probe) = &self.plan {
            self.attached = match probe.attach(&self.declared.section, object, &program) {
                Ok(links) => {
                    self.links = links.into_iter().map(|link| (SINGLE, link)).collect();
                    Attached::Yes
                }
                Err(why) => Attached::Failed(why),
            };
            return;
        }
        let points = match self.plan.points() {
            Ok(points) => points,
            // Links that there are stay.
            Err(_) if !self.links.is_empty() => return,
            Err(why) => {
                self.attached = Attached::Failed(why);
                return;
            }
        };
        if let AttachPlan::PerfEvents(events) = &self.plan
            && self.links.is_empty()
        {
            events.warn(&program);
        }
        let wanted: HashSet<u32> = points.iter().copied().collect();
        self.links.retain(|(point, _)| wanted.contains(point));
        let known: HashSet<u32> = self.links.iter().map(|(point, _)| *point).collect();
        self.failing.clear();
        for point in points {
            if known.contains(&point) {
                continue;
            }
            match self.plan.attach_at(&self.declared.section, &program, point) {
                Ok(link) => self.links.push((point, link)),
                Err(why) => {
                    self.failing.insert(point, why);
                }
            }
        }
        // What was removed meanwhile is none that fails.
        if !self.failing.is_empty()
            && let Ok(points) = self.plan.points()
        {
            self.failing.retain(|point, _| points.contains(point));
        }
        self.attached = if !self.links.is_empty() {
            Attached::Yes
        } else if self.failing.is_empty() {
            Attached::Failed(self.plan.absent())
        } else {
            Attached::Failed(self.reasons())
        };
    }

    /// Why points fail: some of the reasons, and how many more there are.
    fn reasons(&self) -> String {
        let some: Vec<&str> = self
            .failing
            .values()
            .take(MAX_REASONS)
            .map(String::as_str)
            .collect();
        let mut text = some.join("; ");
        let more = self.failing.len().saturating_sub(MAX_REASONS);
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    fn partial(&self) -> Option<String> {
        let failing = self.failing.len();
        let partial = self.attached == Attached::Yes && failing > 0;
        partial.then(|| {
            let all = failing + self.links.len();
            format!("not attached at {failing} of {all}: {}", self.reasons())
        })
    }

    #[cfg(test)]
    pub(super) fn detach(&mut self) {
        self.links.clear();
        self.failing.clear();
        if self.attached == Attached::Yes {
            self.attached = Attached::No;
        }
    }

    fn cause(&self) -> Cause {
        match &self.plan {
            AttachPlan::Impossible(cause, _) => *cause,
            AttachPlan::Libbpf if !hint::has_target(&self.declared.section) => Cause::Config,
            _ => Cause::Kernel,
        }
    }

    pub(super) fn status(&self) -> ProgramStatus {
        ProgramStatus {
            name: self.declared.name.clone(),
            section: self.declared.section.clone(),
            id: self.kernel.as_ref().map(|program| program.id),
            tag: self.kernel.as_ref().map(|program| program.tag.clone()),
            attached: self.attached.clone(),
            cause: self.cause(),
            retryable: !matches!(self.plan, AttachPlan::Impossible(..))
                && self.cause() == Cause::Kernel,
            partial: self.partial(),
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
