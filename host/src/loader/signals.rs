//! Signals, from the first moment on: they are held back in all threads and read from a descriptor
//! when it suits. So one that comes in the middle of a start ends it in order.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::signal_set::{self, SignalSet};

/// What the host does something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Terminate,
    Interrupt,
    Hangup,
}

impl Signal {
    const ALL: [(libc::c_int, Self); 3] = [
        (libc::SIGTERM, Self::Terminate),
        (libc::SIGINT, Self::Interrupt),
        (libc::SIGHUP, Self::Hangup),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
        }
    }
}

#[derive(Debug)]
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// Holds them back in this thread and in all that it starts: to be called while it is the only
    /// one.
    pub(super) fn hold() -> io::Result<Self> {
        let signals = SignalSet::of(&Signal::ALL.map(|(number, _)| number));
        signals.block()?;
        signals.descriptor().map(Self)
    }

    /// SIGTERM and SIGINT end the process at once for as long as what this gives is there: for the
    /// part of a start that has one thread and may wait for anything.
    pub(super) fn end_at_once(&self) -> io::Result<EndAtOnce> {
        for signal in EndAtOnce::SIGNALS {
            signal_set::exit_at(signal)?;
        }
        SignalSet::of(&EndAtOnce::SIGNALS).unblock()?;
        Ok(EndAtOnce)
    }

    /// The next one that has come, if there is one.
    pub(super) fn take(&self) -> Option<Signal> {
        /// signalfd(2): `ssi_signo` is the first field of 128 bytes.
        const LENGTH: usize = 128;
        let mut info = [0; LENGTH];
        loop {
            let number = match rustix::io::read(&self.0, &mut info) {
                Ok(LENGTH) => u32::from_ne_bytes([info[0], info[1], info[2], info[3]]),
                Err(rustix::io::Errno::INTR) => continue,
                _ => return None,
            };
            let known = Signal::ALL
                .iter()
                .find(|(known, _)| known.unsigned_abs() == number);
            if let Some((_, signal)) = known {
                return Some(*signal);
            }
        }
    }
}

/// See `Signals::end_at_once`.
pub(super) struct EndAtOnce;

impl EndAtOnce {
    const SIGNALS: [libc::c_int; 2] = [libc::SIGTERM, libc::SIGINT];
}

impl Drop for EndAtOnce {
    fn drop(&mut self) {
        // Neither fails for a signal that there is.
        let _ = SignalSet::of(&Self::SIGNALS).block();
        for signal in Self::SIGNALS {
            let _ = signal_set::by_default(signal);
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
