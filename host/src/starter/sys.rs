//! The system calls for which neither std nor rustix has a safe function, each behind one that
//! cannot be called wrongly. All of the room's `unsafe` is here.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::process::Pid;

use crate::signal_set::SignalSet;

/// What Ctrl-C, the end of a terminal and a supervisor send to a whole group. Every process but the
/// loader ignores them and ends by message or with the loader. SIGPIPE: std ignores it already, but
/// a program that embeds the host's library need not have.
const IGNORED: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE];

/// One of the two processes that fork(2) gives.
pub(super) enum Forked {
    Child,
    Parent(Pid),
}

/// fork(2). The caller has one thread: else locks of the others would be taken for ever in the
/// child.
pub(super) fn fork() -> io::Result<Forked> {
    #[expect(
        unsafe_code,
        reason = "no safe wrapper can know how many threads there are"
    )]
    // SAFETY: `start` refuses a process with more than one thread, and the starter never has a
    // second one. So no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::fork() };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        _ => Pid::from_raw(pid)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other("fork gave no process id")),
    }
}

/// Ends this process now: no destructor, no handler, no other thread has a say.
pub(super) fn exit_now(code: i32) -> ! {
    #[expect(
        unsafe_code,
        reason = "std::process::exit runs handlers of the C library"
    )]
    // SAFETY: takes a number and does not return.
    unsafe {
        libc::_exit(code)
    }
}

/// Closes all descriptors but 0, 1, 2 and `keep`, also those that belong to values of this process:
/// to be called in a forked process that goes on with `keep` alone and drops nothing that it got
/// from its parent.
pub(super) fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd().unsigned_abs())
        .chain([0, 1, 2])
        .collect();
    kept.sort_unstable();
    // Linux before 5.9, or a container's filter that does not know the call.
    close_gaps(&kept).or_else(|_| close_listed(&kept))
}

fn close_gaps(kept: &[u32]) -> io::Result<()> {
    let mut first: u32 = 0;
    for fd in kept {
        if *fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "no safe wrapper can know who uses the descriptors"
    )]
    // SAFETY: takes numbers only. Whoever owned the descriptors is not used in this process any
    // more, as `close_all_but` says.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

fn close_listed(kept: &[u32]) -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name()));
    let open: Vec<RawFd> = names
        .filter_map(|name: io::Result<_>| match name {
            Ok(name) => name.to_str()?.parse().ok().map(Ok),
            Err(error) => Some(Err(error)),
        })
        .collect::<io::Result<_>>()?;
    for fd in open {
        if !kept.contains(&fd.unsigned_abs()) {
            #[expect(
                unsafe_code,
                reason = "no safe wrapper can know who uses the descriptor"
            )]
            // SAFETY: takes a number only. As above; one is the directory's, closed already.
            unsafe {
                libc::close(fd);
            }
        }
    }
    Ok(())
}

/// Blocks what [`ignore_stop_signals`] is about, so that none comes between a fork and it. Gives
/// the mask of before, to be put back.
pub(super) fn block_stop_signals() -> io::Result<SignalSet> {
    SignalSet::of(&IGNORED).block()
}

/// Ignores [`IGNORED`] from now on; what is pending of them is forgotten. Processes forked later
/// ignore them too. SIGCHLD gets its default back: whoever started this program may have ignored
/// it, and then children would be gone without having been reaped.
pub(super) fn ignore_stop_signals() -> io::Result<()> {
    let dispositions = IGNORED.iter().map(|signal| (*signal, libc::SIG_IGN));
    for (signal, disposition) in dispositions.chain([(libc::SIGCHLD, libc::SIG_DFL)]) {
        #[expect(unsafe_code, reason = "neither std nor rustix sets dispositions")]
        // SAFETY: sets no function of ours.
        let before = unsafe { libc::signal(signal, disposition) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Lets every signal through: what a child starts with.
pub(super) fn unblock_all() -> io::Result<()> {
    SignalSet::of(&[]).set_as_mask().map(drop)
}

/// Becomes readable when a child ends: signalfd(2) of SIGCHLD, which is blocked from now on.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    let ended = SignalSet::of(&[libc::SIGCHLD]);
    ended.set_as_mask()?;
    ended.descriptor()
}

/// Waits until a child of this process has ended and gives its id without reaping it. None: there
/// are no children.
pub(super) fn ended_child() -> io::Result<Option<Pid>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    #[expect(unsafe_code, reason = "rustix' waitid does not tell the id")]
    // SAFETY: fills the structure, which is valid when zeroed, and si_pid is what waitid sets.
    let (result, pid) = unsafe {
        let options = libc::WEXITED | libc::WNOWAIT;
        let result = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options);
        (result, info.assume_init().si_pid())
    };
    if result == 0 {
        return Ok(Pid::from_raw(pid));
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ECHILD) {
        return Ok(None);
    }
    Err(error)
}
