//! Arrays created with BPF_F_MMAPABLE: mapped once, read without a system call.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use libbpf_rs::MapType;

use super::Buffers;
use super::WalkStats;
use crate::bpf::map::Map;
use crate::bpf::shared_memory::Access;
use crate::bpf::shared_memory::SharedMemory;
use crate::map_batch::MapBatch;

/// The whole array in our address space, read-only.
#[derive(Debug)]
pub(super) struct Mapping {
    memory: SharedMemory,
    entries: usize,
    value_size: usize,
    /// Bytes from one entry to the next: the kernel pads them to 8.
    stride: usize,
}

impl Mapping {
    /// `None` if the map is of another kind, or cannot be mapped: then it is read by batches.
    pub(super) fn of(map: &Map) -> Option<Self> {
        let info = map.info();
        if info.kind != MapType::Array
            || info.flags & libbpf_sys::BPF_F_MMAPABLE == 0
            || info.key_size != size_of::<u32>()
        {
            return None;
        }
        let stride = info.value_size.next_multiple_of(8);
        let bytes = info
            .max_entries
            .checked_mul(stride)
            .filter(|&bytes| bytes > 0 && isize::try_from(bytes).is_ok())?;
        let memory = SharedMemory::map(map.as_fd(), 0, bytes, Access::Read)
            .inspect_err(|error| tracing::debug!(map = info.name, %error, "cannot map the array: reading it by batches"))
            .ok()?;
        Some(Self {
            memory,
            entries: info.max_entries,
            value_size: info.value_size,
            stride,
        })
    }

    pub(super) fn walk(
        &self,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(MapBatch<'_>),
    ) -> WalkStats {
        let mut first: u32 = 0;
        let chunk = buffers.capacity;
        for words in self
            .memory
            .words()
            .chunks(chunk.saturating_mul(self.stride / size_of::<u64>()))
        {
            let count = words.len() * size_of::<u64>() / self.stride;
            buffers.keys.clear();
            buffers.values.clear();
            for word in words {
                buffers
                    .values
                    .extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
            for index in first..first.saturating_add(count as u32) {
                buffers.keys.extend_from_slice(&index.to_ne_bytes());
            }
            visit(MapBatch {
                keys: &buffers.keys,
                values: &buffers.values,
                key_size: size_of::<u32>(),
                value_size: self.value_size,
                value_stride: self.stride,
                cpu_stride: self.stride,
            });
            first = first.saturating_add(count as u32);
        }
        WalkStats {
            entries: self.entries,
            complete: true,
            ..WalkStats::default()
        }
    }
}
