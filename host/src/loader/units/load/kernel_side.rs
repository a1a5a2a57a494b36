//! What of a unit lives in the kernel, until it is dropped.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use super::UnitError;
use super::pinned::PinnedMaps;
use super::sources::{self, SampleBuffers};
use crate::bpf::{
    Attached, Cause, CgroupIdKeeper, KeeperError, LoadedObject, ProgramStatus, SharedMaps,
};
use crate::config::{Enabled, UnitConfig};
use crate::digest::Digest;
use crate::link::{ServedConfig, ServedProgram, ServedUnit};
use crate::rows::MetricSpec;

/// A loaded object and what belongs to it. Versions of a unit that differ in their YAML alone share
/// one.
pub(crate) struct KernelSide {
    // First: where another version takes over, this one must not count any longer than that takes.
    object: LoadedObject,
    number: u64,
    /// Of the object's file.
    digest: Digest,
    programs: Vec<ProgramStatus>,
    /// Keeps the cgroup id map up to date.
    keeper: Option<CgroupIdKeeper>,
    /// What does not keep the unit from running, but should be known.
    remarks: Vec<String>,
    /// None: maps are not pinned.
    pinned: Option<PinnedMaps>,
    /// Mapped here so that their memory counts against this process' limit; the server reads them.
    buffers: Vec<SampleBuffers>,
}

impl KernelSide {
    pub(super) fn new(
        number: u64,
        object: LoadedObject,
        digest: Digest,
        keeper: Option<CgroupIdKeeper>,
        pinned: Option<PinnedMaps>,
        buffers: Vec<SampleBuffers>,
    ) -> Self {
        Self {
            programs: object.programs(),
            object,
            number,
            digest,
            keeper,
            remarks: Vec::new(),
            pinned,
            buffers,
        }
    }

    pub(crate) fn object(&self) -> &LoadedObject {
        &self.object
    }

    /// Of the object's file.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn programs(&self) -> &[ProgramStatus] {
        &self.programs
    }

    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Attaches what is not attached and can be.
    pub(crate) fn attach(&mut self) {
        self.programs = self.object.attach();
    }

    /// Attaches what the version before, which runs, does not have attached: it may fail.
    pub(super) fn attach_new(&mut self, before: &Self) {
        let known = |name: &str| {
            let mut programs = before.programs.iter();
            programs.any(|program| program.name == name && program.attached == Attached::Yes)
        };
        self.programs = self.object.attach_those(|name| !known(name));
    }

    /// Starts the threads that belong to it: capabilities have been dropped by now, which takes a
    /// process with one thread.
    pub(crate) fn run(&mut self) -> Result<(), KeeperError> {
        match &mut self.keeper {
            Some(keeper) => keeper.run(),
            None => Ok(()),
        }
    }

    /// Programs that should be attached and are not, with the reasons.
    pub(crate) fn unattached(&self) -> impl Iterator<Item = (&ProgramStatus, &str)> {
        self.programs
            .iter()
            .filter_map(|program| match &program.attached {
                Attached::Failed(why) => Some((program, why.as_str())),
                _ => None,
            })
    }

    /// Who has to do something about programs that are not attached. None: all are.
    pub(crate) fn degraded(&self) -> Option<Cause> {
        let causes = self.unattached().map(|(program, _)| program.cause);
        let partial = self.partial().map(|_| Cause::Kernel);
        // What a config is to blame for matters on every kernel.
        causes
            .chain(partial)
            .min_by_key(|cause| *cause == Cause::Kernel)
    }

    /// Some of what is not attached may be, later.
    pub(crate) fn retryable(&self) -> bool {
        self.unattached().any(|(program, _)| program.retryable)
    }

    /// Attached programs that miss some CPUs or interfaces, with the reasons.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (&ProgramStatus, &str)> {
        let programs = self.programs.iter();
        programs.filter_map(|program| Some((program, program.partial.as_deref()?)))
    }

    /// Required programs that are not attached.
    pub(crate) fn lacks(&self, config: &UnitConfig) -> Option<UnitError> {
        let required = |name: &str| {
            let mut wanted = config.programs.iter();
            wanted.any(|program| program.name == name && program.enabled == Enabled::Required)
        };
        let programs = self.unattached();
        missing(
            programs.filter(|(program, _)| required(&program.name)),
            |name, why| format!("the required program {name} is not attached: {why}"),
        )
    }

    /// Why this is no successor of another version that runs: programs that cannot be attached,
    /// where those of their names could, or could on another kernel.
    pub(crate) fn falls_short_of(&self, before: &Self) -> Option<UnitError> {
        let is_new = |(program, _): &(&ProgramStatus, &str)| {
            let mut known = before.unattached();
            let same = |known: &ProgramStatus| {
                known.name == program.name
                    && (known.cause == program.cause || program.cause == Cause::Kernel)
            };
            !known.any(|(known, _)| same(known))
        };
        missing(self.unattached().filter(is_new), |name, why| {
            format!("program {name} cannot be attached: {why}")
        })
    }

    /// Pins the maps that are to outlive the process. To be called when this version is the one in
    /// service.
    pub(crate) fn pin(&mut self) {
        if let Some(pinned) = &self.pinned {
            self.remarks = pinned.settle(&self.object);
        }
    }

    /// The maps for the unit's next version.
    pub(crate) fn shared_maps(&self) -> SharedMaps {
        self.object.shared_maps()
    }

    /// Tries again to attach what is not. Gives the names of those that are now.
    pub(crate) fn attach_missing(&mut self) -> Vec<String> {
        let missing: Vec<String> = self
            .unattached()
            .chain(self.partial())
            .map(|(program, _)| program.name.clone())
            .collect();
        self.attach();
        let attached = |name: &String| {
            let mut rest = self.unattached().chain(self.partial());
            !rest.any(|(program, _)| program.name == *name)
        };
        missing.into_iter().filter(attached).collect()
    }

    /// Attaches its programs to CPUs and interfaces that have come since. Gives what cannot be
    /// attached, by program.
    pub(crate) fn follow_machine(&mut self) -> Vec<(String, String)> {
        let failed = self.object.follow_machine();
        self.programs = self.object.programs();
        failed
    }

    /// Opens perf buffers of CPUs that have come: map, metric's name, CPU and buffer of each.
    pub(crate) fn follow_cpus(&mut self) -> Vec<(String, String, u32, OwnedFd)> {
        sources::follow_cpus(&mut self.buffers)
    }

    /// It keeps a cgroup id map up to date.
    pub(crate) fn follows_cgroups(&self) -> bool {
        self.keeper.is_some()
    }

    /// Updates of the cgroup id map that the kernel refused, since the start.
    pub(crate) fn cgroup_errors(&self) -> u64 {
        self.keeper
            .as_ref()
            .map_or(0, |keeper| keeper.stats().errors)
    }

    /// What the server reads of this version of the unit.
    pub(crate) fn served(
        &self,
        generation: u64,
        config: &UnitConfig,
        metrics: &[MetricSpec],
        held: Vec<String>,
    ) -> Result<(ServedUnit, Vec<OwnedFd>), UnitError> {
        let (sources, mut descriptors) = sources::served(metrics, &self.object, &self.buffers)?;
        let mut programs = Vec::new();
        // A program is shown once, however many of its kind the object has.
        let mut seen = BTreeMap::new();
        for program in &self.programs {
            let descriptor = self.object.program_descriptor(&program.name);
            let descriptor = descriptor.and_then(|descriptor| descriptor.try_clone_to_owned().ok());
            let id = program.id.filter(|_| descriptor.is_some());
            if seen.insert(program.name.clone(), ()).is_some() {
                continue;
            }
            descriptors.extend(descriptor);
            programs.push(ServedProgram {
                name: program.name.clone(),
                id,
            });
        }
        let unit = ServedUnit {
            generation,
            kernel_side: self.number,
            config: ServedConfig::from(config),
            metrics: metrics.to_vec(),
            sources,
            programs,
            held,
            resumed: false,
        };
        Ok((unit, descriptors))
    }
}

/// None: no program is missing.
fn missing<'a>(
    programs: impl Iterator<Item = (&'a ProgramStatus, &'a str)>,
    say: impl Fn(&str, &str) -> String,
) -> Option<UnitError> {
    let (mut why, mut retryable) = (Vec::new(), true);
    for (program, reason) in programs {
        why.push(say(&program.name, reason));
        // A later kernel module may have what is missing; a config stays as it is.
        retryable &= program.cause == Cause::Kernel;
    }
    (!why.is_empty()).then(|| UnitError::Programs {
        why: why.join("; "),
        retryable,
    })
}
