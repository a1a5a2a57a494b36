//! Maps that outlive the process: pinned in bpffs, `<directory>/<unit>/<map>`, and taken up by the
//! next process.
//!
//! Pinning needs CAP_BPF and write permission in the directory, which its owner has without any
//! capability. The directory is opened while there is privilege, and everything goes through that
//! handle (`pin_directory`).

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libbpf_rs::btf::Btf;
use libbpf_rs::{MapCore as _, MapHandle, MapType};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, FlockOperation};

use super::errno;
use super::layout::MapLayout;
use super::map::MapInfo;
use super::pin_directory::{self, Owner};
use super::sys;
use super::types::{EntryTypes, Types};

/// Where all units' maps are pinned.
#[derive(Debug, Clone)]
pub(crate) struct Pins(Arc<PinDirectory>);

#[derive(Debug)]
struct PinDirectory {
    path: PathBuf,
    /// Who this process becomes.
    owner: Owner,
    opened: OnceLock<OwnedFd>,
    /// The directory is this host's, since a unit pins something.
    locked: OnceLock<()>,
    /// Units that pin maps, or have since this process was started.
    pinning: Mutex<BTreeSet<String>>,
    /// What the entries of maps are that this process has pinned, by the kernel's number: it cannot
    /// ask the kernel once its capabilities are dropped.
    layouts: Mutex<HashMap<u32, MapLayout>>,
}

/// Where one unit's maps are pinned.
#[derive(Debug, Clone)]
pub(crate) struct UnitPins {
    all: Pins,
    unit: String,
}

impl Pins {
    /// Nothing is touched yet. `owner`: the user and group that this process becomes, if it does.
    pub(crate) fn new(directory: &Path, owner: Owner) -> Self {
        Self(Arc::new(PinDirectory {
            path: directory.to_owned(),
            owner,
            opened: OnceLock::new(),
            locked: OnceLock::new(),
            pinning: Mutex::default(),
            layouts: Mutex::default(),
        }))
    }

    /// Opens the directory, and makes it where a bpffs has none. To be called while there is the
    /// privilege: later it is reached by its handle.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        self.open().map(drop).map_err(|error| error.to_string())
    }

    /// Gives the directory to the user that this process becomes, where root had it until now. To
    /// be called where a unit pins, by whoever still may.
    pub(crate) fn hand_over(&self) -> Result<(), String> {
        let (Some(owner), Some(directory)) = (self.0.owner, self.0.opened.get()) else {
            return Ok(());
        };
        self.lock_directory()
            .and_then(|()| pin_directory::hand_over(directory, owner))
            .map_err(|error| {
                format!(
                    "cannot give {} to user {}: {error}",
                    self.0.path.display(),
                    owner.0
                )
            })
    }

    /// A path of the opened directory that leads there whatever becomes of its own.
    pub(crate) fn path_of_handle(&self) -> Option<PathBuf> {
        let directory = self.0.opened.get()?;
        Some(pin_directory::path_in(directory, "").into())
    }

    fn open(&self) -> io::Result<&OwnedFd> {
        if let Some(opened) = self.0.opened.get() {
            return Ok(opened);
        }
        let opened = pin_directory::open(&self.0.path, self.0.owner).map_err(io::Error::other)?;
        Ok(self.0.opened.get_or_init(|| opened))
    }

    /// Takes the directory for this host for as long as it runs: two hosts would remove each
    /// other's pins and count into the same maps.
    fn lock_directory(&self) -> io::Result<()> {
        if self.0.locked.get().is_some() {
            return Ok(());
        }
        match rustix::fs::flock(self.open()?, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                self.0.locked.get_or_init(|| ());
                Ok(())
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::other(format!(
                "another exporter-host pins its maps in {}: give each its own --bpf.pin-dir",
                self.0.path.display()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn of_unit(&self, unit: &str) -> UnitPins {
        UnitPins {
            all: self.clone(),
            unit: unit.to_owned(),
        }
    }

    /// Directories of units that are not among these. None where the directory is not open.
    pub(crate) fn of_others(&self, units: &[&str]) -> Vec<PathBuf> {
        let opened = self.0.opened.get();
        let entries = opened.and_then(|directory| pin_directory::entries(directory).ok());
        let known: Vec<String> = units.iter().map(|unit| escape(unit)).collect();
        let mut others: Vec<PathBuf> = entries
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, kind)| {
                let is_known = known
                    .iter()
                    .any(|known| name.to_bytes() == known.as_bytes());
                *kind == FileType::Directory && !is_known
            })
            .map(|(name, _)| self.0.path.join(name.to_string_lossy().as_ref()))
            .collect();
        others.sort();
        others
    }
}

impl UnitPins {
    /// The unit's directory. None: there is none.
    fn open(&self) -> io::Result<Option<OwnedFd>> {
        let parent = self.all.open()?;
        pin_directory::open_in(parent.as_fd(), &escape(&self.unit), self.all.0.owner)
    }

    fn make(&self) -> io::Result<OwnedFd> {
        let parent = self.all.open()?;
        let name = escape(&self.unit);
        pin_directory::make(parent, name.as_ref(), self.all.0.owner)?;
        self.open()?
            .ok_or_else(|| io::Error::other(format!("the directory {name} was removed")))
    }

    /// The unit pins maps: what it does not pin any more is removed from now on.
    pub(crate) fn note(&self) {
        self.all.0.pinning.lock().insert(self.unit.clone());
    }

    /// The pinned map. None: there is none.
    pub(crate) fn get(&self, map: &str) -> io::Result<Option<MapHandle>> {
        let Some(directory) = self.open()? else {
            return Ok(None);
        };
        let name = escape(map);
        match rustix::fs::statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
            Ok(found) if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile => {
                return Err(io::Error::other(format!("{name} is no pinned map")));
            }
            Ok(_) => {}
        }
        self.all.lock_directory()?;
        MapHandle::from_pinned_path(pin_directory::path_in(&directory, &name))
            .map(Some)
            .map_err(io_error)
    }

    /// What a pinned map's entries are, if this process has pinned it.
    pub(crate) fn layout(&self, pinned: &MapHandle) -> Option<MapLayout> {
        self.all.0.layouts.lock().get(&id(pinned)?).cloned()
    }

    /// Pins a map in place of what is pinned by its name.
    pub(crate) fn pin(
        &self,
        map: &str,
        mut handle: MapHandle,
        layout: MapLayout,
    ) -> io::Result<()> {
        if let Some(id) = id(&handle) {
            self.all.0.layouts.lock().insert(id, layout);
        }
        self.all.lock_directory()?;
        let directory = self.make()?;
        let name = escape(map);
        match self.get(map) {
            Ok(Some(pinned)) if id(&pinned) == id(&handle) => return Ok(()),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => rustix::fs::unlinkat(&directory, &*name, AtFlags::empty())?,
        }
        handle
            .pin(pin_directory::path_in(&directory, &name))
            .map_err(io_error)
    }

    /// Removes the pins of all maps but these, and the directory with the last. Nothing is removed
    /// of a unit that has pinned nothing in this process, and nothing that is no pinned map.
    pub(crate) fn keep_only(&self, maps: &[&str]) -> io::Result<()> {
        if !self.all.0.pinning.lock().contains(&self.unit) {
            return Ok(());
        }
        let Some(directory) = self.open()? else {
            return Ok(());
        };
        self.all.lock_directory()?;
        let keep: Vec<String> = maps.iter().map(|map| escape(map)).collect();
        for (name, kind) in pin_directory::entries(&directory)? {
            let kept = keep.iter().any(|kept| pin_directory::is_named(&name, kept));
            if kept || kind != FileType::RegularFile {
                continue;
            }
            let path = pin_directory::path_in(&directory, &name.to_string_lossy());
            if MapHandle::from_pinned_path(path).is_ok() {
                rustix::fs::unlinkat(&directory, &name, AtFlags::empty())?;
            }
        }
        if maps.is_empty() {
            let parent = self.all.open()?;
            match rustix::fs::unlinkat(parent, escape(&self.unit), AtFlags::REMOVEDIR) {
                Ok(()) | Err(rustix::io::Errno::NOTEMPTY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// The kernel's number of a map.
fn id(map: &MapHandle) -> Option<u32> {
    map.info().map(|info| info.info.id).ok()
}

/// What a pinned map's entries are, as far as the kernel says it; and why it does not say more.
pub(super) fn layout(pinned: &MapHandle) -> Result<(MapLayout, Option<String>), String> {
    let found = libbpf_rs::MapInfo::new(pinned.as_fd()).map_err(|error| error.to_string())?;
    let found = found.info;
    let (types, unknown) = match types(&found) {
        Ok(types) => (types, None),
        Err(why) => (EntryTypes::default(), Some(why)),
    };
    let info = MapInfo {
        name: String::new(),
        kind: sys::map_type(found.type_),
        key_size: found.key_size as usize,
        value_size: found.value_size as usize,
        max_entries: found.max_entries as usize,
        flags: found.map_flags,
        internal: false,
        inner: None,
    };
    Ok((MapLayout { info, types }, unknown))
}

/// Of the key and the value, out of the BTF with which the map was made. None of a map without.
fn types(map: &libbpf_sys::bpf_map_info) -> Result<EntryTypes, String> {
    if map.btf_id == 0 {
        return Ok(EntryTypes::default());
    }
    let unreadable = |error: io::Error| {
        let denied = match error.raw_os_error() {
            Some(libc::EPERM) => ", reading a map's types takes CAP_SYS_ADMIN",
            _ => "",
        };
        format!("its types are not known: {error}{denied}")
    };
    let bytes = sys::kernel_btf(map.btf_id).map_err(unreadable)?;
    // libbpf-rs reads types from files alone.
    let file = rustix::fs::memfd_create(c"btf", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|error| unreadable(error.into()))?;
    let mut file = File::from(file);
    file.write_all(&bytes).map_err(unreadable)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let btf = Btf::from_path(path).map_err(|error| unreadable(io_error(error)))?;
    Ok(Types::of_entry(
        &btf,
        map.btf_key_type_id,
        map.btf_value_type_id,
    ))
}

/// Why maps of a type cannot be pinned to any use. None: they can.
pub(crate) fn unpinnable_reason(kind: MapType) -> Option<&'static str> {
    match kind {
        MapType::PerfEventArray | MapType::RingBuf | MapType::UserRingBuf => {
            Some("its entries are samples on their way to this process")
        }
        MapType::ProgArray | MapType::ArrayOfMaps | MapType::HashOfMaps => {
            Some("its entries are programs or maps of this process")
        }
        MapType::StructOps => Some("it is no store of entries"),
        _ => None,
    }
}

fn io_error(error: libbpf_rs::Error) -> io::Error {
    io::Error::from_raw_os_error(errno::of(&error))
}

/// A name that bpffs takes: it wants no dots, and slashes would make further directories.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        assert_eq!(escape("net/drops"), "net%2Fdrops");
        assert_eq!(escape(".."), "%2E%2E");
        assert_eq!(escape("v1.2_a-b"), "v1%2E2_a-b");
    }

    #[test]
    fn definitions_are_compared_root() {
        let map = crate::bpf::testing::map(MapType::Hash, 4, 8, 16, 0);
        let handle = map_handle(&map);
        let info = map.info().clone();
        let differs = |info: &MapInfo| {
            let wanted = MapLayout {
                info: info.clone(),
                types: EntryTypes::default(),
            };
            layout(&handle).unwrap().0.difference(&wanted)
        };
        assert_eq!(differs(&info), None);
        let changed = [
            (
                MapInfo {
                    key_size: 8,
                    ..info.clone()
                },
                "keys 4 bytes, now 8",
            ),
            (
                MapInfo {
                    max_entries: 17,
                    ..info.clone()
                },
                "room for 16 entries, now 17",
            ),
            (
                MapInfo {
                    flags: 1,
                    ..info.clone()
                },
                "flags 0x0, now 0x1",
            ),
            (
                MapInfo {
                    kind: MapType::LruHash,
                    ..info.clone()
                },
                "it is a Hash, now LruHash",
            ),
        ];
        for (wanted, words) in changed {
            let why = differs(&wanted).unwrap();
            assert!(why.contains(words), "{why}");
        }
    }

    fn map_handle(map: &crate::bpf::map::Map) -> MapHandle {
        let id = libbpf_rs::MapInfo::new(map.as_fd()).unwrap().info.id;
        MapHandle::from_map_id(id).unwrap()
    }
}
