//! The few system calls that std has no word for. (A crate for them would switch on features of libc, and the host be built twice.)

use std::ffi::{CStr, CString};
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::{fs, process};

/// A signal, by the number that the kernel knows it by.
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
pub(crate) const SIGINT: i32 = libc::SIGINT;
pub(crate) const SIGHUP: i32 = libc::SIGHUP;

/// Sends a signal to a child that has not been waited for: the id is still its own.
pub(crate) fn kill(child: &process::Child, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(child.id()).unwrap();
    #[expect(unsafe_code, reason = "std can only send SIGKILL")]
    // SAFETY: takes two numbers.
    let result = unsafe { libc::kill(pid, signal) };
    answer(result)
}

/// Moves this thread into a new network namespace.
pub(crate) fn unshare_network() -> io::Result<()> {
    #[expect(unsafe_code, reason = "std has no namespaces")]
    // SAFETY: takes a number. A network namespace changes nothing about memory or descriptors.
    let result = unsafe { libc::unshare(libc::CLONE_NEWNET) };
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
    // SAFETY: both strings have an end, and the pointer is to `length` bytes that live; nothing is written through any of them.
    let result = unsafe { libc::setxattr(file.as_ptr(), name.as_ptr(), data, length, 0) };
    answer(result)
}
