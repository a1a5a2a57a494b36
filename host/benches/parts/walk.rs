//! Maps of the kernel, read.

use std::os::fd::{AsFd, OwnedFd};

use criterion::{BenchmarkId, Throughput};
use exporter_host::test_support::bench::Walk;
use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use libbpf_sys::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_create_opts};

use crate::Criterion;

const ENTRIES: u32 = 100_000;
const BATCHES: [usize; 5] = [64, 256, 1024, 4096, 16384];

/// A kind of map that is read in its own way, by the host or by the kernel.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    kind: MapType,
    key_size: u32,
    flags: u32,
    /// The host's batch size plays a part.
    batches: bool,
}

const KINDS: [Kind; 9] = [
    Kind::of("hash", MapType::Hash, 24),
    Kind::of("hash, not preallocated", MapType::Hash, 24).flags(BPF_F_NO_PREALLOC),
    Kind::of("LRU hash", MapType::LruHash, 24),
    Kind::of("per-CPU hash", MapType::PercpuHash, 24),
    Kind::of("per-CPU LRU hash", MapType::LruPercpuHash, 24),
    Kind::of("array", MapType::Array, 4),
    Kind::of("array, mapped", MapType::Array, 4).flags(BPF_F_MMAPABLE),
    Kind::of("per-CPU array", MapType::PercpuArray, 4),
    Kind::of("trie, key by key", MapType::LpmTrie, 8)
        .flags(BPF_F_NO_PREALLOC)
        .unbatched(),
];

impl Kind {
    const fn of(name: &'static str, kind: MapType, key_size: u32) -> Self {
        Self {
            name,
            kind,
            key_size,
            flags: 0,
            batches: true,
        }
    }

    const fn flags(self, flags: u32) -> Self {
        Self { flags, ..self }
    }

    const fn unbatched(self) -> Self {
        Self {
            batches: false,
            ..self
        }
    }

    fn create(self, entries: u32) -> libbpf_rs::Result<MapHandle> {
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as _,
            map_flags: self.flags,
            ..Default::default()
        };
        MapHandle::create(
            self.kind,
            Some("bench"),
            self.key_size,
            size_of::<u64>() as u32,
            entries,
            &options,
        )
    }

    fn filled(self) -> MapHandle {
        let lru = matches!(self.kind, MapType::LruHash | MapType::LruPercpuHash);
        // These evict before they are full.
        let map = self
            .create(if lru { 2 * ENTRIES } else { ENTRIES })
            .unwrap();
        let cpus = libbpf_rs::num_possible_cpus().unwrap();
        for index in 0..ENTRIES {
            let (key, value) = (self.key(index), u64::from(index).to_ne_bytes());
            let set = if map.map_type().is_percpu() {
                map.update_percpu(&key, &vec![value.to_vec(); cpus], MapFlags::ANY)
            } else {
                map.update(&key, &value, MapFlags::ANY)
            };
            set.unwrap();
        }
        map
    }

    fn key(self, index: u32) -> Vec<u8> {
        let mut key = match self.kind {
            // Bits of the prefix, and the prefix.
            MapType::LpmTrie => [32_u32.to_ne_bytes(), index.to_be_bytes()].concat(),
            _ => index.to_ne_bytes().to_vec(),
        };
        key.resize(self.key_size as usize, 0);
        key
    }
}

/// What does an entry cost, by kind of map, and how many should be asked for at once? The host asks
/// for 4096.
pub fn walk(criterion: &mut Criterion) {
    if let Err(error) = KINDS[0].create(1) {
        eprintln!("walk: left out, since no BPF map can be made here (root?): {error}");
        return;
    }
    let mut group = crate::group(criterion, "walk");
    group.throughput(Throughput::Elements(ENTRIES.into()));
    for kind in KINDS {
        let mut map: Option<MapHandle> = None;
        for batch in BATCHES {
            if !kind.batches && batch != 4096 {
                continue;
            }
            group.bench_function(BenchmarkId::new(kind.name, batch), |bencher| {
                // Not for what the command line leaves out.
                let map = map.get_or_insert_with(|| kind.filled());
                let descriptor: OwnedFd = map.as_fd().try_clone_to_owned().unwrap();
                let mut walk = Walk::new(descriptor, batch).unwrap();
                let found = walk.walk().unwrap();
                assert_eq!(found, ENTRIES as usize, "{}", kind.name);
                bencher.iter(|| walk.walk().unwrap());
            });
        }
    }
    group.finish();
}
