//! Perf events, each of one CPU: those whose overflow runs a program, and those whose buffers
//! programs send samples through.

use std::io;
use std::mem;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

/// How often a perf event overflows, and thus runs its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    /// Never: the event only counts.
    Never,
    /// So many times a second.
    Frequency(u64),
    /// Every so many events.
    Period(u64),
}

/// Opens a perf event for all processes on one CPU, kernel and user space. It counts from the
/// start, and runs a program once one is attached.
pub(super) fn open_event(
    kind: u32,
    config: u64,
    sampling: Sampling,
    cpu: u32,
) -> io::Result<OwnedFd> {
    let mut attr = libbpf_sys::perf_event_attr {
        type_: kind,
        config,
        ..Default::default()
    };
    match sampling {
        Sampling::Never => {}
        Sampling::Frequency(hz) => {
            attr.__bindgen_anon_1.sample_freq = hz;
            attr.set_freq(1);
        }
        Sampling::Period(events) => attr.__bindgen_anon_1.sample_period = events,
    }
    open(attr, cpu)
}

/// Opens the event through which programs on one CPU send samples (bpf_perf_event_output). It takes
/// them from the start, once it has a buffer; each wakes who waits. It has no period, as libbpf's
/// has none: it never overflows.
pub(super) fn open_output(cpu: u32) -> io::Result<OwnedFd> {
    let mut attr = libbpf_sys::perf_event_attr {
        type_: libbpf_sys::PERF_TYPE_SOFTWARE,
        config: u64::from(libbpf_sys::PERF_COUNT_SW_BPF_OUTPUT),
        sample_type: u64::from(libbpf_sys::PERF_SAMPLE_RAW),
        ..Default::default()
    };
    attr.__bindgen_anon_2.wakeup_events = 1;
    open(attr, cpu)
}

fn open(mut attr: libbpf_sys::perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    attr.size = mem::size_of_val(&attr) as u32;
    let (pid, group) = (-1_i32, -1_i32);
    #[expect(
        unsafe_code,
        reason = "the C library has no wrapper for perf_event_open"
    )]
    // SAFETY: `attr` is valid for reads of the `size` bytes it says; all other arguments are plain
    // numbers. Nobody else owns the new descriptor.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attr,
            pid,
            cpu as i32,
            group,
            libc::c_ulong::from(libbpf_sys::PERF_FLAG_FD_CLOEXEC),
        );
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}
