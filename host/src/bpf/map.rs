//! One map in the kernel: what it is, and single entries of it. Walking over all entries is
//! reader/.
//!
//! A [`Map`] owns a descriptor of its own, so it outlives the object it came from, and works after
//! capabilities have been dropped (kernel 6.1 and newer).

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use libbpf_rs::MapType;
use serde::{Deserialize, Serialize};

use super::cpus;
use super::errno;
use super::sys;

/// What a map is. Before loading: what its definition says; after: what the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MapInfo {
    /// The name in the object, not cut to the kernel's 15 characters.
    pub(crate) name: String,
    #[serde(with = "kind_number")]
    pub(crate) kind: MapType,
    /// Bytes.
    pub(crate) key_size: usize,
    /// Bytes of one value; in per-CPU maps of one CPU's.
    pub(crate) value_size: usize,
    /// 0 where the size is chosen at load, as for perf event arrays.
    pub(crate) max_entries: usize,
    /// BPF_F_… flags of the map's creation.
    pub(crate) flags: u32,
    /// Made by libbpf out of `.bss`, `.data`, `.rodata` or `.kconfig`: global variables, not a map
    /// anyone exports.
    pub(crate) internal: bool,
    /// Before loading: the definition of the maps in a map of maps.
    pub(crate) inner: Option<Box<MapInfo>>,
}

/// The kernel's number.
mod kind_number {
    use libbpf_rs::MapType;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::bpf::sys;

    pub(super) fn serialize<S: Serializer>(kind: &MapType, to: S) -> Result<S::Ok, S::Error> {
        (*kind as u32).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MapType, D::Error> {
        u32::deserialize(from).map(sys::map_type)
    }
}

impl MapInfo {
    /// Whether each entry has a value for every possible CPU.
    pub(crate) fn is_per_cpu(&self) -> bool {
        matches!(
            self.kind,
            MapType::PercpuHash
                | MapType::LruPercpuHash
                | MapType::PercpuArray
                | MapType::PercpuCgroupStorage
        )
    }
}

/// A loaded map.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    /// The kernel's number of it.
    id: u32,
    info: MapInfo,
    /// How many values an entry has.
    cpus: usize,
    /// Bytes from one CPU's value to the next: the kernel pads them to 8.
    cpu_stride: usize,
}

impl Map {
    /// `name` is the map's full name: the kernel knows 15 characters of it.
    pub(crate) fn new(fd: OwnedFd, name: &str, internal: bool) -> io::Result<Self> {
        let kernel = libbpf_rs::MapInfo::new(fd.as_fd())
            .map_err(|error| io::Error::from_raw_os_error(errno::of(&error)))?
            .info;
        let info = MapInfo {
            name: name.to_owned(),
            kind: sys::map_type(kernel.type_),
            key_size: kernel.key_size as usize,
            value_size: kernel.value_size as usize,
            max_entries: kernel.max_entries as usize,
            flags: kernel.map_flags,
            internal,
            inner: None,
        };
        let (cpus, cpu_stride) = if info.is_per_cpu() {
            (cpus::possible()?.len(), info.value_size.next_multiple_of(8))
        } else {
            (1, info.value_size)
        };
        Ok(Self {
            fd,
            id: kernel.id,
            info,
            cpus,
            cpu_stride,
        })
    }

    /// The kernel's number of it, which no other map has.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn info(&self) -> &MapInfo {
        &self.info
    }

    /// How many values an entry has: 1, or one for each possible CPU.
    #[cfg(test)]
    pub(super) fn cpus(&self) -> usize {
        self.cpus
    }

    /// Bytes from one CPU's value to the next.
    pub(crate) fn cpu_stride(&self) -> usize {
        self.cpu_stride
    }

    /// Bytes of an entry's value as it is copied out: all CPUs' values.
    pub(crate) fn value_len(&self) -> usize {
        self.cpus * self.cpu_stride
    }

    #[cfg(test)]
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            info: self.info.clone(),
            ..*self
        })
    }

    /// The value of `key`, all CPUs' values in a row; `None` if there is no such entry.
    #[cfg(test)]
    pub(super) fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut value = vec![0; self.value_len()];
        match self.lookup_into(key, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of `key`, making the entry if there is none. `value` has [`Self::value_len`]
    /// bytes.
    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.expect(key.len() == self.info.key_size && value.len() == self.value_len())?;
        let (key, value) = (key.as_ptr().cast(), value.as_ptr().cast());
        #[expect(
            unsafe_code,
            reason = "raw system call: libbpf-rs asks for the map's type and CPUs on each call"
        )]
        // SAFETY: key and value have the lengths the kernel reads, checked above.
        let ret = unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.raw_fd(),
                key,
                value,
                u64::from(libbpf_sys::BPF_ANY),
            )
        };
        errno::check(ret).map(drop)
    }

    /// Removes `key`; `false` if there was no such entry.
    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<bool> {
        self.expect(key.len() == self.info.key_size)?;
        #[expect(unsafe_code, reason = "raw system call, see update")]
        // SAFETY: the key has the length the kernel reads, checked above.
        let ret = unsafe { libbpf_sys::bpf_map_delete_elem(self.raw_fd(), key.as_ptr().cast()) };
        match errno::check(ret) {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Like [`Self::lookup`] into `value`, which has [`Self::value_len`] bytes. ENOENT if there is
    /// no such entry.
    pub(super) fn lookup_into(&self, key: &[u8], value: &mut [u8]) -> io::Result<()> {
        self.expect(key.len() == self.info.key_size && value.len() == self.value_len())?;
        #[expect(unsafe_code, reason = "raw system call, see update")]
        // SAFETY: key and value have the lengths the kernel reads and writes, checked above.
        let ret = unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.raw_fd(),
                key.as_ptr().cast(),
                value.as_mut_ptr().cast(),
            )
        };
        errno::check(ret).map(drop)
    }

    /// Writes the key after `previous` into `next`; the first without `previous`, and in hash maps
    /// also when `previous` is gone. ENOENT after the last.
    pub(super) fn next_key(&self, previous: Option<&[u8]>, next: &mut [u8]) -> io::Result<()> {
        let size = self.info.key_size;
        self.expect(next.len() == size && previous.is_none_or(|key| key.len() == size))?;
        let previous = previous.map_or(std::ptr::null(), |key| key.as_ptr().cast());
        #[expect(unsafe_code, reason = "raw system call, see update")]
        // SAFETY: both keys have the length the kernel reads and writes, checked above; null asks
        // for the first key.
        let ret = unsafe {
            libbpf_sys::bpf_map_get_next_key(self.raw_fd(), previous, next.as_mut_ptr().cast())
        };
        errno::check(ret).map(drop)
    }

    /// Bytes of the position that [`Self::lookup_batch`] reads and writes: a bucket's number in
    /// hash maps, a key in all others.
    pub(super) fn cursor_len(&self) -> usize {
        self.info.key_size.max(8)
    }

    /// Copies up to `max` entries after the position `from` (`None`: the start) into `keys` and
    /// `values`, and the new position into `to`.
    ///
    /// Returns how many were copied and the kernel's verdict: ENOENT comes with the last entries,
    /// ENOSPC with none (a bucket has more than `max`).
    pub(super) fn lookup_batch(
        &self,
        from: Option<&mut [u8]>,
        to: &mut [u8],
        keys: &mut [u8],
        values: &mut [u8],
        max: usize,
    ) -> (usize, io::Result<()>) {
        let fits = to.len() == self.cursor_len()
            && from
                .as_ref()
                .is_none_or(|from| from.len() == self.cursor_len())
            && max
                .checked_mul(self.info.key_size)
                .is_some_and(|bytes| bytes <= keys.len())
            && max
                .checked_mul(self.value_len())
                .is_some_and(|bytes| bytes <= values.len());
        let Some(mut count) = u32::try_from(max).ok().filter(|_| fits) else {
            return (0, Err(io::Error::from_raw_os_error(libc::EINVAL)));
        };
        let from: *mut c_void = from.map_or(std::ptr::null_mut(), |from| from.as_mut_ptr().cast());
        #[expect(
            unsafe_code,
            reason = "libbpf-rs' batch iterator ends early and loses entries"
        )]
        // SAFETY: the kernel writes at most `count` keys and values, for which there is room, and a
        // position of at most max(key size, 4) bytes; checked above.
        let ret = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                self.raw_fd(),
                from,
                to.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                std::ptr::null(),
            )
        };
        ((count as usize).min(max), errno::check(ret).map(drop))
    }

    fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn expect(&self, fits: bool) -> io::Result<()> {
        if fits {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "map `{}` has keys of {} and values of {} bytes: what it was given has another length",
                self.info.name,
                self.info.key_size,
                self.value_len()
            ),
        ))
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::testing;

    #[test]
    fn single_entries_root() {
        let map = testing::map(MapType::Hash, 4, 8, 4, 0);
        let key = 7_u32.to_ne_bytes();
        assert_eq!(map.lookup(&key).unwrap(), None);
        map.update(&key, &1_u64.to_ne_bytes()).unwrap();
        assert_eq!(map.lookup(&key).unwrap().unwrap(), 1_u64.to_ne_bytes());
        assert!(map.delete(&key).unwrap());
        assert!(!map.delete(&key).unwrap());
        let wrong = map.update(&key, &[1]).unwrap_err().to_string();
        assert!(wrong.contains("values of 8 bytes"), "{wrong}");
    }

    #[test]
    fn per_cpu_values_are_padded_root() {
        let map = testing::map(MapType::PercpuHash, 4, 4, 4, 0);
        assert_eq!(map.value_len(), 8 * cpus::possible().unwrap().len());
    }
}
