//! Against maps in the real kernel.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::*;
use crate::bpf::testing;

fn fill(map: &Map, entries: u64) {
    for n in 0..entries {
        map.update(&key(map, n), &n.to_ne_bytes().repeat(map.value_len() / 8))
            .unwrap();
    }
}

/// `n` as a key of the map's size.
fn key(map: &Map, n: u64) -> Vec<u8> {
    let mut key = n.to_ne_bytes().to_vec();
    key.resize(map.info().key_size, 0);
    key
}

/// Entries by number, with how often each was seen. Checks that value and key belong together.
fn read(reader: &mut MapReader) -> (HashMap<u64, usize>, WalkStats) {
    let mut seen = HashMap::new();
    let stats = reader
        .walk(|batch| {
            assert_eq!(batch.rows().count() * batch.key_size, batch.keys.len());
            for (key, value) in batch.rows() {
                let mut wide = [0_u8; 8];
                let size = key.len().min(8);
                wide[..size].copy_from_slice(&key[..size]);
                let n = u64::from_ne_bytes(wide);
                assert_eq!(
                    batch.per_cpu(value).count(),
                    batch.value_stride / batch.cpu_stride
                );
                for value in batch.per_cpu(value) {
                    assert_eq!(u64::from_ne_bytes(value.try_into().unwrap()), n);
                }
                *seen.entry(n).or_default() += 1;
            }
        })
        .unwrap();
    (seen, stats)
}

fn assert_each_once(reader: &mut MapReader, entries: u64) -> WalkStats {
    let (seen, stats) = read(reader);
    assert_eq!(seen.len(), entries as usize);
    assert!((0..entries).all(|n| seen.get(&n) == Some(&1)));
    assert_eq!(stats.entries, entries as usize);
    assert!(stats.complete);
    stats
}

#[test]
fn hash_of_100_000_root() {
    let map = testing::map(MapType::Hash, 32, 8, 100_000, 0);
    fill(&map, 100_000);
    for batch in [64, 1000, 1024, 4096, 65_536, 1_000_000] {
        let mut reader = MapReader::with_batch(map.try_clone().unwrap(), batch).unwrap();
        let stats = assert_each_once(&mut reader, 100_000);
        assert!(stats.calls >= 100_000 / batch, "{stats:?}");
        assert_eq!(
            assert_each_once(&mut reader, 100_000).entries,
            stats.entries
        );
    }
}

#[test]
fn buckets_larger_than_the_batch_root() {
    // 1,000 entries in 1,024 buckets: some buckets hold several.
    let map = testing::map(MapType::Hash, 8, 8, 1000, 0);
    fill(&map, 1000);
    for batch in 1..=3 {
        let mut reader = MapReader::with_batch(map.try_clone().unwrap(), batch).unwrap();
        assert_each_once(&mut reader, 1000);
        assert!(reader.buffers.capacity > batch, "no bucket was too large");
        assert_each_once(&mut reader, 1000);
    }
}

#[test]
fn an_empty_map_and_a_full_one_root() {
    let map = testing::map(MapType::Hash, 8, 8, 64, 0);
    let mut reader = MapReader::new(map.try_clone().unwrap()).unwrap();
    assert_each_once(&mut reader, 0);
    fill(&map, 64);
    assert_each_once(&mut reader, 64);
}

#[test]
fn every_kind_of_map_root() {
    for (kind, key_size, flags) in [
        (MapType::Hash, 8, 0),
        (MapType::Hash, 8, libbpf_sys::BPF_F_NO_PREALLOC),
        (MapType::PercpuHash, 12, 0),
        (MapType::Array, 4, 0),
        (MapType::PercpuArray, 4, 0),
        (MapType::Array, 4, libbpf_sys::BPF_F_MMAPABLE),
    ] {
        let map = testing::map(kind, key_size, 8, 5000, flags);
        fill(&map, 5000);
        for batch in [16, 4096] {
            let mut reader = MapReader::with_batch(map.try_clone().unwrap(), batch).unwrap();
            let stats = assert_each_once(&mut reader, 5000);
            assert_eq!(
                reader.map().cpus() > 1,
                map.info().is_per_cpu() && crate::bpf::cpus::possible().unwrap().len() > 1
            );
            assert!(stats.calls < 5000, "not read by batches: {kind:?}");
            assert_eq!(stats.calls == 0, matches!(reader.method, Method::Mapped(_)));
        }
    }
}

#[test]
fn lru_maps_lose_entries_but_repeat_none_root() {
    for kind in [MapType::LruHash, MapType::LruPercpuHash] {
        let map = testing::map(kind, 8, 8, 4096, 0);
        fill(&map, 100_000);
        let (seen, stats) = read(&mut MapReader::with_batch(map, 128).unwrap());
        assert!(seen.values().all(|&times| times == 1));
        assert_eq!(seen.len(), stats.entries);
        assert!((1000..=4096 + 1024).contains(&seen.len()), "{}", seen.len());
    }
}

#[test]
fn key_by_key_gives_the_same_root() {
    for kind in [MapType::Hash, MapType::PercpuHash, MapType::LruHash] {
        let map = testing::map(kind, 8, 8, 20_000, 0);
        fill(&map, 5000);
        let mut reader = MapReader::with_batch(map, 100).unwrap();
        reader.method = Method::Keyed;
        let stats = assert_each_once(&mut reader, 5000);
        assert_eq!(stats.vanished, 0);
    }
}

#[test]
fn maps_without_batches_root() {
    // A trie's key: 4 bytes of prefix length, then the data.
    let map = testing::map(MapType::LpmTrie, 8, 8, 100, libbpf_sys::BPF_F_NO_PREALLOC);
    for n in 0..100_u32 {
        let key = [32_u32.to_ne_bytes(), n.to_ne_bytes()].concat();
        let wide = u64::from_ne_bytes(key.as_slice().try_into().unwrap());
        map.update(&key, &wide.to_ne_bytes()).unwrap();
    }
    let mut reader = MapReader::new(map).unwrap();
    let (seen, stats) = read(&mut reader);
    assert_eq!((seen.len(), stats.entries), (100, 100));
    assert!(seen.values().all(|&times| times == 1));
}

#[test]
fn a_kernel_without_batches_is_remembered_root() {
    // The kernel has no batches for stack traces: stands for a kernel that has none at all.
    let map = testing::map(MapType::StackTrace, 4, 8 * 16, 16, 0);
    let mut reader = MapReader::new(map).unwrap();
    reader.method = Method::Batched;
    assert_eq!(reader.walk(|_| ()).unwrap().entries, 0);
    assert!(matches!(reader.method, Method::Keyed));
}

#[test]
fn deleting_while_walking_loses_no_other_row_root() {
    const STAY: u64 = 10_000;
    for (keyed, walks) in [(false, 200), (true, 10)] {
        let map = testing::map(MapType::Hash, 8, 8, 40_000, 0);
        fill(&map, STAY);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Comes and goes: keys above STAY.
                while !stop.load(Ordering::Relaxed) {
                    for n in STAY..STAY + 2000 {
                        map.update(&n.to_ne_bytes(), &n.to_ne_bytes()).unwrap();
                    }
                    for n in STAY..STAY + 2000 {
                        map.delete(&n.to_ne_bytes()).unwrap();
                    }
                }
            });
            let mut reader = MapReader::with_batch(map.try_clone().unwrap(), 512).unwrap();
            if keyed {
                reader.method = Method::Keyed;
            }
            for _ in 0..walks {
                let (seen, stats) = read(&mut reader);
                assert!(
                    seen.values().all(|&times| times == 1),
                    "a row was read twice"
                );
                if stats.complete {
                    assert!((0..STAY).all(|n| seen.contains_key(&n)), "a row was lost");
                } else {
                    assert!(keyed, "a walk by batches always comes around");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn evictions_while_walking_repeat_no_row_root() {
    let map = testing::map(MapType::LruHash, 8, 8, 2000, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (0..20_000_u64).cycle() {
                map.update(&n.to_ne_bytes(), &n.to_ne_bytes()).unwrap();
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut reader = MapReader::with_batch(map.try_clone().unwrap(), 64).unwrap();
        for _ in 0..200 {
            let (seen, _) = read(&mut reader);
            assert!(
                seen.values().all(|&times| times == 1),
                "a row was read twice"
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn odd_sizes_root() {
    let map = testing::map(MapType::Array, 4, 12, 10, libbpf_sys::BPF_F_MMAPABLE);
    map.update(&3_u32.to_ne_bytes(), &[7; 12]).unwrap();
    let mut found = Vec::new();
    MapReader::new(map)
        .unwrap()
        .walk(|batch| {
            assert_eq!((batch.value_size, batch.value_stride), (12, 16));
            found.extend(
                batch
                    .rows()
                    .map(|(_, value)| batch.per_cpu(value).flatten().copied().collect::<Vec<u8>>()),
            );
        })
        .unwrap();
    assert_eq!(found.len(), 10);
    assert_eq!(found[3], [7; 12]);
    assert_eq!(found[4], [0; 12]);
}

#[test]
fn what_cannot_be_walked_says_why_root() {
    for (kind, key_size, value_size, entries) in [
        (MapType::Queue, 0, 8, 8),
        (MapType::RingBuf, 0, 0, 4096),
        (MapType::PerfEventArray, 4, 4, 2),
    ] {
        let error =
            MapReader::new(testing::map(kind, key_size, value_size, entries, 0)).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, ReadError::Unreadable { .. })
                && text.starts_with("map `exporter_test` of type"),
            "{text}"
        );
    }
}

#[test]
fn readers_may_change_threads() {
    fn is_send<T: Send>() {}
    is_send::<MapReader>();
    is_send::<Map>();
}
