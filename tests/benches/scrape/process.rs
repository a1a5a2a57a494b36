//! What this process has used so far, as the kernel counts it. Of a host: see the harness' `tree`.

use std::time::Duration;

/// CPU time of the calling thread.
pub(crate) fn own_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std has no CPU clocks")]
    // SAFETY: `time` is valid for writes of a timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every thread has this clock");
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}
