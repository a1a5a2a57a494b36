//! Counting samples of a perf event array or a ring buffer: the first bytes of each are a key, and
//! each adds 1 to its key's count.
//!
//! Two parts, which share nothing but descriptors and may be different processes: [`PerfBuffers`]
//! opens and keeps the buffers of a perf event array; [`SampleCounter`] maps buffers, reads them in
//! a thread of its own ([`thread`]) into a bounded table ([`table`]), and hands the table out as
//! the same [`MapBatch`]es that maps give. It may end at any moment: another one goes on where it
//! was. Samples for which a ring buffer has no room are known to the program alone.

mod perf_buffers;
mod perf_reader;
mod record;
mod ring_reader;
mod table;
#[cfg(test)]
mod tests;
mod thread;

use std::io;
use std::io::PipeWriter;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use libbpf_rs::MapType;
use parking_lot::{Condvar, Mutex};

pub(crate) use self::perf_buffers::PerfBuffers;
pub(crate) use self::perf_buffers::check_sample_map;
use self::perf_reader::PerfReader;
use self::ring_reader::RingReader;
use self::table::Table;
use self::thread::Intake;
use self::thread::Pump;
use super::object::ObjectError;
use super::reader::WalkStats;
use crate::map_batch::MapBatch;

/// Rows handed out at a time.
const BATCH: usize = 4096;

/// How samples are counted.
#[derive(Debug, Clone)]
pub(crate) struct SampleOptions {
    /// Bytes at the beginning of each sample that are its key.
    pub(crate) key_size: usize,
    /// All counts start again at 0 this often.
    pub(crate) flush_interval: Duration,
    /// Different keys counted until then; samples with further ones are only counted as overflow.
    pub(crate) max_rows: usize,
    /// Pages of each CPU's buffer of a perf event array, a power of 2. Halved until the kernel
    /// grants it.
    pub(crate) pages: usize,
}

impl SampleOptions {
    /// As ebpf_exporter has it: 1024 pages a CPU.
    pub(crate) fn new(key_size: usize, flush_interval: Duration) -> Self {
        Self {
            key_size,
            flush_interval,
            max_rows: 65_536,
            pages: 1024,
        }
    }
}

/// What has happened since the start; flushes do not reset it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SampleStats {
    /// Samples counted under a key.
    pub(crate) counted: u64,
    /// Samples the kernel dropped because a buffer was full. None: a ring buffer, of which it says
    /// nothing.
    pub(crate) lost: Option<u64>,
    /// Samples shorter than a key.
    pub(crate) short: u64,
    /// Samples with a key that had no place in the table.
    pub(crate) overflowed: u64,
    /// Times that a buffer's content was given up since it was no sample.
    pub(crate) damaged: u64,
    /// Keys in the table now.
    pub(crate) rows: usize,
    /// Pages of each CPU's buffer that the kernel granted.
    pub(crate) pages: usize,
}

/// Why samples cannot be counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(
        "map `{map}` is of the type {found:?}, `{field}` wants a BPF_MAP_TYPE_{wanted}: take it out, or change the map"
    )]
    WrongMap {
        map: String,
        found: MapType,
        field: &'static str,
        wanted: &'static str,
    },
    #[error("the labels of `{map}` have no bytes: samples need a key of at least one")]
    NoKey { map: String },
    #[error("cannot open the buffers of map `{map}`: {reason}")]
    Buffers { map: String, reason: String },
    #[error("cannot start the thread that reads map `{map}`: {source}")]
    Thread { map: String, source: io::Error },
}

/// Where samples come from: descriptors, which the counter owns.
#[derive(Debug)]
pub(crate) enum SampleChannel {
    /// The events of [`PerfBuffers`].
    Perf {
        /// Of each buffer: [`PerfBuffers::pages`].
        pages: usize,
        /// By CPU.
        cpus: Vec<(u32, OwnedFd)>,
    },
    /// The map itself.
    Ring(OwnedFd),
}

impl SampleChannel {
    /// The descriptors of buffers that are open now, for a counter in this process. `map` is for
    /// messages.
    #[cfg(test)]
    pub(crate) fn of(buffers: &PerfBuffers, map: &str) -> Result<Self, SampleError> {
        let cpus = buffers
            .cpus()
            .map(|(cpu, buffer)| Ok((cpu, buffer.try_clone_to_owned()?)));
        let cpus: io::Result<Vec<_>> = cpus.collect();
        Ok(Self::Perf {
            pages: buffers.pages(),
            cpus: cpus.map_err(|source| SampleError::Buffers {
                map: map.to_owned(),
                reason: source.to_string(),
            })?,
        })
    }
}

/// Counts the samples of one map until it is dropped.
#[derive(Debug)]
pub(crate) struct SampleCounter {
    map: String,
    shared: Arc<Shared>,
    intake: Arc<Intake>,
    /// What the thread will run with.
    idle: Option<Pump>,
    /// Wakes the thread, and ends it when it is closed.
    control: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    /// Of each CPU's buffer; 0 for a ring buffer, which has the size that its object gave it.
    pages: usize,
    /// Copied out of the table for a walk: whoever looks at the rows may take its time.
    keys: Vec<u8>,
    counts: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    key_size: usize,
    looks: Mutex<Looks>,
    looked: Condvar,
}

/// Walks that want to see what is in the buffers as of now, and how many of them do.
#[derive(Debug, Default)]
struct Looks {
    asked: u64,
    done: u64,
}

/// How long a walk waits for what is in the buffers. What is not counted by then is seen by the
/// next one.
const MAX_LOOK: Duration = Duration::from_millis(500);

impl Shared {
    /// Counts what has come without waking the thread, as a program may send it. `control` wakes
    /// the thread.
    fn look_now(&self, mut control: &PipeWriter) {
        let wanted = {
            let mut looks = self.looks.lock();
            looks.asked += 1;
            looks.asked
        };
        if control.write_all(&[0]).is_err() {
            return;
        }
        let until = Instant::now() + MAX_LOOK;
        let mut looks = self.looks.lock();
        while looks.done < wanted {
            if self.looked.wait_until(&mut looks, until).timed_out() {
                return;
            }
        }
    }
}

impl SampleCounter {
    /// Maps the buffers; nothing empties them before `run`. `map` is for messages.
    pub(crate) fn open(
        map: &str,
        channel: SampleChannel,
        options: &SampleOptions,
    ) -> Result<Self, SampleError> {
        let failed = |source: io::Error| SampleError::Buffers {
            map: map.to_owned(),
            reason: source.to_string(),
        };
        let mut table = Table::new(
            options.key_size,
            options.max_rows,
            options.flush_interval,
            Instant::now(),
        );
        if matches!(channel, SampleChannel::Perf { .. }) {
            // From now on it is known: nothing so far.
            table.lose(0);
        }
        let intake = Arc::new(Intake::new().map_err(failed)?);
        let (woken, control) = io::pipe().map_err(failed)?;
        let pump = Pump::new(Arc::clone(&intake), woken).map_err(failed)?;
        let mut counter = Self {
            map: map.to_owned(),
            shared: Arc::new(Shared {
                table: Mutex::new(table),
                key_size: options.key_size,
                looks: Mutex::default(),
                looked: Condvar::new(),
            }),
            intake,
            idle: Some(pump),
            control: Some(control),
            thread: None,
            pages: 0,
            keys: Vec::new(),
            counts: Vec::new(),
        };
        match channel {
            SampleChannel::Perf { pages, cpus } => {
                counter.pages = pages;
                for (cpu, buffer) in cpus {
                    counter.take_cpu(cpu, buffer)?;
                }
            }
            SampleChannel::Ring(buffer) => {
                let reader = RingReader::map(buffer, options.key_size).map_err(failed)?;
                counter.intake.add_ring(reader).map_err(failed)?;
            }
        }
        Ok(counter)
    }

    /// Counts the samples of a CPU that has come, too.
    pub(crate) fn add_cpu(&self, cpu: u32, buffer: OwnedFd) -> Result<(), SampleError> {
        self.take_cpu(cpu, buffer)?;
        if let Some(mut control) = self.control.as_ref() {
            control
                .write_all(&[0])
                .map_err(|source| self.failed(cpu, &source))?;
        }
        Ok(())
    }

    fn take_cpu(&self, cpu: u32, buffer: OwnedFd) -> Result<(), SampleError> {
        PerfReader::map(buffer, self.pages, self.shared.key_size)
            .and_then(|reader| self.intake.add_cpu(cpu, reader))
            .map_err(|source| self.failed(cpu, &source))
    }

    fn failed(&self, cpu: u32, source: &io::Error) -> SampleError {
        SampleError::Buffers {
            map: self.map.clone(),
            reason: format!("CPU {cpu}, with {} pages: {source}", self.pages),
        }
    }

    /// Starts the thread that empties the buffers. It is not part of `open` since capabilities are
    /// dropped in between, and that takes a process with one thread.
    pub(crate) fn run(&mut self) -> Result<(), SampleError> {
        let Some(pump) = self.idle.take() else {
            return Ok(());
        };
        let (shared, map) = (Arc::clone(&self.shared), self.map.clone());
        let started = std::thread::Builder::new()
            .name("bpf-samples".to_owned())
            .spawn(move || pump.run(&shared, &map));
        self.thread = Some(started.map_err(|source| SampleError::Thread {
            map: self.map.clone(),
            source,
        })?);
        Ok(())
    }

    /// Visits all rows: values are u64 counts.
    pub(crate) fn walk(&mut self, mut visit: impl FnMut(MapBatch<'_>)) -> WalkStats {
        let key_size = self.shared.key_size;
        if let (Some(_), Some(control)) = (&self.thread, &self.control) {
            self.shared.look_now(control);
        }
        self.shared
            .table
            .lock()
            .copy(Instant::now(), &mut self.keys, &mut self.counts);
        let mut entries = 0;
        let keys = self.keys.chunks(BATCH * key_size);
        for (keys, values) in keys.zip(self.counts.chunks(BATCH * size_of::<u64>())) {
            visit(MapBatch {
                keys,
                values,
                key_size,
                value_size: 8,
                value_stride: 8,
                cpu_stride: 8,
            });
            entries += keys.len() / key_size;
        }
        WalkStats {
            entries,
            complete: true,
            ..WalkStats::default()
        }
    }

    pub(crate) fn stats(&self) -> SampleStats {
        SampleStats {
            pages: self.pages,
            ..self.shared.table.lock().stats()
        }
    }
}

impl Drop for SampleCounter {
    fn drop(&mut self) {
        self.control = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, there is nothing left to do.
            let _ = thread.join();
        }
    }
}
