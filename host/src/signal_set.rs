//! Sets of signals: which are held back from a thread, a descriptor that tells of them, and which
//! end the process.
//!
//! Neither std nor rustix has them. All of this room's `unsafe` is here, behind functions that
//! cannot be called wrongly.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

/// Signals, or the mask of a thread.
pub(crate) struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// These; numbers that are no signals are left out.
    pub(crate) fn of(signals: &[libc::c_int]) -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        #[expect(unsafe_code, reason = "a set is made by the C library only")]
        // SAFETY: sigemptyset initialises the set that sigaddset adds to.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
            Self(set.assume_init())
        }
    }

    /// Holds these back from this thread, and from all that it starts, besides what is held back
    /// already. Gives the mask of before.
    pub(crate) fn block(&self) -> io::Result<Self> {
        self.change_mask(libc::SIG_BLOCK)
    }

    /// Lets these through to this thread. Gives the mask of before.
    pub(crate) fn unblock(&self) -> io::Result<Self> {
        self.change_mask(libc::SIG_UNBLOCK)
    }

    /// Holds these back and no others. Gives the mask of before.
    pub(crate) fn set_as_mask(&self) -> io::Result<Self> {
        self.change_mask(libc::SIG_SETMASK)
    }

    fn change_mask(&self, operation: libc::c_int) -> io::Result<Self> {
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        #[expect(unsafe_code, reason = "neither std nor rustix has signal masks")]
        // SAFETY: reads one initialised set and fills the other, which is a plain bit field.
        unsafe {
            match libc::pthread_sigmask(operation, &raw const self.0, before.as_mut_ptr()) {
                0 => Ok(Self(before.assume_init())),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    /// signalfd(2), which does not block: becomes readable when one of these comes that is held
    /// back.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        #[expect(unsafe_code, reason = "neither std nor rustix has signalfd")]
        // SAFETY: reads an initialised set; nobody else owns the new descriptor.
        unsafe {
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let fd = libc::signalfd(-1, &raw const self.0, flags);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(OwnedFd::from_raw_fd(fd))
        }
    }
}

/// From now on this signal, where it is let through, ends the process with exit code 0 and without
/// a word: also process 1, for which the kernel does nothing by itself.
pub(crate) fn exit_at(signal: libc::c_int) -> io::Result<()> {
    extern "C" fn exit(_signal: libc::c_int) {
        #[expect(unsafe_code, reason = "std's exit runs what must not run here")]
        // SAFETY: _exit(2) may be called in a signal handler.
        unsafe {
            libc::_exit(0)
        }
    }
    let handler: extern "C" fn(libc::c_int) = exit;
    handle(signal, handler as libc::sighandler_t)
}

/// The kernel's own way with a signal again.
pub(crate) fn by_default(signal: libc::c_int) -> io::Result<()> {
    handle(signal, libc::SIG_DFL)
}

fn handle(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    #[expect(unsafe_code, reason = "neither std nor rustix has signal handlers")]
    // SAFETY: takes a number and a function that may run at any moment.
    let before = unsafe { libc::signal(signal, handler) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
