//! Arrays created with BPF_F_MMAPABLE: mapped once, read without a system call.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use libbpf_rs::MapType;

use super::Batch;
use super::Buffers;
use super::WalkStats;
use crate::bpf::map::Map;

/// The whole array in our address space, read-only.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<AtomicU64>,
    /// Length in words of 8 bytes.
    words: usize,
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
        #[expect(unsafe_code, reason = "mapping shared memory")]
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours; the kernel refuses lengths beyond the map's (rounded up to pages).
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            tracing::debug!(map = info.name, error = %std::io::Error::last_os_error(), "cannot map the array: reading it by batches");
            return None;
        }
        Some(Self {
            start: NonNull::new(address.cast())?,
            words: bytes / size_of::<u64>(),
            entries: info.max_entries,
            value_size: info.value_size,
            stride,
        })
    }

    fn words(&self) -> &[AtomicU64] {
        #[expect(unsafe_code, reason = "shared memory as a slice")]
        // SAFETY: the mapping is page-aligned, has `words` words, and lives as long as `self`. Programs write it meanwhile, which is what atomics are for; we never write.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.words)
        }
    }

    pub(super) fn walk(
        &self,
        buffers: &mut Buffers,
        visit: &mut impl FnMut(Batch<'_>),
    ) -> WalkStats {
        let mut first: u32 = 0;
        let chunk = buffers.capacity;
        for words in self
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
            visit(Batch {
                keys: &buffers.keys,
                values: &buffers.values,
                count,
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

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmapping what was mapped")]
        // SAFETY: this is the mapping made in `of`; no reference to it outlives `self`. A failure would leave it mapped, which harms nobody.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<u64>());
        }
    }
}

#[expect(
    unsafe_code,
    reason = "a pointer to shared memory is not Send by itself"
)]
// SAFETY: the mapping belongs to the process, not to a thread, and is only read, through atomics.
unsafe impl Send for Mapping {}
#[expect(
    unsafe_code,
    reason = "a pointer to shared memory is not Sync by itself"
)]
// SAFETY: as above.
unsafe impl Sync for Mapping {}
