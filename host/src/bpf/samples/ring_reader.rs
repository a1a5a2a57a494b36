//! The reading end of a ring buffer (BPF_MAP_TYPE_RINGBUF).
//!
//! The layout is the kernel's (kernel/bpf/ringbuf.c): a page with the consumer's position, which we
//! may write; a page with the producer's; then the records, each behind 8 bytes of which the first
//! 4 are its length and two bits. Positions only grow. libbpf's reader does the same loads in the
//! same order, but hands a record on before it is given back: one that ends the process would be
//! met again by the next.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use libbpf_rs::MapType;
use libbpf_sys::{BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ};

use super::record::{Copied, Found, Left, SampleReader};
use crate::bpf::map::Map;
use crate::bpf::shared_memory::{Access, SharedMemory};

const HEADER: u64 = BPF_RINGBUF_HDR_SZ as u64;
/// Records begin at multiples of it.
const ALIGNMENT: u64 = 8;

#[derive(Debug)]
pub(super) struct RingReader {
    map: OwnedFd,
    /// The page with the consumer's position.
    consumer: SharedMemory,
    /// The page with the producer's position, and the records.
    producer: SharedMemory,
    /// Words of one page.
    page: usize,
    copied: Copied,
}

impl RingReader {
    /// Maps a ring buffer. `wanted`: bytes of each sample that are looked at.
    pub(super) fn map(map: OwnedFd, wanted: usize) -> io::Result<Self> {
        let copy = map.try_clone()?;
        let known = Map::new(copy, "", false)?;
        let info = known.info();
        if info.kind != MapType::RingBuf {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "expected a ring buffer, found a map of the type {:?}",
                    info.kind
                ),
            ));
        }
        Self::map_sized(map, info.max_entries, wanted)
    }

    /// `size`: of the records' part, in bytes, a power of two.
    pub(super) fn map_sized(map: OwnedFd, size: usize, wanted: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let whole = page.checked_add(size).filter(|_| size.is_power_of_two());
        let whole = whole.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let consumer = SharedMemory::map(map.as_fd(), 0, page, Access::ReadAndWrite)?;
        // Once: the kernel lets it be mapped twice in a row, for readers that hand on what crosses
        // the end where it is. We copy.
        let producer = SharedMemory::map(map.as_fd(), page, whole, Access::Read)?;
        Ok(Self {
            map,
            consumer,
            producer,
            page: page / size_of::<u64>(),
            copied: Copied::new(wanted),
        })
    }
}

impl SampleReader for RingReader {
    fn written(&self) -> u64 {
        let position = self.producer.words().first();
        // Acquire: the headers of records up to there are at least marked as unfinished.
        position.map_or(0, |position| position.load(Ordering::Acquire))
    }

    fn read(&mut self, until: u64, many: usize, mut on: impl FnMut(Found<'_>)) -> Left {
        let (Some(consumed), Some(data), Some(headers)) = (
            self.consumer.words().first(),
            self.producer.words().get(self.page..),
            self.producer.half_words().get(self.page * 2..),
        ) else {
            return Left::Nothing;
        };
        let capacity = size_of_val(data) as u64;
        // Only readers move it.
        let mut position = consumed.load(Ordering::Relaxed);
        for _ in 0..many {
            if position == until {
                return Left::Nothing;
            }
            let left = until.wrapping_sub(position);
            let fits = left <= capacity && position.is_multiple_of(ALIGNMENT);
            let index = (position & capacity.wrapping_sub(1)) / size_of::<u32>() as u64;
            // Acquire: once the header says that a record is complete, it is.
            let header = headers.get(index as usize).filter(|_| fits);
            let header = header.map(|header| header.load(Ordering::Acquire));
            if header.is_some_and(|header| header & BPF_RINGBUF_BUSY_BIT != 0) {
                return Left::Unfinished;
            }
            let length = header.map(|header| header & !BPF_RINGBUF_DISCARD_BIT);
            let size =
                length.map(|length| (HEADER + u64::from(length)).next_multiple_of(ALIGNMENT));
            let (next, found) = match (header, length, size) {
                (Some(header), Some(length), Some(size)) if size <= left => {
                    let from = position.wrapping_add(HEADER);
                    let discarded = header & BPF_RINGBUF_DISCARD_BIT != 0;
                    let sample = (!discarded)
                        .then(|| Found::Sample(self.copied.copy(data, from, length as usize)));
                    (position.wrapping_add(size), sample)
                }
                _ => (until, Some(Found::Damaged)),
            };
            // Release: the copy is made before the kernel may write there.
            consumed.store(next, Ordering::Release);
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

impl AsFd for RingReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}
