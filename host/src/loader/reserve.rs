//! Descriptors that are kept back while a unit is loaded, so that a host whose limit is reached can
//! still talk, log and answer: units that fit run, the others say why.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// What the loader, the channel and the messages of one unit take.
const KEPT: usize = 32;

/// While it is there so many are left over.
pub(super) struct Reserve {
    _descriptors: Vec<OwnedFd>,
}

impl Reserve {
    /// `Err`: the limit of open files is reached.
    pub(super) fn take() -> io::Result<Self> {
        let first = OwnedFd::from(File::open("/dev/null")?);
        let mut all = Vec::with_capacity(KEPT);
        for _ in 1..KEPT {
            all.push(first.try_clone()?);
        }
        all.push(first);
        Ok(Self { _descriptors: all })
    }
}
