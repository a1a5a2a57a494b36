//! One entry a call, for maps without batches and for old kernels: first all keys, then their
//! values.
//!
//! "Next key" has a trap: when the key at the cursor is deleted meanwhile, hash maps start again
//! from the first bucket. So keys are collected first, each only once, and the collecting is given
//! up (and said so) when the map changes faster than it can be walked.

use std::hash::BuildHasher;
use std::io;

use hashbrown::HashTable;

use super::Buffers;
use super::WalkStats;
use crate::bpf::map::Map;
use crate::map_batch::MapBatch;

/// Steps beyond which collecting is given up: so many times max_entries, and some for small maps.
const STEPS_PER_ENTRY: usize = 4;
const STEPS_MORE: usize = 4096;

pub(super) fn walk(
    map: &Map,
    buffers: &mut Buffers,
    visit: &mut impl FnMut(MapBatch<'_>),
) -> io::Result<WalkStats> {
    let mut stats = WalkStats {
        by_key: true,
        ..WalkStats::default()
    };
    let keys = collect_keys(map, &mut stats)?;
    let (key_size, value_len) = (map.info().key_size, map.value_len());
    let mut filled = 0;
    for key in keys.chunks_exact(key_size) {
        let (Some(key_slot), Some(value_slot)) = (
            buffers
                .keys
                .get_mut(filled * key_size..(filled + 1) * key_size),
            buffers
                .values
                .get_mut(filled * value_len..(filled + 1) * value_len),
        ) else {
            break;
        };
        stats.calls += 1;
        match map.lookup_into(key, value_slot) {
            Ok(()) => {
                key_slot.copy_from_slice(key);
                filled += 1;
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => stats.vanished += 1,
            Err(error) => return Err(error),
        }
        if filled == buffers.capacity {
            visit(buffers.batch(map, filled));
            stats.entries += filled;
            filled = 0;
        }
    }
    if filled > 0 {
        visit(buffers.batch(map, filled));
        stats.entries += filled;
    }
    Ok(stats)
}

/// All keys, each once, in the kernel's order.
fn collect_keys(map: &Map, stats: &mut WalkStats) -> io::Result<Vec<u8>> {
    let size = map.info().key_size;
    let max_steps = map
        .info()
        .max_entries
        .saturating_mul(STEPS_PER_ENTRY)
        .saturating_add(STEPS_MORE);
    let hasher = foldhash::fast::RandomState::default();
    let mut keys: Vec<u8> = Vec::new();
    // Holds where each key starts in `keys`.
    let mut seen: HashTable<usize> = HashTable::new();
    let mut cursor = vec![0_u8; size];
    let mut next = vec![0_u8; size];
    for step in 0..max_steps {
        stats.calls += 1;
        let previous = (step > 0).then_some(cursor.as_slice());
        match map.next_key(previous, &mut next) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                stats.complete = true;
                break;
            }
            Err(error) => return Err(error),
        }
        let hash = hasher.hash_one(next.as_slice());
        let known = seen
            .find(hash, |&start| {
                keys.get(start..start + size) == Some(next.as_slice())
            })
            .is_some();
        if !known {
            let start = keys.len();
            keys.extend_from_slice(&next);
            let rehash =
                |&start: &usize| hasher.hash_one(keys.get(start..start + size).unwrap_or_default());
            seen.insert_unique(hash, start, rehash);
        }
        std::mem::swap(&mut cursor, &mut next);
    }
    Ok(keys)
}
