//! A server's end with its loader.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use rustix::io::{Errno, read};

use super::sys::exit_now;

/// Starts a thread that ends this process, with code 0, as soon as nobody holds the other end of
/// `lifeline` any more: the loader has let go of this server, or is gone. The thread does nothing
/// else and takes no message from the socket, so a server that hangs leaves too.
pub(crate) fn leave_with(lifeline: OwnedFd) -> io::Result<()> {
    let leave = move || {
        let mut byte = [0; 1];
        loop {
            match read(&lifeline, &mut byte) {
                // Nobody writes.
                Ok(1..) | Err(Errno::INTR) => {}
                Ok(0) | Err(_) => exit_now(0),
            }
        }
    };
    thread::Builder::new()
        .name("lifeline".to_owned())
        .spawn(leave)
        .map(drop)
}
