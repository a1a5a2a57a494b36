//! A program: how its object declares it, and in the kernel its id, tag and run statistics.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use super::sys;

/// How long a program has run, in nanoseconds, and how often, by a descriptor of it. 0 while
/// `kernel.bpf_stats_enabled` is 0. Needs no capability on kernel 6.1 and newer.
pub(crate) fn program_counts(program: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    sys::program_info(program).map(|info| (info.run_time_ns, info.run_cnt))
}

/// A program as the object declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramDecl {
    pub(crate) name: String,
    /// Without the `?` that turns loading off.
    pub(crate) section: String,
    /// `false`: declared with `SEC("?…")`.
    pub(crate) autoload: bool,
}

/// A program's descriptor and what never changes about it.
#[derive(Debug)]
pub(super) struct KernelProgram {
    fd: OwnedFd,
    pub(super) id: u32,
    /// 16 hexadecimal digits.
    pub(super) tag: String,
}

impl KernelProgram {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let info = sys::program_info(fd.as_fd())?;
        let tag = info.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            fd,
            id: info.id,
            tag,
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
