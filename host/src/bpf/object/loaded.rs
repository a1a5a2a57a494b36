//! An object that is in the kernel.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use libbpf_rs::MapCore as _;
use libbpf_rs::MapHandle;

use super::reuse::layout;
use super::{ObjectError, SharedMaps, find_map, no_map};
use crate::bpf::attach::{AttachedProgram, ProgramStatus};
use crate::bpf::errno;
use crate::bpf::layout::MapLayout;
use crate::bpf::map::{Map, MapInfo};
use crate::bpf::types::EntryTypes;

/// An object whose maps and programs are in the kernel. Dropping it takes everything out again:
/// links, programs, maps.
#[derive(Debug)]
pub(crate) struct LoadedObject {
    // Before `object`: links go first.
    pub(super) programs: Vec<AttachedProgram>,
    pub(super) object: libbpf_rs::Object,
    pub(super) path: String,
    pub(super) maps: Vec<MapInfo>,
    pub(super) entry_types: HashMap<String, EntryTypes>,
    /// When each map was made. None: by somebody before this process.
    pub(super) created: HashMap<String, Option<SystemTime>>,
}

impl LoadedObject {
    /// Attaches every program that is not turned off. A program that fails leaves the others alone;
    /// its status says why.
    pub(crate) fn attach(&mut self) -> Vec<ProgramStatus> {
        self.attach_those(|_| true)
    }

    /// The same of programs with these names.
    pub(crate) fn attach_those(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<ProgramStatus> {
        for program in &mut self.programs {
            if wanted(program.name()) {
                program.attach(&self.object);
            }
        }
        self.programs()
    }

    /// Attached programs get links at the CPUs and interfaces that have come since. Gives what
    /// cannot be attached, by program.
    pub(crate) fn follow_machine(&mut self) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        for program in &mut self.programs {
            let status = program.status();
            let reasons = program.follow(&self.object);
            failed.extend(reasons.into_iter().map(|why| (status.name.clone(), why)));
        }
        failed
    }

    /// Destroys all links; the programs and maps stay, and can be attached again.
    #[cfg(test)]
    pub(in crate::bpf) fn detach(&mut self) {
        for program in &mut self.programs {
            program.detach();
        }
    }

    pub(crate) fn programs(&self) -> Vec<ProgramStatus> {
        self.programs.iter().map(AttachedProgram::status).collect()
    }

    /// Of a program; none if there is no such program, or it is not loaded.
    pub(crate) fn program_descriptor(&self, name: &str) -> Option<BorrowedFd<'_>> {
        let program = self.programs.iter().find(|program| program.name() == name);
        program?.descriptor()
    }

    #[cfg(test)]
    pub(in crate::bpf) fn link_count(&self) -> usize {
        self.programs.iter().map(AttachedProgram::link_count).sum()
    }

    /// The maps for a successor to go on with. Internal ones hold globals and are not shared.
    pub(crate) fn shared_maps(&self) -> SharedMaps {
        let maps = self.maps.iter().filter(|map| !map.internal);
        let shared = maps.filter_map(|map| {
            Some((
                self.layout(&map.name).ok()?,
                self.map_handle(&map.name).ok()?,
            ))
        });
        SharedMaps {
            maps: shared.collect(),
            created: self.created.clone(),
        }
    }

    /// What a map's entries are.
    pub(crate) fn layout(&self, map: &str) -> Result<MapLayout, ObjectError> {
        layout(&self.path, &self.maps, &self.entry_types, map)
    }

    /// What the entries of its maps are, those with globals apart.
    pub(crate) fn layouts(&self) -> Vec<MapLayout> {
        let maps = self.maps.iter().filter(|map| !map.internal);
        maps.filter_map(|map| self.layout(&map.name).ok()).collect()
    }

    /// When the map was made. None: before this process, or there is no such map.
    pub(crate) fn created(&self, map: &str) -> Option<SystemTime> {
        self.created.get(map).copied().flatten()
    }

    /// What is known of the map of that name, or an error that lists those there are.
    pub(crate) fn map_info(&self, name: &str) -> Result<&MapInfo, ObjectError> {
        find_map(&self.path, &self.maps, name)
    }

    /// The types of a map's entries, as far as the object says them.
    pub(crate) fn entry_types(&self, map: &str) -> EntryTypes {
        self.entry_types.get(map).cloned().unwrap_or_default()
    }

    /// A handle of its own on the map of that name.
    pub(crate) fn map(&self, name: &str) -> Result<Map, ObjectError> {
        let internal = find_map(&self.path, &self.maps, name)?.internal;
        let map = self.map_descriptor(name)?;
        Map::new(map, name, internal).map_err(|source| self.map_error(name, source))
    }

    /// The same for a perf buffer and for pinning, which want a handle of libbpf-rs.
    pub(crate) fn map_handle(&self, name: &str) -> Result<MapHandle, ObjectError> {
        let map = self.libbpf_map(name)?;
        MapHandle::try_from(&map)
            .map_err(|error| self.map_error(name, io::Error::from_raw_os_error(errno::of(&error))))
    }

    /// A descriptor of its own of the map of that name.
    pub(crate) fn map_descriptor(&self, name: &str) -> Result<OwnedFd, ObjectError> {
        let map = self.libbpf_map(name)?;
        map.as_fd()
            .try_clone_to_owned()
            .map_err(|source| self.map_error(name, source))
    }

    fn libbpf_map(&self, name: &str) -> Result<libbpf_rs::Map<'_>, ObjectError> {
        self.object
            .maps()
            .find(|map| map.name() == name)
            .ok_or_else(|| no_map(&self.path, &self.maps, name))
    }

    fn map_error(&self, map: &str, source: io::Error) -> ObjectError {
        ObjectError::Map {
            path: self.path.clone(),
            map: map.to_owned(),
            source,
        }
    }
}
