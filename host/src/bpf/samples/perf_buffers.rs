//! The loader's part in a perf event array: a perf event with a buffer for each CPU, in the map for
//! programs to write to.
//!
//! It opens them, keeps them mapped and never reads: whoever counts maps them a second time, and is
//! not the owner of what is in them. Since ours is the first mapping, the memory counts against
//! this process' limits, and what comes while nobody counts stays until somebody does.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};

use super::SampleError;
use super::perf_reader::mapped_size;
use crate::bpf::map::MapInfo;
use crate::bpf::shared_memory::{Access, SharedMemory};
use crate::bpf::{cpus, errno, perf};
use crate::kernel::read_text;
use crate::object_input::SampleMap;

/// Pages of a buffer below which it is not tried any more.
const MIN_PAGES: usize = 8;

/// The buffers of one perf event array, until it is dropped. What is in them is lost then, but for
/// who has mapped them too.
#[derive(Debug)]
pub(crate) struct PerfBuffers {
    pages: usize,
    cpus: BTreeMap<u32, CpuBuffer>,
    /// The kernel takes the buffers out when the descriptor that put them in is closed.
    map: MapHandle,
}

#[derive(Debug)]
struct CpuBuffer {
    event: OwnedFd,
    _memory: SharedMemory,
}

/// Why a CPU has no buffer.
#[derive(Debug)]
struct Refusal {
    cpu: u32,
    step: Step,
    source: io::Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Map,
    Put,
}

impl PerfBuffers {
    /// Gives each CPU that is online a buffer, with as many `pages`, a power of two, as the limits
    /// on locked memory allow: they are halved until the kernel grants them. Programs that are
    /// attached before this have nowhere to send samples to.
    pub(crate) fn open(map: MapHandle, pages: usize) -> Result<Self, SampleError> {
        let name = map.name().to_string_lossy().into_owned();
        let failed = |reason| SampleError::Buffers {
            map: name.clone(),
            reason,
        };
        let online = cpus::online().map_err(|error| failed(error.to_string()))?;
        let mut buffers = Self {
            pages: affordable(pages, online.len()),
            cpus: BTreeMap::new(),
            map,
        };
        while let Err(refusal) = buffers.open_all(&online) {
            if !refusal.is_about_memory() || buffers.pages <= MIN_PAGES {
                return Err(failed(refusal.to_string()));
            }
            buffers.close_all();
            buffers.pages /= 2;
        }
        if buffers.pages < pages {
            tracing::warn!(
                map = name,
                pages = buffers.pages,
                wanted = pages,
                "the memlock limit allows smaller perf buffers only: more samples may be lost"
            );
        }
        Ok(buffers)
    }

    /// Pages of each buffer, as they were granted; the page before them is not counted.
    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// The buffers, by CPU.
    pub(crate) fn cpus(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>)> {
        self.cpus
            .iter()
            .map(|(cpu, buffer)| (*cpu, buffer.event.as_fd()))
    }

    /// Opens buffers for CPUs that have come online since, and closes those of CPUs that have gone:
    /// their events do not come back with them. Gives the CPUs that have come, and why one of them
    /// has no buffer. It is tried again at the next call.
    pub(crate) fn follow_cpus(&mut self) -> Vec<(u32, Result<(), String>)> {
        match cpus::online() {
            Ok(online) => self.follow(&online),
            Err(error) => {
                tracing::debug!(%error, "it is not known which CPUs are online: their perf buffers stay");
                Vec::new()
            }
        }
    }

    pub(super) fn follow(&mut self, online: &[u32]) -> Vec<(u32, Result<(), String>)> {
        let Self { map, cpus, .. } = self;
        cpus.retain(|cpu, _| {
            let stays = online.contains(cpu);
            if !stays {
                take_out(map, *cpu);
            }
            stays
        });
        let mut added = Vec::new();
        for &cpu in online {
            if self.cpus.contains_key(&cpu) {
                continue;
            }
            match self.open_one(cpu) {
                Ok(true) => added.push((cpu, Ok(()))),
                Ok(false) => {}
                Err(refusal) => added.push((cpu, Err(refusal.to_string()))),
            }
        }
        added
    }

    fn open_all(&mut self, online: &[u32]) -> Result<(), Refusal> {
        for &cpu in online {
            self.open_one(cpu)?;
        }
        Ok(())
    }

    /// False: the CPU has none and needs none.
    fn open_one(&mut self, cpu: u32) -> Result<bool, Refusal> {
        // No program can send there.
        if cpu >= self.map.max_entries() {
            return Ok(false);
        }
        let refused = |step| move |source| Refusal { cpu, step, source };
        let event = match perf::open_output(cpu) {
            Ok(event) => event,
            // It went offline just now.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(false),
            Err(error) => return Err(refused(Step::Open)(error)),
        };
        let size = mapped_size(self.pages).map_err(refused(Step::Map))?;
        // For writing too: otherwise the kernel would write over what nobody has read.
        let memory = SharedMemory::map(event.as_fd(), 0, size, Access::ReadAndWrite)
            .map_err(refused(Step::Map))?;
        let value = event.as_raw_fd().to_ne_bytes();
        self.map
            .update(&cpu.to_ne_bytes(), &value, MapFlags::ANY)
            .map_err(|error| io::Error::from_raw_os_error(errno::of(&error)))
            .map_err(refused(Step::Put))?;
        let buffer = CpuBuffer {
            event,
            _memory: memory,
        };
        self.cpus.insert(cpu, buffer);
        Ok(true)
    }

    fn close_all(&mut self) {
        for cpu in self.cpus.keys() {
            take_out(&self.map, *cpu);
        }
        self.cpus.clear();
    }
}

impl Drop for PerfBuffers {
    fn drop(&mut self) {
        self.close_all();
    }
}

fn take_out(map: &MapHandle, cpu: u32) {
    if let Err(error) = map.delete(&cpu.to_ne_bytes()) {
        tracing::debug!(map = %map.name().display(), cpu, %error, "cannot take a perf buffer out of its map");
    }
}

/// As many of `pages`, a power of two, as leave room for the buffers of a successor: a version that
/// is replaced has its buffers until the next one has its own, and what was mapped with
/// CAP_IPC_LOCK counts against those who have it no more.
fn affordable(pages: usize, cpus: usize) -> usize {
    let Some(limit) = getrlimit(Resource::Memlock).current else {
        return pages;
    };
    let status = read_text("/proc/self/status").unwrap_or_default();
    let pinned = status.lines().find_map(|line| {
        let kibibytes = line.strip_prefix("VmPin:")?.trim().strip_suffix(" kB")?;
        kibibytes.trim().parse::<u64>().ok()
    });
    let left = limit.saturating_sub(pinned.unwrap_or(0).saturating_mul(1024)) / 2;
    let fits = |pages: usize| {
        let bytes = (pages + 1).saturating_mul(page_size()).saturating_mul(cpus);
        bytes as u64 <= left
    };
    let mut granted = pages;
    while granted > MIN_PAGES && !fits(granted) {
        granted /= 2;
    }
    granted
}

impl Refusal {
    /// Whether smaller buffers may be granted.
    fn is_about_memory(&self) -> bool {
        let errno = self.source.raw_os_error();
        self.step == Step::Map && matches!(errno, Some(libc::EPERM | libc::ENOMEM))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, step, source } = self;
        let what = match step {
            Step::Open => "cannot open its perf event",
            Step::Map => "cannot map its buffer",
            Step::Put => "cannot put its perf event into the map",
        };
        write!(text, "CPU {cpu}: {what}: {source}")?;
        let denied = matches!(source.raw_os_error(), Some(libc::EPERM | libc::EACCES));
        match step {
            Step::Open if denied => write!(text, ": {}", errno::perf_event_denied()),
            Step::Map if self.is_about_memory() => write!(
                text,
                ": raise the memlock limit, or kernel.perf_event_mlock_kb"
            ),
            _ => Ok(()),
        }
    }
}

/// Checks that the samples of a map can be counted this way.
pub(crate) fn check_sample_map(
    map: &MapInfo,
    through: SampleMap,
    key_size: usize,
) -> Result<(), SampleError> {
    let found = map.kind;
    let (kind, wanted, field) = match through {
        SampleMap::PerfEventArray => (
            MapType::PerfEventArray,
            "PERF_EVENT_ARRAY",
            "perf_event_array",
        ),
        SampleMap::Ringbuf => (MapType::RingBuf, "RINGBUF", "ringbuf"),
    };
    if found != kind {
        return Err(SampleError::WrongMap {
            map: map.name.clone(),
            found,
            field,
            wanted,
        });
    }
    if key_size == 0 {
        return Err(SampleError::NoKey {
            map: map.name.clone(),
        });
    }
    Ok(())
}
