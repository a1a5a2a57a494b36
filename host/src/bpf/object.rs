//! A unit's BPF object: opened (what is in it), filled in (kaddrs), loaded (in the kernel).
//! Attaching its programs is attach/.

mod error;
mod globals;
mod loaded;
mod programs;
mod reuse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use libbpf_rs::MapCore as _;
use libbpf_rs::MapType;
use libbpf_rs::ObjectBuilder;

pub(crate) use self::error::ObjectError;
use self::error::load_reason;
pub(crate) use self::globals::GlobalError;
pub(crate) use self::loaded::LoadedObject;
pub(crate) use self::reuse::SharedMaps;
use super::attach::AttachPlan;
use super::attach::AttachedProgram;
use super::attach::UsdtMaps;
use super::attach::lacking;
use super::btf;
use super::errno;
use super::log;
use super::map::MapInfo;
use super::program::ProgramDecl;
use super::symbols;
use super::symbols::Global;
use super::sys;
use super::types::EntryTypes;
use super::types::Types;
use crate::bounded_file::{self, FileError};
use crate::digest::Digest;
use crate::near::nearest;
use crate::object_input::GlobalValue;

/// Objects are some kilobytes, rarely a megabyte: whatever is larger is not one.
const MAX_BYTES: u64 = 64 << 20;

/// How objects are opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenOptions {
    /// BTF to relocate against instead of the kernel's own (`--btf.path`).
    pub(crate) btf: Option<PathBuf>,
    /// Lets libbpf's debug lines through to tracing (`--debug`).
    pub(crate) debug: bool,
}

/// An object that has been read and parsed; nothing is in the kernel yet. Needs no privileges.
#[derive(Debug)]
pub(crate) struct OpenObject {
    path: String,
    digest: Digest,
    object: libbpf_rs::OpenObject,
    maps: Vec<MapInfo>,
    programs: Vec<(ProgramDecl, AttachPlan)>,
    globals: Vec<Global>,
    /// Functions that look like programs whose `SEC()` was forgotten.
    without_section: Vec<String>,
    types: Types,
    usdt: UsdtMaps,
    /// Of maps that are not made by loading this: see `LoadedObject`.
    created: HashMap<String, Option<SystemTime>>,
}

impl OpenObject {
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, ObjectError> {
        if options.debug {
            log::enable_debug();
        }
        let elf = read_object(path)?;
        let mut builder = ObjectBuilder::default();
        if let Some(btf) = &options.btf {
            let unreadable = |source| ObjectError::Btf {
                path: btf.display().to_string(),
                source,
            };
            fs::File::open(btf).map_err(unreadable)?;
            builder
                .btf_custom_path(btf)
                .map_err(|error| unreadable(io::Error::other(error.to_string())))?;
        }
        Self::parse_with(builder, path, &elf)
    }

    /// As [`Self::open`], of a file's content.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn parse(path: &str, elf: &[u8]) -> Result<Self, ObjectError> {
        Self::parse_with(ObjectBuilder::default(), Path::new(path), elf)
    }

    fn parse_with(
        mut builder: ObjectBuilder,
        path: &Path,
        elf: &[u8],
    ) -> Result<Self, ObjectError> {
        let name = path.display().to_string();
        if let Some(why) = symbols::not_bpf(elf).or_else(|| btf::endless(elf)) {
            return Err(ObjectError::NotBpf { path: name, why });
        }
        let (opened, captured) = log::capture(|| {
            builder.name(object_name(path))?;
            builder.open_memory(elf)
        });
        let failed = |error: &libbpf_rs::Error| ObjectError::Open {
            path: name.clone(),
            reason: errno::text(errno::of(error)),
            log: captured.summary(),
        };
        let mut object = opened.map_err(|error| failed(&error))?;
        let maps: Vec<MapInfo> = object.maps().map(|map| map_info(&map)).collect();
        let types = sys::object_btf(&object).map(|btf| Types::of(&btf));
        let types = types.unwrap_or_default();
        let usdt = UsdtMaps::of_types(&types.maps);
        let calls = maps.iter().any(|map| map.kind == MapType::ProgArray);
        let programs: Vec<(ProgramDecl, AttachPlan)> = object
            .progs_mut()
            .map(|mut program| programs::called(declare(&mut program, &usdt), calls))
            .collect();
        if programs.is_empty() && maps.iter().all(|map| map.internal) {
            return Err(ObjectError::Empty {
                path: name,
                functions: symbols::without_section(elf),
            });
        }
        reuse::forget_wrong_pins(&name, &mut object);
        Ok(Self {
            types,
            usdt,
            path: name,
            digest: Digest::of(elf),
            object,
            maps,
            programs,
            globals: symbols::globals(elf),
            created: HashMap::new(),
            without_section: symbols::without_section(elf),
        })
    }

    /// Name and section of each program, and whether it is loaded by itself.
    pub(crate) fn declared(&self) -> impl Iterator<Item = (&str, &str, bool)> {
        let programs = self.programs.iter();
        programs.map(|(one, _)| (one.name.as_str(), one.section.as_str(), one.autoload))
    }

    /// What is probably not meant as it is.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = String> {
        self.without_section.iter().map(|function| {
            format!("the function `{function}` of the BPF object {} has no SEC() and nobody calls it, so it is no program: write e.g. SEC(\"tp_btf/sched_switch\") before it", self.path)
        })
    }

    /// All maps with their declared sizes, internal ones included.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn maps(&self) -> &[MapInfo] {
        &self.maps
    }

    /// Of the file.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Gives a map room for so many entries.
    pub(crate) fn set_max_entries(&mut self, name: &str, entries: u32) -> Result<(), ObjectError> {
        self.map(name)?;
        let map = self.object.maps_mut().find(|map| map.name() == name);
        let done = map.map(|mut map| map.set_max_entries(entries));
        if let Some(Err(error)) = done {
            return Err(ObjectError::Map {
                path: self.path.clone(),
                map: name.to_owned(),
                source: io::Error::from_raw_os_error(errno::of(&error)),
            });
        }
        if let Some(map) = self.maps.iter_mut().find(|map| map.name == name) {
            map.max_entries = entries as usize;
        }
        Ok(())
    }

    /// The map of that name, or an error that lists those there are.
    pub(crate) fn map(&self, name: &str) -> Result<&MapInfo, ObjectError> {
        find_map(&self.path, &self.maps, name)
    }

    /// The types of a map's entries, as far as the object says them.
    pub(crate) fn entry_types(&self, map: &str) -> EntryTypes {
        self.types.maps.get(map).cloned().unwrap_or_default()
    }

    /// The names of all maps that are not made of global variables.
    pub(crate) fn map_names(&self) -> impl Iterator<Item = &str> {
        let maps = self.maps.iter().filter(|map| !map.internal);
        maps.map(|map| map.name.as_str())
    }

    /// Of all programs.
    #[cfg(any(test, feature = "test-support"))]
    pub(crate) fn sections(&self) -> impl Iterator<Item = &str> {
        let programs = self.programs.iter();
        programs.map(|(program, _)| program.section.as_str())
    }

    #[cfg(test)]
    pub(super) fn programs(&self) -> impl Iterator<Item = &ProgramDecl> {
        self.programs.iter().map(|(program, _)| program)
    }

    /// Turns a program on or off; none: it stays as it is. `Err`: there is none of that name.
    pub(crate) fn enable(&mut self, name: &str, wanted: Option<bool>) -> Result<(), String> {
        let mut known = self.programs.iter_mut();
        let Some((declared, plan)) = known.find(|(program, _)| program.name == name) else {
            let known = || {
                self.programs
                    .iter()
                    .map(|(program, _)| program.name.as_str())
            };
            let forgotten = self.without_section.iter().any(|function| function == name);
            let hint = match nearest(name, known()) {
                _ if forgotten => ": the function of that name has no SEC()".to_owned(),
                Some(near) => format!(", did you mean `{near}`?"),
                None => error::list(": it has", &known().map(str::to_owned).collect::<Vec<_>>()),
            };
            return Err(format!(
                "the BPF object {} has no program `{name}`{hint}",
                self.path
            ));
        };
        let Some(wanted) = wanted else {
            return Ok(());
        };
        let was = std::mem::replace(&mut declared.autoload, wanted);
        let program = self
            .object
            .progs_mut()
            .find(|program| program.name() == name);
        if let Some(mut program) = program
            && was != wanted
        {
            program.set_autoload(wanted);
            if wanted {
                // There was no need for a plan, and there may be none.
                *plan = AttachPlan::prepare(&declared.section, &mut program, &self.usdt);
            }
        }
        Ok(())
    }

    /// Writes a kernel symbol's address into the global variable `kaddr_<symbol>`.
    pub(crate) fn set_kaddr(&mut self, symbol: &str, address: u64) -> Result<(), ObjectError> {
        let wanted = format!("kaddr_{symbol}");
        let missing = || ObjectError::NoKaddr {
            path: self.path.clone(),
            symbol: symbol.to_owned(),
            known: self
                .globals
                .iter()
                .filter(|global| global.name.starts_with("kaddr_"))
                .map(|global| global.name.clone())
                .collect(),
        };
        let global = self
            .globals
            .iter()
            .find(|global| global.name == wanted)
            .ok_or_else(missing)?;
        if global.size != size_of::<u64>() {
            return Err(ObjectError::KaddrSize {
                path: self.path.clone(),
                symbol: symbol.to_owned(),
                size: global.size,
            });
        }
        write_global(&mut self.object, global, &address.to_ne_bytes()).ok_or_else(missing)
    }

    /// Gives a global variable a value of the type that it has.
    pub(crate) fn set_global(
        &mut self,
        name: &str,
        value: &GlobalValue,
    ) -> Result<(), GlobalError> {
        let global = self.globals.iter().find(|global| global.name == name);
        let (Some(global), Some(variable)) = (global, self.types.variables.get(name)) else {
            return Err(GlobalError::Variable(
                self.no_global(name, global.is_some()),
            ));
        };
        let bytes = globals::encode(name, variable, global.size, value)?;
        match write_global(&mut self.object, global, &bytes) {
            Some(()) => Ok(()),
            None => Err(GlobalError::Variable(self.no_global(name, true))),
        }
    }

    pub(crate) fn global_names(&self) -> impl Iterator<Item = &str> {
        self.globals.iter().map(|global| global.name.as_str())
    }

    fn no_global(&self, name: &str, there: bool) -> String {
        let path = &self.path;
        if there {
            return format!(
                "the type of the global variable `{name}` of the BPF object {path} is not known: compile it with -g, declared as `const volatile`"
            );
        }
        let hint = match nearest(name, self.global_names()) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => {
                let known: Vec<String> = self.global_names().map(str::to_owned).collect();
                error::list(": it has", &known)
            }
        };
        format!("the BPF object {path} has no global variable `{name}`{hint}")
    }

    /// Creates the maps and loads the programs; the verifier runs here.
    pub(crate) fn load(self) -> Result<LoadedObject, ObjectError> {
        self.check_own_pins()?;
        let Self {
            path,
            object,
            programs,
            mut maps,
            types,
            mut created,
            ..
        } = self;
        let now = SystemTime::now();
        let (loaded, captured) = log::capture(|| object.load());
        let object = loaded.map_err(|error| {
            let on = programs.iter().filter(|(program, _)| program.autoload);
            let on = on.map(|(program, _)| (program.name.as_str(), program.section.as_str()));
            let lacking = lacking(on).map(|why| format!(": {why}"));
            let reason = load_reason(errno::of(&error));
            ObjectError::Load {
                path: path.clone(),
                reason: reason + &lacking.unwrap_or_default(),
                log: captured.summary(),
                program: captured.refused_program(),
            }
        })?;
        // Some sizes are chosen by libbpf while loading, e.g. a perf event array's.
        for loaded in object.maps() {
            if let Some(map) = maps
                .iter_mut()
                .find(|map| loaded.name() == map.name.as_str())
            {
                map.max_entries = loaded.max_entries() as usize;
                created.entry(map.name.clone()).or_insert(Some(now));
            }
        }
        let programs = programs
            .into_iter()
            .map(|(declared, plan)| AttachedProgram::new(&object, declared, plan))
            .collect();
        Ok(LoadedObject {
            programs,
            object,
            path,
            maps,
            entry_types: types.maps,
            created,
        })
    }
}

/// None: there is no such place in the object.
fn write_global(object: &mut libbpf_rs::OpenObject, global: &Global, bytes: &[u8]) -> Option<()> {
    // libbpf names the map of section `.rodata` `<object>.rodata`.
    let mut map = object
        .maps_mut()
        .find(|map| is_internal(map) && map.name().to_string_lossy().ends_with(&global.section))?;
    let end = global.offset.checked_add(global.size)?;
    let slot = map.initial_value_mut()?.get_mut(global.offset..end)?;
    // What a text or list leaves over is zero.
    let (value, rest) = slot.split_at_mut_checked(bytes.len())?;
    value.copy_from_slice(bytes);
    rest.fill(0);
    Some(())
}

/// The bytes of an object's file.
pub(crate) fn read_object(path: &Path) -> Result<Vec<u8>, ObjectError> {
    bounded_file::read(path, MAX_BYTES).map_err(|error| {
        let missing = error.is_missing();
        let path = path.display().to_string();
        match error {
            _ if missing => ObjectError::Missing { path },
            FileError::Io(source) => ObjectError::Unreadable { path, source },
            other => ObjectError::NotBpf {
                path,
                why: other.to_string(),
            },
        }
    })
}

/// What libbpf would call the object if it opened the file itself: the internal maps' names begin
/// with it.
fn object_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split('.')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("object")
        .to_owned()
}

fn declare(
    program: &mut libbpf_rs::OpenProgramMut<'_>,
    usdt: &UsdtMaps,
) -> (ProgramDecl, AttachPlan) {
    let section = program.section().to_string_lossy();
    // libbpf keeps the mark in the name it reports.
    let section = section.strip_prefix('?').unwrap_or(&section).to_owned();
    let declared = ProgramDecl {
        name: program.name().to_string_lossy().into_owned(),
        section,
        autoload: program.autoload(),
    };
    let plan = AttachPlan::prepare(&declared.section, program, usdt);
    (declared, plan)
}

fn map_info(map: &libbpf_rs::OpenMap<'_>) -> MapInfo {
    let inner = sys::inner_map(map);
    MapInfo {
        name: map.name().to_string_lossy().into_owned(),
        kind: sys::declared_map_type(map),
        key_size: map.key_size() as usize,
        value_size: map.value_size() as usize,
        max_entries: map.max_entries() as usize,
        flags: map.map_flags(),
        internal: is_internal(map),
        inner: inner.map(|inner| Box::new(map_info(&inner))),
    }
}

/// Only maps made of global variables have an initial value before loading (and struct_ops maps and
/// arenas).
fn is_internal(map: &libbpf_rs::OpenMap<'_>) -> bool {
    !matches!(map.map_type(), MapType::StructOps | MapType::Arena) && map.initial_value().is_some()
}

fn find_map<'a>(path: &str, maps: &'a [MapInfo], name: &str) -> Result<&'a MapInfo, ObjectError> {
    maps.iter()
        .find(|map| map.name == name)
        .ok_or_else(|| no_map(path, maps, name))
}

fn no_map(path: &str, maps: &[MapInfo], name: &str) -> ObjectError {
    let known = maps
        .iter()
        .filter(|map| !map.internal)
        .map(|map| map.name.clone())
        .collect();
    ObjectError::NoMap {
        path: path.to_owned(),
        map: name.to_owned(),
        known,
    }
}
