//! Maps that outlive the process: pinned in bpffs, `<directory>/<unit>/<map>`, and taken up by the
//! next process.
//!
//! Pinning needs CAP_BPF and write permission in the directory, which its owner has without any
//! capability.

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use libbpf_rs::btf::Btf;
use libbpf_rs::{MapCore as _, MapHandle, MapType};
use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use super::errno;
use super::layout::MapLayout;
use super::map::MapInfo;
use super::sys;
use super::types::{EntryTypes, Types};

/// `statfs` of bpffs, linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Where all units' maps are pinned.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    directory: PathBuf,
    /// Holds the directory for this host, once a unit pins something.
    claimed: Arc<OnceLock<File>>,
    /// What the entries of maps are that this process has pinned, by the kernel's number: it cannot
    /// ask the kernel once its capabilities are dropped.
    layouts: Arc<Mutex<HashMap<u32, MapLayout>>>,
}

/// Where one unit's maps are pinned.
#[derive(Debug, Clone)]
pub(crate) struct UnitPins {
    all: Pins,
    directory: PathBuf,
}

impl Pins {
    /// Nothing is touched yet.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            claimed: Arc::default(),
            layouts: Arc::default(),
        }
    }

    /// Takes the directory for this host for as long as it runs: two hosts would remove each
    /// other's pins and count into the same maps.
    fn claim(&self) -> io::Result<()> {
        if self.claimed.get().is_some() {
            return Ok(());
        }
        let directory = File::open(&self.directory)?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Whoever was faster has it for this process, too.
                let _ = self.claimed.set(directory);
                Ok(())
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(io::Error::other(format!(
                "another exporter-host pins its maps in {}: give each its own --bpf.pin-dir",
                self.directory.display()
            ))),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn of_unit(&self, unit: &str) -> UnitPins {
        UnitPins {
            all: self.clone(),
            directory: self.directory.join(escape(unit)),
        }
    }

    /// Makes the directory, so that units can be given theirs later. To be called while there is
    /// the privilege.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        make(&self.directory).map_err(|error| self.explain(&error))?;
        let kind = rustix::fs::statfs(&self.directory)
            .map_err(|error| self.explain(&error.into()))?
            .f_type;
        // The type's width differs between architectures; the number has 32 bits.
        if kind as u64 & u64::from(u32::MAX) == BPF_FS_MAGIC {
            return Ok(());
        }
        // Whatever else was made a directory in is left as it was.
        let _ = fs::remove_dir(&self.directory);
        Err(format!(
            "{} is not in a bpffs: mount one (`mount -t bpf bpf /sys/fs/bpf`) or name a directory in one with --bpf.pin-dir",
            self.directory.display()
        ))
    }

    fn explain(&self, error: &io::Error) -> String {
        format!(
            "cannot use the directory {}: {error}; see --bpf.pin-dir",
            self.directory.display()
        )
    }

    /// The units whose maps are pinned and that are not among these.
    pub(crate) fn of_others(&self, units: &[&str]) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        let known: Vec<String> = units.iter().map(|unit| escape(unit)).collect();
        let mut others: Vec<PathBuf> = entries
            .filter(|entry| !known.iter().any(|known| **known == *entry.file_name()))
            .map(|entry| entry.path())
            .collect();
        others.sort();
        others
    }
}

impl UnitPins {
    fn path(&self, map: &str) -> PathBuf {
        self.directory.join(escape(map))
    }

    /// The pinned map. None: there is none.
    pub(crate) fn get(&self, map: &str) -> io::Result<Option<MapHandle>> {
        let path = self.path(map);
        if !path.try_exists()? {
            return Ok(None);
        }
        self.all.claim()?;
        MapHandle::from_pinned_path(&path)
            .map(Some)
            .map_err(io_error)
    }

    /// What a pinned map's entries are, if this process has pinned it.
    pub(crate) fn layout(&self, pinned: &MapHandle) -> Option<MapLayout> {
        self.all.layouts.lock().get(&id(pinned)?).cloned()
    }

    /// Pins a map in place of what is pinned by its name.
    pub(crate) fn pin(
        &self,
        map: &str,
        mut handle: MapHandle,
        layout: MapLayout,
    ) -> io::Result<()> {
        if let Some(id) = id(&handle) {
            self.all.layouts.lock().insert(id, layout);
        }
        self.all.prepare().map_err(io::Error::other)?;
        self.all.claim()?;
        match self.get(map) {
            Ok(Some(pinned)) if id(&pinned) == id(&handle) => return Ok(()),
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => fs::remove_file(self.path(map))?,
        }
        make(&self.directory)?;
        handle.pin(self.path(map)).map_err(io_error)
    }

    /// Removes the pins of all maps but these, and the directory with the last.
    pub(crate) fn keep_only(&self, maps: &[&str]) -> io::Result<()> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        self.all.claim()?;
        let keep: Vec<String> = maps.iter().map(|map| escape(map)).collect();
        for entry in entries {
            let entry = entry?;
            if !keep.iter().any(|kept| **kept == *entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        if maps.is_empty() {
            fs::remove_dir(&self.directory)?;
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

fn make(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
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
    fn another_file_system_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let pins = Pins::new(&directory.path().join("pins"));
        let why = pins.prepare().unwrap_err();
        assert!(why.contains("not in a bpffs"), "{why}");
        assert!(!directory.path().join("pins").exists());
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
