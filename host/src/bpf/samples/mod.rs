//! Counting samples of a perf event array or a ring buffer: the first bytes of each are a key, and each adds 1 to its key's count.
//!
//! A thread of its own empties the buffers into a bounded table ([`table`]); [`SampleCounter::walk`] hands the table out as the same [`Batch`]es that maps give.
//! CPUs that come online later have no buffer in a perf event array: their samples are not seen. Samples for which a ring buffer has no room are known to the
//! program alone.

mod buffers;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use libbpf_rs::ErrorKind;
use libbpf_rs::MapCore as _;
use libbpf_rs::MapType;
use parking_lot::Mutex;

use self::buffers::Buffers;
use self::table::Table;
use super::object::LoadedObject;
use super::object::ObjectError;
use super::reader::Batch;
use super::reader::WalkStats;
use super::sys;
use crate::config::SampleMap;

/// After buffers that cannot be read.
const PAUSE: Duration = Duration::from_millis(100);
/// Rows handed out at a time.
const BATCH: usize = 4096;

/// How samples are counted.
#[derive(Debug, Clone)]
pub(crate) struct SampleOptions {
    pub(crate) through: SampleMap,
    /// Bytes at the beginning of each sample that are its key.
    pub(crate) key_size: usize,
    /// All counts start again at 0 this often.
    pub(crate) flush_interval: Duration,
    /// Different keys counted until then; samples with further ones are only counted as overflow.
    pub(crate) max_rows: usize,
    /// Pages of each CPU's buffer of a perf event array, a power of 2. Halved until the kernel grants it.
    pub(crate) pages: usize,
}

impl SampleOptions {
    /// As ebpf_exporter has it: 1024 pages a CPU.
    pub(crate) fn new(through: SampleMap, key_size: usize, flush_interval: Duration) -> Self {
        Self {
            through,
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
    /// Samples the kernel dropped because a buffer was full. None: a ring buffer, of which it says nothing.
    pub(crate) lost: Option<u64>,
    /// Samples shorter than a key.
    pub(crate) short: u64,
    /// Samples with a key that had no place in the table.
    pub(crate) overflowed: u64,
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

/// Counts the samples of one map until it is dropped.
#[derive(Debug)]
pub(crate) struct SampleCounter {
    map: String,
    shared: Arc<Shared>,
    /// The buffers until the thread has them.
    idle: Option<Buffers>,
    /// The thread, and what it ends with when it is closed.
    running: Option<(PipeWriter, JoinHandle<()>)>,
    pages: usize,
    /// Copied out of the table for a walk: whoever looks at the rows may take its time.
    keys: Vec<u8>,
    counts: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    key_size: usize,
}

impl SampleCounter {
    /// Opens the buffers; nothing empties them before `run`. Attach the programs after this: samples sent before have nowhere to go.
    pub(crate) fn open(
        object: &LoadedObject,
        map: &str,
        options: &SampleOptions,
    ) -> Result<Self, SampleError> {
        let name = || map.to_owned();
        let handle = object.map_handle(map)?;
        let (kind, wanted) = match options.through {
            SampleMap::PerfEventArray => (MapType::PerfEventArray, "PERF_EVENT_ARRAY"),
            SampleMap::Ringbuf => (MapType::RingBuf, "RINGBUF"),
        };
        if handle.map_type() != kind {
            return Err(SampleError::WrongMap {
                map: name(),
                found: handle.map_type(),
                field: options.through.field(),
                wanted,
            });
        }
        if options.key_size == 0 {
            return Err(SampleError::NoKey { map: name() });
        }
        let table = Table::new(
            options.key_size,
            options.max_rows,
            options.flush_interval,
            Instant::now(),
        );
        let shared = Arc::new(Shared {
            table: Mutex::new(table),
            key_size: options.key_size,
        });
        let opened = Buffers::open(options.through, handle, &shared, options.pages);
        let (buffers, pages) = opened.map_err(|reason| SampleError::Buffers {
            map: name(),
            reason,
        })?;
        if options.through == SampleMap::PerfEventArray && pages < options.pages {
            tracing::warn!(
                map,
                pages,
                wanted = options.pages,
                "the memlock limit allows smaller perf buffers only: more samples may be lost"
            );
        }
        Ok(Self {
            map: name(),
            shared,
            idle: Some(buffers),
            running: None,
            pages,
            keys: Vec::new(),
            counts: Vec::new(),
        })
    }

    /// Starts the thread that empties the buffers. It is not part of `open` since capabilities are dropped in between, and that takes a
    /// process with one thread.
    pub(crate) fn run(&mut self) -> Result<(), SampleError> {
        let Some(buffers) = self.idle.take() else {
            return Ok(());
        };
        let (shared, map) = (Arc::clone(&self.shared), self.map.clone());
        let started = io::pipe().and_then(|(stopped, stop)| {
            let thread = thread::Builder::new()
                .name("bpf-samples".to_owned())
                .spawn(move || poll(&buffers, &shared, &stopped, &map))?;
            Ok((stop, thread))
        });
        let running = started.map_err(|source| SampleError::Thread {
            map: self.map.clone(),
            source,
        })?;
        self.running = Some(running);
        Ok(())
    }

    /// Visits all rows: values are u64 counts.
    pub(crate) fn walk(&mut self, mut visit: impl FnMut(Batch<'_>)) -> WalkStats {
        let key_size = self.shared.key_size;
        self.shared
            .table
            .lock()
            .copy(Instant::now(), &mut self.keys, &mut self.counts);
        let mut entries = 0;
        let keys = self.keys.chunks(BATCH * key_size);
        for (keys, values) in keys.zip(self.counts.chunks(BATCH * size_of::<u64>())) {
            let count = keys.len() / key_size;
            visit(Batch {
                keys,
                values,
                count,
                key_size,
                value_size: 8,
                value_stride: 8,
                cpu_stride: 8,
            });
            entries += count;
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
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // It does not panic; and if it did, there is nothing left to do.
            let _ = thread.join();
        }
    }
}

/// The thread: until the other end of `stop` is closed. It sleeps while no samples come.
fn poll(buffers: &Buffers, shared: &Shared, stop: &PipeReader, map: &str) {
    let mut told = false;
    loop {
        let stopped = match sys::wait_for_either([buffers.ready(), stop.as_fd()], None) {
            Ok([_, stopped]) => stopped,
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        };
        if stopped {
            return;
        }
        // Before the samples are counted: they belong to the time after it. A scrape sees to it as well.
        shared.table.lock().flush_if_due(Instant::now());
        // All of them: perf events are ready for one look only, and that was taken above.
        match buffers.consume() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                if !told {
                    tracing::error!(map, %error, "cannot read the buffers: trying again");
                    told = true;
                }
                // Whatever it is, do not spin.
                thread::sleep(PAUSE);
            }
        }
    }
}
