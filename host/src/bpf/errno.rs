//! Turning what libbpf and the kernel return into an [`io::Error`] with a readable text.

use std::error::Error;
use std::io;

/// The kernel's internal "operation not supported", which leaks out of some bpf() commands. Not in
/// any header of user space.
pub(super) const ENOTSUPP: i32 = 524;

/// `ret` of a libbpf function: negative error numbers.
pub(super) fn check(ret: i32) -> io::Result<i32> {
    if ret < 0 {
        Err(io::Error::from_raw_os_error(-ret))
    } else {
        Ok(ret)
    }
}

/// The error number at the root of an error of libbpf-rs, 0 if it has none.
pub(super) fn of(error: &libbpf_rs::Error) -> i32 {
    // `io::Error`s are hidden inside: only their text comes out. The number stands at its end.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text.rsplit_once("(os error ")
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// What an error number means. Covers libbpf's own numbers (4000 and up), which the C library does
/// not know.
pub(super) fn text(errno: i32) -> String {
    let own = match errno {
        0 => "unknown error",
        ENOTSUPP => "operation not supported by the kernel (ENOTSUPP)",
        4000 => "the ELF file cannot be read",
        4001 => "not a valid BPF object",
        4003 => "the object has the other byte order",
        4004 => "internal error of libbpf",
        4005 => "relocation failed",
        4006 | 4007 => "the kernel's verifier refused the program",
        4008 => "the program is too big",
        4010 => "the kernel does not support this type of program",
        _ => return io::Error::from_raw_os_error(errno).to_string(),
    };
    own.to_owned()
}

/// What opening a perf event takes where it was refused.
pub(super) fn perf_event_denied() -> &'static str {
    match std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid") {
        // Beyond the kernel's own values: a patch of Debian's and others'.
        Ok(level) if level.trim().parse().is_ok_and(|level: i32| level > 2) => {
            "it needs CAP_PERFMON, and CAP_SYS_ADMIN while kernel.perf_event_paranoid is above 2: set it to 2"
        }
        _ => "it needs CAP_PERFMON, or a lower kernel.perf_event_paranoid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_way_through_libbpf_rs() {
        let error = libbpf_rs::ObjectBuilder::default()
            .open_file("/nonexistent.bpf.o")
            .map(|_| ())
            .unwrap_err();
        assert_eq!(of(&error), libc::ENOENT);
        assert!(text(libc::ENOENT).starts_with("No such file"));
        assert!(text(4001).contains("not a valid BPF object"));
    }
}
