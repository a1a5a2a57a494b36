//! `SEC("usdt/FILE:PROVIDER:NAME")`: static probes of programs and libraries.
//!
//! libbpf could attach them, but writes where their arguments are as the newest usdt.bpf.h declares
//! it, and objects that were compiled with an older one then read wrong arguments. So the host
//! writes it as the object declares it, before anything is attached.

mod argument;
mod elf;
mod spec;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use libbpf_rs::{
    Link, MapCore as _, MapFlags, Object, ProgramAttachType, ProgramMut, UprobeMultiOpts,
    UprobeOpts,
};

use self::argument::{Architecture, Argument};
use self::elf::Site;
pub(in crate::bpf) use self::spec::SpecLayout;
use super::by_libbpf;
use crate::bpf::sys;

/// The maps of usdt.bpf.h: where each probe's arguments are, and without cookies (before Linux
/// 5.15) which of these belongs to an address.
const SPECS: &str = "__bpf_usdt_specs";
const SPEC_IDS: &str = "__bpf_usdt_ip_to_spec_id";

/// Whether a map is usdt.bpf.h's own.
pub(in crate::bpf) fn is_own_map(name: &str) -> bool {
    name == SPECS || name == SPEC_IDS
}

/// What all programs of an object share.
#[derive(Debug, Clone)]
pub(in crate::bpf) struct UsdtMaps {
    /// `Err`: why it is not known.
    layout: Arc<Result<SpecLayout, String>>,
    /// How many entries of the map are taken.
    taken: Arc<AtomicU32>,
}

/// A static probe.
#[derive(Debug)]
pub(in crate::bpf) struct Usdt {
    file: String,
    provider: String,
    name: String,
    maps: UsdtMaps,
}

impl UsdtMaps {
    pub(in crate::bpf) fn new(layout: Result<SpecLayout, String>) -> Self {
        Self {
            layout: Arc::new(layout),
            taken: Arc::default(),
        }
    }

    /// Of an object's map types, by name.
    pub(in crate::bpf) fn of_types(
        types: &std::collections::HashMap<String, crate::bpf::EntryTypes>,
    ) -> Self {
        let value = types.get(SPECS).and_then(|entry| entry.value.as_deref());
        Self::new(SpecLayout::of(value))
    }
}

impl Usdt {
    /// None: the section is another one, or names no probe.
    pub(super) fn parse(section: &str, maps: &UsdtMaps) -> Option<Self> {
        let target = ["usdt/", "usdt.s/"]
            .iter()
            .find_map(|kind| section.strip_prefix(kind))?;
        let mut parts = target.splitn(3, ':');
        let (file, provider, name) = (parts.next()?, parts.next()?, parts.next()?);
        let whole = ![file, provider, name].contains(&"") && !name.contains(':');
        whole.then(|| Self {
            file: file.to_owned(),
            provider: provider.to_owned(),
            name: name.to_owned(),
            maps: maps.clone(),
        })
    }

    /// At all places of the program or library that have the probe, in all processes.
    pub(super) fn attach(
        &self,
        section: &str,
        object: &Object,
        program: &ProgramMut<'_>,
    ) -> Result<Vec<Link>, String> {
        let layout = (*self.maps.layout).as_ref().map_err(Clone::clone)?;
        let path = resolve(&self.file)?;
        let shown = path.display();
        let (sites, position_independent) = elf::sites(&path, &self.provider, &self.name)
            .map_err(|why| format!("{shown}: {why}"))?;
        if sites.is_empty() {
            return Err(format!(
                "{shown} has no such probe: `{}:{}` (see `readelf -n`)",
                self.provider, self.name
            ));
        }
        let multi = matches!(program.attach_type(), ProgramAttachType::TraceUprobeMulti);
        check_semaphores(&sites, multi)?;
        let cookies = has_cookies();
        if !cookies && position_independent {
            return Err(format!(
                "{shown} lies at other addresses in each process: this takes Linux 5.15 or newer"
            ));
        }
        let ids = self.write_specs(layout, object, &sites)?;
        if !cookies {
            write_ids(object, &sites, &ids)?;
        }
        let links = if multi {
            vec![by_libbpf(section, || {
                program.attach_uprobe_multi_with_opts(-1, &path, "", options(&sites, &ids))
            })?]
        } else {
            let each = sites.iter().zip(&ids).map(|(site, id)| {
                let options = UprobeOpts {
                    ref_ctr_offset: site.semaphore.unwrap_or_default(),
                    cookie: if cookies { u64::from(*id) } else { 0 },
                    ..UprobeOpts::default()
                };
                by_libbpf(section, || {
                    program.attach_uprobe_with_opts(-1, &path, site.offset, options)
                })
            });
            each.collect::<Result<_, _>>()?
        };
        // Only now: a further attempt writes over what a failed one has written.
        if let Some(last) = ids.iter().max() {
            self.maps.taken.store(last + 1, Ordering::Relaxed);
        }
        Ok(links)
    }

    /// Says where the arguments are. Gives the number of the entry for each site; those with the
    /// same arguments share one.
    fn write_specs(
        &self,
        layout: &SpecLayout,
        object: &Object,
        sites: &[Site],
    ) -> Result<Vec<u32>, String> {
        let map = find_map(object, SPECS)?;
        let mut next = self.maps.taken.load(Ordering::Relaxed);
        let mut known: Vec<(&str, u32)> = Vec::new();
        let mut ids = Vec::new();
        for site in sites {
            let text = site.arguments.as_str();
            if let Some((_, id)) = known.iter().find(|(known, _)| *known == text) {
                ids.push(*id);
                continue;
            }
            let unusable = |why| format!("the probe's arguments `{text}` cannot be read: {why}");
            let arguments = Argument::parse_all(text, Architecture::OWN).map_err(unusable)?;
            let record = layout.encode(&arguments).map_err(unusable)?;
            if next >= map.max_entries() {
                return Err(format!(
                    "the object has room for {} kinds of arguments: compile it with a larger \
                     BPF_USDT_MAX_SPEC_CNT",
                    map.max_entries()
                ));
            }
            map.update(&next.to_ne_bytes(), &record, MapFlags::ANY)
                .map_err(|error| format!("cannot write into the map `{SPECS}`: {error}"))?;
            known.push((text, next));
            ids.push(next);
            next += 1;
        }
        Ok(ids)
    }
}

fn options(sites: &[Site], ids: &[u32]) -> UprobeMultiOpts {
    let semaphores = sites.iter().map(|site| site.semaphore.unwrap_or_default());
    UprobeMultiOpts {
        offsets: sites.iter().map(|site| site.offset).collect(),
        ref_ctr_offsets: semaphores.collect(),
        cookies: ids.iter().map(|id| u64::from(*id)).collect(),
        ..UprobeMultiOpts::default()
    }
}

/// For kernels without cookies: which entry belongs to an address.
fn write_ids(object: &Object, sites: &[Site], ids: &[u32]) -> Result<(), String> {
    let map = find_map(object, SPEC_IDS)?;
    for (site, id) in sites.iter().zip(ids) {
        map.update(
            &site.address.to_ne_bytes(),
            &id.to_ne_bytes(),
            MapFlags::ANY,
        )
        .map_err(|error| format!("cannot write into the map `{SPEC_IDS}`: {error}"))?;
    }
    Ok(())
}

fn find_map<'o>(object: &'o Object, name: &str) -> Result<libbpf_rs::Map<'o>, String> {
    let mut maps = object.maps();
    maps.find(|map| map.name() == name)
        .ok_or_else(|| format!("the object has no map `{name}`: include <bpf/usdt.bpf.h>"))
}

/// A semaphore is a number in the probed program that the kernel raises while somebody listens.
fn check_semaphores(sites: &[Site], multi: bool) -> Result<(), String> {
    const COUNTED: &str = "/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset";
    let any = sites.iter().any(|site| site.semaphore.is_some());
    if any && !multi && !Path::new(COUNTED).exists() {
        return Err("the probe has a semaphore: this takes Linux 4.20 or newer".to_owned());
    }
    Ok(())
}

/// Whether programs can ask by which of their links they run. Asked once, as libbpf does it, which
/// tells the programs.
fn has_cookies() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        sys::has_helper(
            libbpf_sys::BPF_PROG_TYPE_KPROBE,
            libbpf_sys::BPF_FUNC_get_attach_cookie,
        )
    })
}

/// A name without a slash is looked for where programs and libraries are.
fn resolve(file: &str) -> Result<PathBuf, String> {
    if file.contains('/') {
        return Ok(PathBuf::from(file));
    }
    let library = file.ends_with(".so") || file.contains(".so.");
    let (variable, usual) = if library {
        let multiarch = library_directory();
        (
            "LD_LIBRARY_PATH",
            format!("/usr/lib64:/usr/lib:/usr/lib/{multiarch}:/lib/{multiarch}"),
        )
    } else {
        ("PATH", "/usr/bin:/usr/sbin".to_owned())
    };
    let first = env::var_os(variable).unwrap_or_default();
    let directories = env::split_paths(&first).chain(env::split_paths(&usual));
    let mut candidates = directories
        .filter(|directory| !directory.as_os_str().is_empty())
        .map(|directory| directory.join(file));
    candidates
        .find(|path| path.is_file())
        .ok_or_else(|| format!("there is no `{file}` in {variable} or {usual}"))
}

/// As Debian names the directory of a machine's libraries.
fn library_directory() -> String {
    format!("{}-linux-gnu", env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let maps = UsdtMaps::new(Err(String::new()));
        let probe = Usdt::parse("usdt//usr/lib/libc.so.6:libc:setjmp", &maps).unwrap();
        assert_eq!(
            [&*probe.file, &probe.provider, &probe.name],
            ["/usr/lib/libc.so.6", "libc", "setjmp"]
        );
        for other in [
            "usdt",
            "usdt/",
            "usdt/a:b",
            "usdt/a::c",
            "usdt/a:b:c:d",
            "uprobe/a:b:c",
        ] {
            assert!(Usdt::parse(other, &maps).is_none(), "{other}");
        }
    }

    #[test]
    fn names_without_a_path_are_looked_for() {
        assert!(resolve("sh").unwrap().is_file());
        assert_eq!(resolve("./sh").unwrap(), Path::new("./sh"));
        let why = resolve("exporter-host-has-no-such-program").unwrap_err();
        assert!(why.contains("PATH"), "{why}");
    }
}
