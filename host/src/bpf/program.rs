//! A program that is in the kernel: its id, tag and run statistics.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use super::sys;

/// How much a program has run. The kernel counts only while `kernel.bpf_stats_enabled` is 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunStats {
    pub(crate) id: u32,
    /// The function's name, not cut to the kernel's 15 characters.
    pub(crate) name: String,
    pub(crate) run_time_ns: u64,
    pub(crate) run_cnt: u64,
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

    pub(super) fn run_stats(&self, name: &str) -> io::Result<RunStats> {
        let info = sys::program_info(self.fd.as_fd())?;
        Ok(RunStats {
            id: self.id,
            name: name.to_owned(),
            run_time_ns: info.run_time_ns,
            run_cnt: info.run_cnt,
        })
    }
}
