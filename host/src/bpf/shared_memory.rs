//! Memory that the kernel shares with us: the pages of a map, a perf event or a ring buffer, mapped
//! until the value is dropped.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;

/// What the mapping may be used for. A store into one that is for reading ends the process
/// (SIGSEGV).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    ReadAndWrite,
}

/// A shared mapping of a descriptor, in whole words. It does not need the descriptor to stay open.
#[derive(Debug)]
pub(super) struct SharedMemory {
    start: NonNull<AtomicU64>,
    /// Length in words of 8 bytes.
    words: usize,
}

impl SharedMemory {
    /// Maps `bytes`, which are more than 0 and whole words, from `offset`, a multiple of the page
    /// size.
    ///
    /// The descriptor's memory must not become shorter, as a file's may: what is gone may not be
    /// touched (SIGBUS). That of maps and events does not.
    pub(super) fn map(
        of: BorrowedFd<'_>,
        offset: usize,
        bytes: usize,
        access: Access,
    ) -> io::Result<Self> {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        if bytes == 0 || !bytes.is_multiple_of(size_of::<u64>()) || isize::try_from(bytes).is_err()
        {
            return Err(invalid());
        }
        let offset = libc::off_t::try_from(offset).map_err(|_| invalid())?;
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadAndWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        #[expect(unsafe_code, reason = "mapping shared memory")]
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing of ours; the
        // kernel refuses lengths beyond what there is to map.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                of.as_raw_fd(),
                offset,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: NonNull::new(address.cast()).ok_or_else(invalid)?,
            words: bytes / size_of::<u64>(),
        })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        #[expect(unsafe_code, reason = "shared memory as a slice")]
        // SAFETY: the mapping is page-aligned, has `words` words, and lives as long as `self`.
        // Others write it meanwhile, which is what atomics are for.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr(), self.words)
        }
    }

    /// The same memory, for words that the kernel writes in halves.
    pub(super) fn half_words(&self) -> &[AtomicU32] {
        #[expect(unsafe_code, reason = "shared memory as a slice")]
        // SAFETY: as in `words`; each word is two halves, whose alignment is smaller.
        unsafe {
            std::slice::from_raw_parts(self.start.as_ptr().cast(), self.words * 2)
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "unmapping what was mapped")]
        // SAFETY: this is the mapping made in `map`; no reference to it outlives `self`. A failure
        // would leave it mapped, which harms nobody.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<u64>());
        }
    }
}

#[expect(
    unsafe_code,
    reason = "a pointer to shared memory is not Send by itself"
)]
// SAFETY: the mapping belongs to the process, not to a thread, and is only touched through atomics.
unsafe impl Send for SharedMemory {}
#[expect(
    unsafe_code,
    reason = "a pointer to shared memory is not Sync by itself"
)]
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}
