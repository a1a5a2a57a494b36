//! The buffers that samples come through: those of a perf event array, one for each CPU, or a ring buffer.

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};

use libbpf_rs::{MapHandle, PerfBuffer, PerfBufferBuilder, RingBuffer, RingBufferBuilder};

use super::Shared;
use super::table::Table;
use crate::bpf::{errno, log};
use crate::config::SampleMap;

/// They refer to the map by the number of this handle's descriptor, so it goes last.
#[derive(Debug)]
pub(super) struct Buffers {
    buffers: Kind,
    _map: MapHandle,
}

#[derive(Debug)]
enum Kind {
    Perf(PerfBuffer<'static>),
    Ring(RingBuffer<'static>),
}

impl Buffers {
    /// Opens them with as many pages, up to `pages` for each CPU, as the memlock limits allow, and says with how many. A ring buffer has the size that its
    /// object gave it: 0 pages of ours.
    pub(super) fn open(
        through: SampleMap,
        map: MapHandle,
        shared: &Arc<Shared>,
        pages: usize,
    ) -> Result<(Self, usize), String> {
        let (buffers, pages) = match through {
            SampleMap::PerfEventArray => open_perf(&map, shared, pages)?,
            SampleMap::Ringbuf => (open_ring(&map, shared)?, 0),
        };
        Ok((Self { buffers, _map: map }, pages))
    }

    /// Becomes readable when there are samples.
    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        let epoll = match &self.buffers {
            Kind::Perf(buffers) => buffers.epoll_fd(),
            Kind::Ring(buffer) => buffer.epoll_fd(),
        };
        #[expect(unsafe_code, reason = "libbpf-rs hands out the bare number")]
        // SAFETY: it is that of the buffers' epoll instance, which is open as long as they are.
        unsafe {
            BorrowedFd::borrow_raw(epoll)
        }
    }

    /// Counts all samples that are there.
    pub(super) fn consume(&self) -> Result<(), libbpf_rs::Error> {
        match &self.buffers {
            Kind::Perf(buffers) => buffers.consume(),
            Kind::Ring(buffer) => buffer.consume(),
        }
    }
}

fn open_perf(
    map: &MapHandle,
    shared: &Arc<Shared>,
    mut pages: usize,
) -> Result<(Kind, usize), String> {
    const FEWEST: usize = 8;
    loop {
        // Weak: libbpf-rs leaks the callbacks of buffers it could not open.
        let (on_sample, on_loss) = (Arc::downgrade(shared), Arc::downgrade(shared));
        let (built, said) = log::capture(|| {
            PerfBufferBuilder::new(map)
                .pages(pages)
                .sample_cb(move |_cpu, sample: &[u8]| {
                    with_table(&on_sample, |table| table.count(sample))
                })
                .lost_cb(move |_cpu, count| with_table(&on_loss, |table| table.lose(count)))
                .build()
        });
        let error = match built {
            Ok(buffers) => {
                // From now on it is known: nothing so far.
                shared.table.lock().lose(0);
                return Ok((Kind::Perf(buffers), pages));
            }
            Err(error) => errno::of(&error),
        };
        if pages <= FEWEST || !matches!(error, libc::EPERM | libc::ENOMEM) {
            let hint = match error {
                libc::EPERM | libc::EACCES => format!(": {}", errno::perf_event_denied()),
                _ => String::new(),
            };
            return Err(why(error, &hint, &said));
        }
        pages /= 2;
    }
}

fn open_ring(map: &MapHandle, shared: &Arc<Shared>) -> Result<Kind, String> {
    let on_sample = Arc::downgrade(shared);
    let (built, said) = log::capture(|| {
        let mut builder = RingBufferBuilder::new();
        builder.add(map, move |sample: &[u8]| {
            with_table(&on_sample, |table| table.count(sample));
            // Go on.
            0
        })?;
        builder.build()
    });
    match built {
        Ok(buffer) => Ok(Kind::Ring(buffer)),
        Err(error) => Err(why(errno::of(&error), "", &said)),
    }
}

fn why(error: i32, hint: &str, said: &log::LibbpfLog) -> String {
    format!(
        "{}{hint}; libbpf says: {}",
        errno::text(error),
        said.summary()
    )
}

fn with_table(shared: &Weak<Shared>, act: impl FnOnce(&mut Table)) {
    if let Some(shared) = shared.upgrade() {
        act(&mut shared.table.lock());
    }
}
