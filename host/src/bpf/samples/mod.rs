//! Counting samples of a perf event array: the first bytes of each are a key, and each adds 1 to its key's count.
//!
//! A thread of its own empties the per-CPU buffers into a bounded table ([`table`]); [`SampleCounter::walk`] hands the table out as the same [`Batch`]es that maps give.
//! CPUs that come online later have no buffer: their samples are not seen.

mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use libbpf_rs::ErrorKind;
use libbpf_rs::MapHandle;
use libbpf_rs::PerfBuffer;
use libbpf_rs::PerfBufferBuilder;
use parking_lot::Mutex;

use self::table::Table;
use super::errno;
use super::log;
use super::object::LoadedObject;
use super::object::ObjectError;
use super::reader::Batch;
use super::reader::WalkStats;
use super::sys;

/// After buffers that cannot be read.
const PAUSE: Duration = Duration::from_millis(100);
/// Rows handed out at a time.
const BATCH: usize = 4096;

/// How a perf event array is counted.
#[derive(Debug, Clone)]
pub(crate) struct SampleOptions {
    /// Bytes at the beginning of each sample that are its key.
    pub(crate) key_size: usize,
    /// All counts start again at 0 this often.
    pub(crate) flush_interval: Duration,
    /// Different keys counted until then; samples with further ones are only counted as overflow.
    pub(crate) max_rows: usize,
    /// Pages of each CPU's buffer, a power of 2. Halved until the kernel grants it.
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
    /// Samples the kernel dropped because a buffer was full.
    pub(crate) lost: u64,
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
        "map `{map}` is not a BPF_MAP_TYPE_PERF_EVENT_ARRAY: take `perf_event_array` out, or change the map"
    )]
    NotPerfEventArray { map: String },
    #[error("the labels of `{map}` have no bytes: samples need a key of at least one")]
    NoKey { map: String },
    #[error("cannot open the perf buffers of map `{map}`: {reason}")]
    Buffers { map: String, reason: String },
    #[error("cannot start the thread that reads map `{map}`: {source}")]
    Thread { map: String, source: io::Error },
}

/// Counts one perf event array until it is dropped.
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

#[derive(Debug)]
/// The buffers refer to the map by the number of this handle's descriptor, so it goes last.
struct Buffers {
    buffers: PerfBuffer<'static>,
    _map: MapHandle,
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
        if libbpf_rs::MapCore::map_type(&handle) != libbpf_rs::MapType::PerfEventArray {
            return Err(SampleError::NotPerfEventArray { map: name() });
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
        let (buffers, pages) =
            open(handle, &shared, options.pages).map_err(|reason| SampleError::Buffers {
                map: name(),
                reason,
            })?;
        if pages < options.pages {
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

/// Opens the buffers with as many pages as the memlock limits allow.
fn open(
    map: MapHandle,
    shared: &Arc<Shared>,
    mut pages: usize,
) -> Result<(Buffers, usize), String> {
    const FEWEST: usize = 8;
    loop {
        // Weak: libbpf-rs leaks the callbacks of buffers it could not open.
        let (on_sample, on_loss) = (Arc::downgrade(shared), Arc::downgrade(shared));
        let (built, said) = log::capture(|| {
            PerfBufferBuilder::new(&map)
                .pages(pages)
                .sample_cb(move |_cpu, sample: &[u8]| {
                    with_table(&on_sample, |table| table.count(sample))
                })
                .lost_cb(move |_cpu, count| with_table(&on_loss, |table| table.lose(count)))
                .build()
        });
        let error = match built {
            Ok(buffers) => return Ok((Buffers { buffers, _map: map }, pages)),
            Err(error) => errno::of(&error),
        };
        if pages <= FEWEST || !matches!(error, libc::EPERM | libc::ENOMEM) {
            let hint = match error {
                libc::EPERM | libc::EACCES => format!(": {}", errno::perf_event_denied()),
                _ => String::new(),
            };
            return Err(format!(
                "{}{hint}; libbpf says: {}",
                errno::text(error),
                said.summary()
            ));
        }
        pages /= 2;
    }
}

fn with_table(shared: &Weak<Shared>, act: impl FnOnce(&mut Table)) {
    if let Some(shared) = shared.upgrade() {
        act(&mut shared.table.lock());
    }
}

/// The thread: until the other end of `stop` is closed. It sleeps while no samples come.
fn poll(buffers: &Buffers, shared: &Shared, stop: &PipeReader, map: &str) {
    let mut told = false;
    #[expect(unsafe_code, reason = "libbpf-rs hands out the bare number")]
    // SAFETY: it is that of the buffers' epoll instance, which is open as long as they are.
    let samples = unsafe { BorrowedFd::borrow_raw(buffers.buffers.epoll_fd()) };
    loop {
        let stopped = match sys::wait_for_either([samples, stop.as_fd()], None) {
            Ok([_, stopped]) => stopped,
            Err(error) => error.kind() != io::ErrorKind::Interrupted,
        };
        if stopped {
            return;
        }
        // Before the samples are counted: they belong to the time after it. A scrape sees to it as well.
        shared.table.lock().flush_if_due(Instant::now());
        // All of them: perf events are ready for one look only, and that was taken above.
        match buffers.buffers.consume() {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                if !told {
                    tracing::error!(map, %error, "cannot read the perf buffers: trying again");
                    told = true;
                }
                // Whatever it is, do not spin.
                thread::sleep(PAUSE);
            }
        }
    }
}
