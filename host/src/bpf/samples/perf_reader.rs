//! The reading end of one CPU's perf buffer, in a mapping of its own beside that of
//! [`super::PerfBuffers`].
//!
//! The layout is the kernel's (linux/perf_event.h): a page with the positions `data_head`, which
//! the kernel moves, and `data_tail`, which the reader moves; then a power of two of pages with
//! records, which begin with their type and size. Positions only grow.

use std::io;
use std::mem::offset_of;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use libbpf_sys::perf_event_mmap_page;

use super::record::{Copied, Found, Left, SampleReader, word};
use crate::bpf::shared_memory::{Access, SharedMemory};

const WORD: u64 = size_of::<u64>() as u64;
/// `struct perf_event_header`
const HEADER: u64 = 8;
/// A sample's own size stands behind the header.
const SAMPLE_HEADER: u64 = HEADER + size_of::<u32>() as u64;
/// `struct { header; u64 id; u64 lost; }`
const LOST_AT: u64 = HEADER + WORD;

#[derive(Debug)]
pub(super) struct PerfReader {
    event: OwnedFd,
    memory: SharedMemory,
    /// Words of the page with the positions.
    page: usize,
    copied: Copied,
}

/// How long a mapping with so many pages of records is, in bytes. EINVAL: it cannot be.
pub(super) fn mapped_size(pages: usize) -> io::Result<usize> {
    let size = pages
        .is_power_of_two()
        .then(|| {
            pages
                .checked_add(1)?
                .checked_mul(rustix::param::page_size())
        })
        .flatten();
    size.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

impl PerfReader {
    /// Maps the buffer of an event, which has been mapped before with as many `pages`. `wanted`:
    /// bytes of each sample that are looked at.
    pub(super) fn map(event: OwnedFd, pages: usize, wanted: usize) -> io::Result<Self> {
        let size = mapped_size(pages)?;
        let memory = SharedMemory::map(event.as_fd(), 0, size, Access::ReadAndWrite)?;
        Ok(Self {
            event,
            memory,
            page: rustix::param::page_size() / size_of::<u64>(),
            copied: Copied::new(wanted),
        })
    }

    fn position(&self, offset: usize) -> Option<&AtomicU64> {
        self.memory.words().get(offset / size_of::<u64>())
    }
}

impl SampleReader for PerfReader {
    fn written(&self) -> u64 {
        let head = self.position(offset_of!(perf_event_mmap_page, data_head));
        // Acquire: the records up to there have been written before.
        head.map_or(0, |head| head.load(Ordering::Acquire))
    }

    fn read(&mut self, until: u64, many: usize, mut on: impl FnMut(Found<'_>)) -> Left {
        let words = self.memory.words();
        let tail = words.get(offset_of!(perf_event_mmap_page, data_tail) / size_of::<u64>());
        let (Some(tail), Some(data)) = (tail, words.get(self.page..)) else {
            return Left::Nothing;
        };
        // Only readers move it.
        let mut position = tail.load(Ordering::Relaxed);
        for _ in 0..many {
            if position == until {
                return Left::Nothing;
            }
            let record = Record::at(data, position, until.wrapping_sub(position));
            let (next, found) = match record {
                Some(Record { size, kind }) => {
                    let found = match kind {
                        Kind::Sample(length) => {
                            let from = position.wrapping_add(SAMPLE_HEADER);
                            Some(Found::Sample(self.copied.copy(data, from, length)))
                        }
                        Kind::Lost(samples) => Some(Found::Lost(samples)),
                        Kind::Other => None,
                    };
                    (position.wrapping_add(size), found)
                }
                None => (until, Some(Found::Damaged)),
            };
            // Release: the copy is made before the kernel may write there.
            tail.store(next, Ordering::Release);
            position = next;
            if let Some(found) = found {
                on(found);
            }
        }
        if position == until {
            Left::Nothing
        } else {
            Left::More
        }
    }
}

impl AsFd for PerfReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

struct Record {
    /// Bytes from this record to the next.
    size: u64,
    kind: Kind,
}

enum Kind {
    /// Of so many bytes.
    Sample(usize),
    Lost(u64),
    /// Nothing that this event is known to write.
    Other,
}

impl Record {
    /// The record at `position`, `left` bytes before the end of what is written. None: it cannot be
    /// one.
    #[inline]
    fn at(data: &[AtomicU64], position: u64, left: u64) -> Option<Self> {
        let capacity = size_of_val(data) as u64;
        if left > capacity || !position.is_multiple_of(WORD) {
            return None;
        }
        let load = |offset: u64| {
            let word = word(data, position.wrapping_add(offset) / WORD)?;
            Some(word.load(Ordering::Relaxed).to_ne_bytes())
        };
        let [t0, t1, t2, t3, _, _, s0, s1] = load(0)?;
        let size = u64::from(u16::from_ne_bytes([s0, s1]));
        if size < HEADER || size > left || !size.is_multiple_of(WORD) {
            return None;
        }
        let kind = match u32::from_ne_bytes([t0, t1, t2, t3]) {
            libbpf_sys::PERF_RECORD_SAMPLE => {
                let room = size.checked_sub(SAMPLE_HEADER)?;
                let [l0, l1, l2, l3, ..] = load(HEADER)?;
                let length = u32::from_ne_bytes([l0, l1, l2, l3]);
                Kind::Sample((u64::from(length) <= room).then_some(length as usize)?)
            }
            libbpf_sys::PERF_RECORD_LOST => {
                size.checked_sub(LOST_AT + WORD)?;
                Kind::Lost(u64::from_ne_bytes(load(LOST_AT)?))
            }
            _ => Kind::Other,
        };
        Some(Self { size, kind })
    }
}
