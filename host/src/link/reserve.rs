//! Descriptors that are kept back while others are opened, so that a process whose limit is reached
//! can still talk, log and answer: units that fit run, the others say why.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// While it is there so many are left over.
pub(crate) struct Reserve {
    _descriptors: Vec<OwnedFd>,
}

impl Reserve {
    /// Copies of `one`. `Err`: the limit of open files is reached.
    pub(crate) fn of(one: impl AsFd, count: usize) -> io::Result<Self> {
        let copies = (0..count).map(|_| one.as_fd().try_clone_to_owned());
        let _descriptors = copies.collect::<io::Result<_>>()?;
        Ok(Self { _descriptors })
    }
}
