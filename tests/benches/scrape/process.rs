//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// CPU time of a process, all its threads together, those that have ended included.
pub(crate) fn cpu(pid: u32) -> Duration {
    // The kernel's name for a process' CPU clock (MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED): what clock_getcpuclockid(3) computes.
    let clock = (!i32::try_from(pid).unwrap() << 3) | 2;
    clock_time(clock)
}

/// CPU time of the calling thread.
pub(crate) fn own_cpu() -> Duration {
    clock_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock_time(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std has no CPU clocks")]
    // SAFETY: `time` is valid for writes of a timespec.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0, "the process runs");
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

/// Bytes of memory that are resident now.
pub(crate) fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// The most bytes that have been resident since `reset_peak`.
pub(crate) fn peak(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

pub(crate) fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

fn status(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kilobytes.unwrap().trim().parse::<u64>().unwrap() * 1024
}
