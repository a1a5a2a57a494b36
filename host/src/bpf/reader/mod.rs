//! Walking over all entries of a map, thousands at a time.
//!
//! Three ways, chosen by the map: an array that was created mappable is read from shared memory
//! with no system call (mapped.rs), the usual maps by batches (batched.rs), and whatever knows no
//! batches key by key (keyed.rs). All of them hand out the same [`MapBatch`]es, in buffers that are
//! reused from walk to walk.
//!
//! Promises: an entry that is there from the walk's beginning to its end is visited exactly once;
//! one that is deleted or inserted meanwhile at most once.

mod batched;
mod keyed;
mod mapped;
#[cfg(test)]
mod tests;

use std::io;

use libbpf_rs::MapType;

use super::map::Map;
use super::map::MapInfo;
use crate::map_batch::MapBatch;

/// Entries asked of the kernel in one call. More gains nothing (measured), and this many stay in
/// the cache.
const BATCH: usize = 4096;
/// Bytes of values that one call may fill, unless a single bucket needs more.
const BATCH_BYTES: usize = 4 << 20;

/// What a walk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WalkStats {
    /// Entries visited.
    pub(crate) entries: usize,
    /// System calls made.
    pub(crate) calls: usize,
    /// Entries whose key was there and whose value was gone a moment later (key by key only).
    pub(crate) vanished: usize,
    /// `false`: the map changed so fast that the walk was given up before it came around (key by
    /// key only).
    pub(crate) complete: bool,
    /// The kernel was asked for one key after the other, so an entry may have been missed.
    pub(crate) by_key: bool,
}

/// Why a map cannot be walked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("map `{map}` of type {kind:?} has no entries to read: {why}")]
    Unreadable {
        map: String,
        kind: MapType,
        why: &'static str,
    },
    #[error("cannot read map `{map}`: {source}{hint}")]
    Kernel {
        map: String,
        source: io::Error,
        hint: &'static str,
    },
}

impl ReadError {
    fn kernel(info: &MapInfo, source: io::Error) -> Self {
        let hint = match source.raw_os_error() {
            Some(libc::EPERM) => "; kernels before 6.1 need CAP_BPF for reading too: keep it",
            _ => "",
        };
        Self::Kernel {
            map: info.name.clone(),
            source,
            hint,
        }
    }
}

/// Reads one map, again and again. Keeps its buffers, so one reader serves one walk at a time.
#[derive(Debug)]
pub(crate) struct MapReader {
    map: Map,
    method: Method,
    buffers: Buffers,
}

#[derive(Debug)]
enum Method {
    Mapped(mapped::Mapping),
    Batched,
    Keyed,
}

/// Room for `capacity` entries.
#[derive(Debug, Default)]
struct Buffers {
    keys: Vec<u8>,
    values: Vec<u8>,
    capacity: usize,
}

impl Buffers {
    fn resize(&mut self, map: &Map, capacity: usize) {
        self.keys
            .resize(capacity.saturating_mul(map.info().key_size), 0);
        self.values
            .resize(capacity.saturating_mul(map.value_len()), 0);
        self.capacity = capacity;
    }

    /// The first `count` entries.
    fn batch<'a>(&'a self, map: &Map, count: usize) -> MapBatch<'a> {
        let info = map.info();
        let (keys, values) = (count * info.key_size, count * map.value_len());
        MapBatch {
            keys: self.keys.get(..keys).unwrap_or_default(),
            values: self.values.get(..values).unwrap_or_default(),
            key_size: info.key_size,
            value_size: info.value_size,
            value_stride: map.value_len(),
            cpu_stride: map.cpu_stride(),
        }
    }
}

impl MapReader {
    /// Refuses maps that have no keys to walk over.
    pub(crate) fn new(map: Map) -> Result<Self, ReadError> {
        Self::with_batch(map, BATCH)
    }

    pub(crate) fn with_batch(map: Map, batch: usize) -> Result<Self, ReadError> {
        let info = map.info();
        check_readable(info)?;
        // Not the trie: its batches go by "next key", which starts again from the left when the key
        // at the cursor is deleted, and rows would be read twice.
        let batches = matches!(
            info.kind,
            MapType::Hash
                | MapType::LruHash
                | MapType::Array
                | MapType::PercpuHash
                | MapType::LruPercpuHash
                | MapType::PercpuArray
        );
        let method = match mapped::Mapping::of(&map) {
            Some(mapping) => Method::Mapped(mapping),
            None if batches => Method::Batched,
            None => Method::Keyed,
        };
        let capacity = batch
            .min(info.max_entries)
            .min(BATCH_BYTES / map.value_len().max(1))
            .max(1);
        let mut buffers = Buffers::default();
        buffers.resize(&map, capacity);
        Ok(Self {
            map,
            method,
            buffers,
        })
    }

    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// Visits all entries, in batches. After an error some may have been visited.
    pub(crate) fn walk(
        &mut self,
        mut visit: impl FnMut(MapBatch<'_>),
    ) -> Result<WalkStats, ReadError> {
        let Self {
            map,
            method,
            buffers,
        } = self;
        let walked = match method {
            Method::Mapped(mapping) => Ok(mapping.walk(buffers, &mut visit)),
            Method::Batched => match batched::walk(map, buffers, &mut visit) {
                Ok(Some(stats)) => Ok(stats),
                Ok(None) => {
                    tracing::debug!(
                        map = map.info().name,
                        "the kernel has no batches for this map: reading it key by key from now on"
                    );
                    *method = Method::Keyed;
                    keyed::walk(map, buffers, &mut visit)
                }
                Err(error) => Err(error),
            },
            Method::Keyed => keyed::walk(map, buffers, &mut visit),
        };
        walked.map_err(|source| ReadError::kernel(map.info(), source))
    }
}

/// Refuses maps that have no keys to walk over.
pub(crate) fn check_readable(info: &MapInfo) -> Result<(), ReadError> {
    match unreadable(info) {
        Some(why) => Err(ReadError::Unreadable {
            map: info.name.clone(),
            kind: info.kind,
            why,
        }),
        None => Ok(()),
    }
}

/// Why a map has no entries that could be walked over, if so.
fn unreadable(info: &MapInfo) -> Option<&'static str> {
    match info.kind {
        MapType::Queue | MapType::Stack => {
            Some("it is a queue or stack, and reading it would take its elements away")
        }
        MapType::BloomFilter => Some("a bloom filter keeps no keys"),
        MapType::RingBuf => Some("a ring buffer carries samples: set `ringbuf: true`"),
        MapType::UserRingBuf => Some("a ring buffer carries samples"),
        MapType::PerfEventArray => Some("it carries samples: set `perf_event_array: true`"),
        MapType::CGrpStorage
        | MapType::SkStorage
        | MapType::TaskStorage
        | MapType::InodeStorage => {
            Some("the kernel does not list the keys of local storage: count in a hash map instead")
        }
        MapType::ProgArray
        | MapType::CgroupArray
        | MapType::ArrayOfMaps
        | MapType::HashOfMaps
        | MapType::StructOps
        | MapType::Arena => Some("it holds no numbers"),
        _ if info.key_size == 0 || info.value_size == 0 => Some("it has no keys or no values"),
        _ => None,
    }
}
