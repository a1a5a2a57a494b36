//! The few system calls that std has no word for. (A crate for them would switch on features of
//! libc, and the host be built twice.)

use std::ffi::{CStr, CString};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use std::{fs, process};

/// A signal, by the number that the kernel knows it by.
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
pub(crate) const SIGINT: i32 = libc::SIGINT;
pub(crate) const SIGHUP: i32 = libc::SIGHUP;
pub(crate) const SIGKILL: i32 = libc::SIGKILL;
pub(crate) const SIGSTOP: i32 = libc::SIGSTOP;
pub(crate) const SIGCONT: i32 = libc::SIGCONT;

/// Sends a signal to a child that has not been waited for: the id is still its own.
pub(crate) fn kill(child: &process::Child, signal: i32) -> io::Result<()> {
    send(child.id(), signal)
}

/// Sends a signal to a process of a host that a test has started.
pub(crate) fn send(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).unwrap();
    assert!(pid > 1, "not to groups, and not to everybody");
    #[expect(unsafe_code, reason = "std can only send SIGKILL, and to children")]
    // SAFETY: takes two numbers.
    let result = unsafe { libc::kill(pid, signal) };
    answer(result)
}

/// CPU time of a process, all its threads together, those that have ended included. None: it has
/// ended.
pub(crate) fn process_time(pid: u32) -> Option<Duration> {
    // The kernel's name for a process' CPU clock (MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED): what
    // clock_getcpuclockid(3) computes.
    let clock = (!i32::try_from(pid).unwrap() << 3) | 2;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std has no CPU clocks")]
    // SAFETY: `time` is valid for writes of a timespec.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    answer(result).ok()?;
    let seconds = u64::try_from(time.tv_sec).unwrap();
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap()))
}

/// Moves this thread into a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    #[expect(unsafe_code, reason = "std has no namespaces")]
    // SAFETY: takes a number. A network namespace changes nothing about memory or descriptors.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    answer(result)
}

/// Moves this thread into a mount namespace of its own, from which nothing comes out.
pub(crate) fn unshare_mounts() -> io::Result<()> {
    let no_text = std::ptr::null();
    #[expect(unsafe_code, reason = "std has no namespaces")]
    // SAFETY: takes a number, and a path that lives for the call; the other texts may be null.
    let result = unsafe {
        match libc::unshare(libc::CLONE_NEWNS) {
            0 => libc::mount(
                no_text,
                c"/".as_ptr(),
                no_text,
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ),
            failed => failed,
        }
    };
    answer(result)
}

/// The C library's getpgid. Its answer is of no interest: it is the call that counts.
pub(crate) fn getpgid(pid: i32) {
    #[expect(unsafe_code, reason = "std has no process groups")]
    // SAFETY: takes a number.
    let _answer = unsafe { libc::getpgid(pid) };
}

/// How many connections may wait to be accepted.
pub(crate) fn set_backlog(listener: &TcpListener, connections: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "std chooses this number itself")]
    // SAFETY: takes a descriptor that the listener owns, and a number.
    let result = unsafe { libc::listen(listener.as_raw_fd(), connections) };
    answer(result)
}

/// The kernel's id of this thread.
pub(crate) fn thread_id() -> u32 {
    let own = fs::read_link("/proc/thread-self").unwrap();
    own.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Keeps this thread on the CPU that it is on.
pub(crate) fn stay_on_this_cpu() {
    #[expect(unsafe_code, reason = "std has no CPUs")]
    // SAFETY: the set is made of zeroes, as CPU_ZERO makes it, and is only read from by the kernel.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let cpu = usize::try_from(libc::sched_getcpu()).unwrap();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    answer(result).unwrap();
}

/// Gives this thread a name of any bytes: what bpf_get_current_comm sees.
pub(crate) fn set_command(name: &[u8]) {
    fs::write("/proc/thread-self/comm", name).unwrap();
}

fn answer(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets an extended attribute of a file.
pub(crate) fn set_xattr(file: &Path, name: &CStr, value: &[u8]) -> io::Result<()> {
    let file = CString::new(file.as_os_str().as_bytes())?;
    let (data, length) = (value.as_ptr().cast(), value.len());
    #[expect(unsafe_code, reason = "std has no extended attributes")]
    // SAFETY: both strings have an end, and the pointer is to `length` bytes that live; nothing is
    // written through any of them.
    let result = unsafe { libc::setxattr(file.as_ptr(), name.as_ptr(), data, length, 0) };
    answer(result)
}
