//! Programs that an object goes without.

use super::OpenObject;
use crate::bpf::attach::{AttachPlan, Cause};
use crate::bpf::program::ProgramDecl;

impl OpenObject {
    /// Goes on without a program that the kernel does not take.
    pub(crate) fn leave_out(&mut self, name: &str, why: String) {
        let mut known = self.programs.iter_mut();
        if let Some((_, plan)) = known.find(|(program, _)| program.name == name) {
            *plan = AttachPlan::Impossible(Cause::Kernel, why);
        }
        let mut programs = self.object.progs_mut();
        if let Some(mut program) = programs.find(|program| program.name() == name) {
            program.set_autoload(false);
        }
    }

    /// Whether there is a program for the kernel.
    pub(crate) fn any_program(&self) -> bool {
        self.object.progs().any(|program| program.autoload())
    }

    /// Programs that no kernel can attach, each with the reason.
    pub(crate) fn unattachable(&self) -> impl Iterator<Item = (&str, &str)> {
        let programs = self.programs.iter();
        programs.filter_map(|(program, plan)| match plan {
            AttachPlan::Impossible(Cause::Config, why) if program.autoload => {
                Some((program.name.as_str(), why.as_str()))
            }
            _ => None,
        })
    }
}

/// A program without a target is for others to call where the object has a map of such.
pub(super) fn called(
    (declared, plan): (ProgramDecl, AttachPlan),
    has_program_array: bool,
) -> (ProgramDecl, AttachPlan) {
    match plan {
        AttachPlan::Libbpf if has_program_array && !declared.section.contains('/') => {
            (declared, AttachPlan::Called)
        }
        plan => (declared, plan),
    }
}
