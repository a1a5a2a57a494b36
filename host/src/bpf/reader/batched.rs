//! Many entries a call: BPF_MAP_LOOKUP_BATCH with a cursor of our own.
//!
//! In hash maps the cursor is a bucket's number and a bucket is copied as a whole under its lock; a
//! key never changes buckets. So whatever is inserted, deleted or evicted meanwhile, no entry is
//! seen twice and none that stays is missed. In arrays the cursor is an index, and entries never go
//! away.

use std::io;

use super::Buffers;
use super::WalkStats;
use crate::bpf::errno::ENOTSUPP;
use crate::bpf::map::Map;
use crate::map_batch::MapBatch;

/// Hash maps hold some entries beyond max_entries: spare ones for each CPU, and LRU maps round up.
const SPARE: usize = 8192;

/// `None`: this map has no batches, and nothing has been visited.
pub(super) fn walk(
    map: &Map,
    buffers: &mut Buffers,
    visit: &mut impl FnMut(MapBatch<'_>),
) -> io::Result<Option<WalkStats>> {
    let mut stats = WalkStats {
        complete: true,
        ..WalkStats::default()
    };
    let (mut at, mut next) = (vec![0_u8; map.cursor_len()], vec![0_u8; map.cursor_len()]);
    let mut started = false;
    loop {
        let from = started.then_some(at.as_mut_slice());
        let capacity = buffers.capacity;
        let (count, verdict) = map.lookup_batch(
            from,
            &mut next,
            &mut buffers.keys,
            &mut buffers.values,
            capacity,
        );
        stats.calls += 1;
        let last = match verdict {
            Ok(()) => false,
            Err(error) => match error.raw_os_error() {
                // The last entries, perhaps none.
                Some(libc::ENOENT) => true,
                // The bucket at hand does not fit, nothing was copied: once more from the same
                // place, with more room.
                Some(libc::ENOSPC) => {
                    let max_capacity = map.info().max_entries.saturating_add(SPARE);
                    if capacity >= max_capacity {
                        return Err(error);
                    }
                    buffers.resize(map, capacity.saturating_mul(2).min(max_capacity));
                    continue;
                }
                Some(libc::EINTR) => continue,
                Some(libc::EINVAL | libc::EOPNOTSUPP | ENOTSUPP) if !started => return Ok(None),
                _ => return Err(error),
            },
        };
        if count > 0 {
            stats.entries += count;
            visit(buffers.batch(map, count));
        }
        if last {
            return Ok(Some(stats));
        }
        if count == 0 && started && at == next {
            return Err(io::Error::other("the kernel's cursor does not move on"));
        }
        std::mem::swap(&mut at, &mut next);
        started = true;
    }
}
