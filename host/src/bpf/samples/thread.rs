//! The thread that reads the buffers of one map into the table.
//!
//! **When it looks.** A ring buffer with something in it is ready for as long as there is: waiting
//! for it is enough. A perf buffer is ready for one look only (the kernel forgets that it woke
//! somebody once it has said so), and a full one takes no more samples, so it never becomes ready
//! again. So the order matters:
//!
//! 1. A buffer is registered with the epoll instance.
//! 2. Only then it is read, to where the kernel has written by then, whether it is ready or not. A
//!    sample that comes later finds the buffer registered and not full, and makes it ready: the
//!    kernel moves `data_head` first, then marks the buffer and wakes.
//! 3. After each wake-up the buffers that were ready are read to where the kernel has written
//!    *after* it said so.
//!
//! From then on no buffer can hold samples without being ready, as long as nobody else looks, and
//! nobody does: the loader never waits on its buffers, and starts a reader once the one before is
//! gone. What is left are moments that cannot be seen from here: the one before takes the last mark
//! with it while it is ending, or a CPU with a weak memory order shows the mark before the
//! position. So all perf buffers are read, ready or not, one second after the start or the last
//! wake-up, and again each second until that finds nothing. Then the thread sleeps without an end:
//! an idle host never wakes, and a buffer cannot stay full for longer than a second. Samples that
//! wake nobody (`BPF_RB_NO_WAKEUP`) are read at each walk.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::io::Errno;

use super::Shared;
use super::perf_reader::PerfReader;
use super::record::{Found, Left, SampleReader};
use super::ring_reader::RingReader;

/// From a wake-up to a look at all perf buffers.
const LOOK: Duration = Duration::from_secs(1);
/// Before a look at a record that is not complete yet.
const PAUSE: Duration = Duration::from_millis(1);
/// Records that are counted before a scrape gets its turn.
const CHUNK: usize = 1024;
/// Buffers that become ready at once.
const EVENTS: usize = 64;
/// Where others are numbers of CPUs, or 0 for a ring buffer.
const CONTROL: u64 = u64::MAX;
const RING: u64 = 0;

/// What the thread waits for. Buffers may be added from other threads.
#[derive(Debug)]
pub(super) struct Intake {
    epoll: OwnedFd,
    /// Registered, and not read yet.
    added: Mutex<Vec<(u64, Buffer)>>,
}

#[derive(Debug)]
pub(super) enum Buffer {
    Perf(PerfReader),
    Ring(RingReader),
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Pump {
    intake: Arc<Intake>,
    /// Has bytes when buffers have come, and is closed at the end.
    control: PipeReader,
    buffers: BTreeMap<u64, Buffer>,
}

impl Intake {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            added: Mutex::default(),
        })
    }

    pub(super) fn add_ring(&self, reader: RingReader) -> io::Result<()> {
        self.add(RING, Buffer::Ring(reader))
    }

    pub(super) fn add_cpu(&self, cpu: u32, reader: PerfReader) -> io::Result<()> {
        self.add(u64::from(cpu), Buffer::Perf(reader))
    }

    /// The thread takes it in when it is woken by the control pipe.
    fn add(&self, key: u64, buffer: Buffer) -> io::Result<()> {
        self.register(key, buffer.as_fd())?;
        self.added.lock().push((key, buffer));
        Ok(())
    }

    fn register(&self, key: u64, of: BorrowedFd<'_>) -> io::Result<()> {
        let data = epoll::EventData::new_u64(key);
        Ok(epoll::add(&self.epoll, of, data, epoll::EventFlags::IN)?)
    }

    /// A buffer that is dropped without this stays registered: others have its descriptor too.
    fn unregister(&self, buffer: &Buffer) {
        if let Err(error) = epoll::delete(&self.epoll, buffer) {
            tracing::debug!(%error, "a buffer was not registered");
        }
    }
}

impl Pump {
    pub(super) fn new(intake: Arc<Intake>, control: PipeReader) -> io::Result<Self> {
        intake.register(CONTROL, control.as_fd())?;
        Ok(Self {
            intake,
            control,
            buffers: BTreeMap::new(),
        })
    }

    /// Counts until the other end of the control pipe is closed.
    pub(super) fn run(mut self, shared: &Shared, map: &str) {
        let mut reader = Counting {
            shared,
            map,
            warned: false,
        };
        self.take_in(&mut reader);
        let mut look = self.look_after(Instant::now());
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        loop {
            let rest = look.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = rest.and_then(|rest| Timespec::try_from(rest).ok());
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.intake.epoll, room, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(map, %error, "cannot wait for samples: they are not counted any more");
                    return;
                }
            }
            let now = Instant::now();
            // Before the samples are counted: they belong to the time after it. A scrape sees to it
            // as well.
            shared.table.lock().flush_if_due(now);
            for event in &events {
                let (key, flags) = (event.data.u64(), event.flags);
                if key != CONTROL {
                    self.read_ready(key, flags, &mut reader);
                } else if self.is_stopped() {
                    return;
                } else {
                    let asked = shared.looks.lock().asked;
                    self.take_in(&mut reader);
                    self.read_all(&mut reader);
                    shared.looks.lock().done = asked;
                    shared.looked.notify_all();
                }
            }
            if look.is_some_and(|at| at <= now) {
                let found = self.read_all(&mut reader);
                look = found.then(|| self.look_after(now)).flatten();
            } else if !events.is_empty() {
                look = look.or_else(|| self.look_after(now));
            }
        }
    }

    /// None: all there is is a ring buffer.
    fn look_after(&self, now: Instant) -> Option<Instant> {
        let perf = |buffer: &Buffer| matches!(buffer, Buffer::Perf(_));
        self.buffers.values().any(perf).then(|| now + LOOK)
    }

    fn is_stopped(&mut self) -> bool {
        let mut bytes = [0; 64];
        match self.control.read(&mut bytes) {
            Ok(length) => length == 0,
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        }
    }

    /// Reads what has come for the first time: see 2. above.
    fn take_in(&mut self, reader: &mut Counting<'_>) {
        let added = std::mem::take(&mut *self.intake.added.lock());
        for (key, mut buffer) in added {
            // A CPU that has gone and come back: what it sent before comes first.
            if let Some(before) = self.buffers.remove(&key) {
                self.let_go(before, reader);
            }
            reader.read(&mut buffer);
            self.buffers.insert(key, buffer);
        }
    }

    fn read_ready(&mut self, key: u64, flags: epoll::EventFlags, reader: &mut Counting<'_>) {
        // One that is not known is still to be taken in, and is read then.
        let Some(buffer) = self.buffers.get_mut(&key) else {
            return;
        };
        reader.read(buffer);
        // The event is no more: its CPU has gone. It would be ready for ever.
        if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR)
            && let Some(buffer) = self.buffers.remove(&key)
        {
            self.let_go(buffer, reader);
        }
    }

    fn let_go(&self, mut buffer: Buffer, reader: &mut Counting<'_>) {
        self.intake.unregister(&buffer);
        reader.read(&mut buffer);
    }

    /// Whether there was anything.
    fn read_all(&mut self, reader: &mut Counting<'_>) -> bool {
        let mut found = false;
        for buffer in self.buffers.values_mut() {
            found |= reader.read(buffer);
        }
        found
    }
}

/// Where samples go.
struct Counting<'a> {
    shared: &'a Shared,
    map: &'a str,
    warned: bool,
}

impl Counting<'_> {
    /// Counts what is in a buffer by now. Whether there was anything.
    fn read(&mut self, buffer: &mut Buffer) -> bool {
        match buffer {
            Buffer::Perf(buffer) => self.read_from(buffer),
            Buffer::Ring(buffer) => self.read_from(buffer),
        }
    }

    fn read_from(&mut self, buffer: &mut impl SampleReader) -> bool {
        let until = buffer.written();
        let (mut found, mut damaged) = (false, false);
        loop {
            let mut table = self.shared.table.lock();
            let left = buffer.read(until, CHUNK, |record| {
                found = true;
                match record {
                    Found::Sample(sample) => table.count(sample),
                    Found::Lost(samples) => table.lose(samples),
                    Found::Damaged => {
                        damaged = true;
                        table.damaged();
                    }
                }
            });
            drop(table);
            match left {
                Left::More => {}
                Left::Nothing => break,
                Left::Unfinished => {
                    // It stays ready meanwhile.
                    thread::sleep(PAUSE);
                    break;
                }
            }
        }
        if damaged && !self.warned {
            self.warned = true;
            tracing::warn!(
                map = self.map,
                "a buffer held something that is no sample: its content was given up, those after it are counted"
            );
        }
        found
    }
}

impl AsFd for Buffer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Perf(reader) => reader.as_fd(),
            Self::Ring(reader) => reader.as_fd(),
        }
    }
}
