//! A unit's BPF object: opened (what is in it), filled in (kaddrs), loaded (in the kernel). Attaching its programs is attach/.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;

use libbpf_rs::MapCore as _;
use libbpf_rs::MapHandle;
use libbpf_rs::MapType;
use libbpf_rs::ObjectBuilder;

use super::attach::AttachPlan;
use super::attach::AttachedProgram;
use super::attach::ProgramStatus;
use super::errno;
use super::log;
use super::map::Map;
use super::map::MapInfo;
use super::program::RunStats;
use super::symbols;
use super::symbols::Global;
use super::sys;

/// Objects are some kilobytes, rarely a megabyte: whatever is larger is not one.
const MOST_BYTES: u64 = 256 << 20;

/// How objects are opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenOptions {
    /// BTF to relocate against instead of the kernel's own (`--btf.path`).
    pub(crate) btf: Option<PathBuf>,
    /// Lets libbpf's debug lines through to tracing (`--debug`).
    pub(crate) debug: bool,
}

/// Why an object is not running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("there is no BPF object {path}: build it, or say where it is with `object:`")]
    Missing { path: String },
    #[error("cannot read the BPF object {path}: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("{path} is not a BPF object: {why}")]
    NotBpf { path: String, why: String },
    #[error("the BPF object {path} has neither maps nor programs: is it the right file?")]
    Empty { path: String },
    #[error("cannot read the BTF file {path}: {source}; see --btf.path")]
    Btf { path: String, source: io::Error },
    #[error("cannot open the BPF object {path}: {reason}{}", said(.log))]
    Open {
        path: String,
        reason: String,
        log: String,
    },
    #[error("the kernel does not take the BPF object {path}: {reason}{}", said(.log))]
    Load {
        path: String,
        reason: String,
        log: String,
    },
    #[error("the BPF object {path} has no map `{map}`: {}", list("it has", .known))]
    NoMap {
        path: String,
        map: String,
        known: Vec<String>,
    },
    #[error("the BPF object {path} has no global variable `kaddr_{symbol}`: add `const volatile u64 kaddr_{symbol} = 0;`{}", list("; it has", .known))]
    NoKaddr {
        path: String,
        symbol: String,
        known: Vec<String>,
    },
    #[error(
        "`kaddr_{symbol}` in the BPF object {path} has {size} bytes: expected `const volatile u64 kaddr_{symbol} = 0;`"
    )]
    KaddrSize {
        path: String,
        symbol: String,
        size: usize,
    },
    #[error("cannot use map `{map}` of the BPF object {path}: {source}")]
    Map {
        path: String,
        map: String,
        source: io::Error,
    },
}

fn said(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("; libbpf says: {log}")
    }
}

fn list(verb: &str, names: &[String]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return if verb.starts_with(';') {
            String::new()
        } else {
            "it has none".to_owned()
        };
    }
    let shown: Vec<String> = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{verb} {}{more}", shown.join(", "))
}

/// A program as the object declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramDecl {
    pub(crate) name: String,
    /// Without the `?` that turns loading off.
    pub(crate) section: String,
    /// `false`: declared with `SEC("?…")`.
    pub(crate) autoload: bool,
}

/// An object that has been read and parsed; nothing is in the kernel yet. Needs no privileges.
#[derive(Debug)]
pub(crate) struct OpenObject {
    path: String,
    object: libbpf_rs::OpenObject,
    maps: Vec<MapInfo>,
    programs: Vec<(ProgramDecl, AttachPlan)>,
    globals: Vec<Global>,
}

impl OpenObject {
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Self, ObjectError> {
        if options.debug {
            log::enable_debug();
        }
        let name = path.display().to_string();
        let elf = read(path)?;
        if let Some(why) = symbols::not_bpf(&elf) {
            return Err(ObjectError::NotBpf { path: name, why });
        }
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
        let (opened, said) = log::capture(|| {
            builder.name(object_name(path))?;
            builder.open_memory(&elf)
        });
        let failed = |error: &libbpf_rs::Error| ObjectError::Open {
            path: name.clone(),
            reason: errno::text(errno::of(error)),
            log: said.summary(),
        };
        let mut object = opened.map_err(|error| failed(&error))?;
        let maps: Vec<MapInfo> = object.maps().map(|map| map_info(&map)).collect();
        let programs: Vec<(ProgramDecl, AttachPlan)> = object
            .progs_mut()
            .map(|mut program| declare(&mut program))
            .collect();
        if programs.is_empty() && maps.iter().all(|map| map.internal) {
            return Err(ObjectError::Empty { path: name });
        }
        Ok(Self {
            path: name,
            object,
            maps,
            programs,
            globals: symbols::globals(&elf),
        })
    }

    /// All maps with their declared sizes, internal ones included.
    pub(crate) fn maps(&self) -> &[MapInfo] {
        &self.maps
    }

    /// The map of that name, or an error that lists those there are.
    pub(crate) fn map(&self, name: &str) -> Result<&MapInfo, ObjectError> {
        find_map(&self.path, &self.maps, name)
    }

    pub(crate) fn programs(&self) -> impl Iterator<Item = &ProgramDecl> {
        self.programs.iter().map(|(program, _)| program)
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
        // libbpf names the map of section `.rodata` `<object>.rodata`.
        let mut map = self
            .object
            .maps_mut()
            .find(|map| is_internal(map) && map.name().to_string_lossy().ends_with(&global.section))
            .ok_or_else(missing)?;
        let slot = map
            .initial_value_mut()
            .and_then(|data| data.get_mut(global.offset..)?.first_chunk_mut());
        *slot.ok_or_else(missing)? = address.to_ne_bytes();
        Ok(())
    }

    /// Creates the maps and loads the programs; the verifier runs here.
    pub(crate) fn load(self) -> Result<LoadedObject, ObjectError> {
        let Self {
            path,
            object,
            programs,
            mut maps,
            ..
        } = self;
        let (loaded, said) = log::capture(|| object.load());
        let object = loaded.map_err(|error| ObjectError::Load {
            path: path.clone(),
            reason: load_reason(errno::of(&error)),
            log: said.summary(),
        })?;
        // Some sizes are chosen by libbpf while loading, e.g. a perf event array's.
        for loaded in object.maps() {
            if let Some(map) = maps
                .iter_mut()
                .find(|map| loaded.name() == map.name.as_str())
            {
                map.max_entries = loaded.max_entries() as usize;
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
        })
    }
}

/// An object whose maps and programs are in the kernel. Dropping it takes everything out again: links, programs, maps.
#[derive(Debug)]
pub(crate) struct LoadedObject {
    // Before `object`: links go first.
    programs: Vec<AttachedProgram>,
    object: libbpf_rs::Object,
    path: String,
    maps: Vec<MapInfo>,
}

impl LoadedObject {
    /// Attaches every program that is not turned off. A program that fails leaves the others alone; its status says why.
    pub(crate) fn attach(&mut self) -> Vec<ProgramStatus> {
        for program in &mut self.programs {
            program.attach(&self.object);
        }
        self.programs()
    }

    /// Destroys all links; the programs and maps stay, and can be attached again.
    pub(crate) fn detach(&mut self) {
        for program in &mut self.programs {
            program.detach();
        }
    }

    pub(crate) fn programs(&self) -> Vec<ProgramStatus> {
        self.programs.iter().map(AttachedProgram::status).collect()
    }

    /// One per loaded program.
    pub(crate) fn run_stats(&self) -> Vec<RunStats> {
        self.programs
            .iter()
            .filter_map(AttachedProgram::run_stats)
            .collect()
    }

    #[cfg(test)]
    pub(super) fn link_count(&self) -> usize {
        self.programs.iter().map(AttachedProgram::link_count).sum()
    }

    pub(crate) fn maps(&self) -> &[MapInfo] {
        &self.maps
    }

    /// A handle of its own on the map of that name.
    pub(crate) fn map(&self, name: &str) -> Result<Map, ObjectError> {
        let internal = find_map(&self.path, &self.maps, name)?.internal;
        let map = self.libbpf_map(name)?;
        map.as_fd()
            .try_clone_to_owned()
            .and_then(|fd| Map::new(fd, name, internal))
            .map_err(|source| self.map_error(name, source))
    }

    /// The same for a perf buffer, which wants a handle of libbpf-rs.
    pub(super) fn map_handle(&self, name: &str) -> Result<MapHandle, ObjectError> {
        let map = self.libbpf_map(name)?;
        MapHandle::try_from(&map)
            .map_err(|error| self.map_error(name, io::Error::from_raw_os_error(errno::of(&error))))
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

fn read(path: &Path) -> Result<Vec<u8>, ObjectError> {
    let name = || path.display().to_string();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ObjectError::Missing { path: name() },
        _ => ObjectError::Unreadable {
            path: name(),
            source,
        },
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(ObjectError::NotBpf {
            path: name(),
            why: "it is not a regular file".to_owned(),
        });
    }
    if metadata.len() > MOST_BYTES {
        return Err(ObjectError::NotBpf {
            path: name(),
            why: format!("it has {} bytes, more than any object", metadata.len()),
        });
    }
    fs::read(path).map_err(unreadable)
}

/// What libbpf would call the object if it opened the file itself: the internal maps' names begin with it.
fn object_name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split('.')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("object")
        .to_owned()
}

fn declare(program: &mut libbpf_rs::OpenProgramMut<'_>) -> (ProgramDecl, AttachPlan) {
    let section = program.section().to_string_lossy();
    // libbpf keeps the mark in the name it reports.
    let section = section.strip_prefix('?').unwrap_or(&section).to_owned();
    let declared = ProgramDecl {
        name: program.name().to_string_lossy().into_owned(),
        section,
        autoload: program.autoload(),
    };
    let plan = AttachPlan::prepare(&declared.section, program);
    (declared, plan)
}

fn map_info(map: &libbpf_rs::OpenMap<'_>) -> MapInfo {
    MapInfo {
        name: map.name().to_string_lossy().into_owned(),
        kind: sys::declared_map_type(map),
        key_size: map.key_size() as usize,
        value_size: map.value_size() as usize,
        max_entries: map.max_entries() as usize,
        flags: map.map_flags(),
        internal: is_internal(map),
    }
}

/// Only maps made of global variables have an initial value before loading (and struct_ops maps and arenas).
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

fn load_reason(errno: i32) -> String {
    let hint = match errno {
        libc::EPERM => {
            ": loading needs CAP_BPF and CAP_PERFMON (and CAP_SYS_RESOURCE or a raised memlock limit before 5.11), and some kernels refuse fentry and lsm programs to everybody"
        }
        libc::ENOMEM => ": the memlock limit or the memory is too small for the maps",
        libc::E2BIG => ": a program or a map is too large",
        _ => "",
    };
    format!("{}{hint}", errno::text(errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::testing;

    const COUNTER: &str = "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 128); __type(key, u64); __type(value, u64); } a_map_with_a_long_name SEC(\".maps\");\n\
        const volatile u64 kaddr_jiffies = 0; const volatile u64 kaddr_two = 0; const volatile u32 kaddr_small = 0; volatile u64 seen = 0;\n\
        SEC(\"raw_tp/sys_enter\") int count(void *ctx) { u64 one = 1, key = kaddr_jiffies + kaddr_two + kaddr_small; seen += 1;\n\
            bpf_map_update_elem(&a_map_with_a_long_name, &key, &one, BPF_ANY); return 0; }\n\
        SEC(\"?raw_tp/sys_exit\") int off(void *ctx) { return 0; }";

    fn open(path: &Path) -> Result<OpenObject, ObjectError> {
        OpenObject::open(path, &OpenOptions::default())
    }

    #[test]
    fn what_is_in_an_object() {
        let compiled = testing::compile(COUNTER);
        let object = open(&compiled.path).unwrap();
        let map = object.map("a_map_with_a_long_name").unwrap();
        assert_eq!(
            (
                map.kind,
                map.key_size,
                map.value_size,
                map.max_entries,
                map.internal
            ),
            (MapType::Hash, 8, 8, 128, false)
        );
        let internal: Vec<&str> = object
            .maps()
            .iter()
            .filter(|map| map.internal)
            .map(|map| map.name.as_str())
            .collect();
        assert_eq!(internal, ["test.rodata", "test.bss"]);
        let programs: Vec<_> = object
            .programs()
            .map(|p| (p.name.as_str(), p.section.as_str(), p.autoload))
            .collect();
        assert_eq!(
            programs,
            [
                ("count", "raw_tp/sys_enter", true),
                ("off", "raw_tp/sys_exit", false)
            ]
        );
        let error = object.map("amap").unwrap_err().to_string();
        assert!(
            error.ends_with("has no map `amap`: it has `a_map_with_a_long_name`"),
            "{error}"
        );
    }

    #[test]
    fn kaddrs_reach_the_program_root() {
        let compiled = testing::compile(COUNTER);
        let mut object = open(&compiled.path).unwrap();
        object.set_kaddr("two", 5).unwrap();
        object.set_kaddr("jiffies", 0xffff_8000_0000_0000).unwrap();
        let missing = object.set_kaddr("jiffy", 1).unwrap_err().to_string();
        assert!(
            missing.contains("const volatile u64 kaddr_jiffy = 0;")
                && missing.contains("`kaddr_jiffies`"),
            "{missing}"
        );
        let small = object.set_kaddr("small", 1).unwrap_err().to_string();
        assert!(small.contains("has 4 bytes"), "{small}");
        let mut loaded = object.load().unwrap();
        let map = loaded.map("a_map_with_a_long_name").unwrap();
        assert_eq!(map.info().name, "a_map_with_a_long_name");
        let status = loaded.attach();
        assert!(
            status.iter().all(|program| !program.attached.is_failed()),
            "{status:?}"
        );
        fs::metadata("/").unwrap();
        assert!(
            map.lookup(&0xffff_8000_0000_0005_u64.to_ne_bytes())
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn files_that_are_no_objects() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("text.bpf.o");
        fs::write(&text, "metrics:\n").unwrap();
        let compiled = testing::compile("int unused;");
        let broken = dir.path().join("broken.bpf.o");
        fs::write(&broken, &fs::read(&compiled.path).unwrap()[..200]).unwrap();
        for (path, expected) in [
            (dir.path().join("none.bpf.o"), "there is no BPF object"),
            (dir.path().to_owned(), "not a regular file"),
            (text, "is not an ELF file"),
            (
                PathBuf::from("/proc/self/exe"),
                "compiled for another machine",
            ),
            (broken, "cannot open the BPF object"),
            (compiled.path.clone(), "neither maps nor programs"),
        ] {
            let error = open(&path).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains(&path.display().to_string()),
                "{error}"
            );
        }
        let options = OpenOptions {
            btf: Some(dir.path().join("no.btf")),
            debug: false,
        };
        let error = OpenObject::open(&compiled.path, &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no.btf") && error.contains("--btf.path"),
            "{error}"
        );
    }

    #[test]
    fn the_verifier_is_quoted_root() {
        let compiled = testing::compile(
            "SEC(\"raw_tp/sys_enter\") int bad(void *ctx) { return *(int *)(long)bpf_get_prandom_u32(); }",
        );
        let error = open(&compiled.path)
            .unwrap()
            .load()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("bad") && error.contains("invalid mem access"),
            "{error}"
        );
        assert!(error.len() < 2500, "{error}");
    }

    #[test]
    fn dropping_unloads_root() {
        let compiled = testing::compile(COUNTER);
        let mut loaded = open(&compiled.path).unwrap().load().unwrap();
        let ids: Vec<u32> = loaded
            .attach()
            .iter()
            .filter_map(|program| program.id)
            .collect();
        assert_eq!(ids.len(), 1);
        drop(loaded);
        // Freed after a grace period of RCU.
        let gone = |id: u32| libbpf_rs::Program::fd_from_id(id).is_err();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !ids.iter().all(|&id| gone(id)) {
            assert!(std::time::Instant::now() < deadline, "program still loaded");
            std::thread::yield_now();
        }
    }

    #[test]
    fn objects_may_change_threads() {
        fn is_send<T: Send>() {}
        is_send::<OpenObject>();
        is_send::<LoadedObject>();
    }
}
