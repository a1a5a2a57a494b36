//! Standard error, written to without ever waiting: whoever reads the log may have stopped, and the
//! host goes on.
//!
//! There is no thread for it, as processes are forked and confined while they have one only. A line
//! that finds no room waits in a queue for the next one, or for `flush`.

use std::collections::VecDeque;
use std::io::{self, Write, stderr};
use std::os::fd::{AsFd, AsRawFd};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;

/// Bytes that wait at most.
const MAX_WAITING: usize = 128 << 10;

static QUEUE: Mutex<Queue> = Mutex::new(Queue::new());
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Lines that this process has dropped.
pub(crate) fn lines_dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Writes what waits, as far as there is room.
pub(crate) fn flush() {
    QUEUE.lock().write_out();
}

/// A pipe is opened anew, so that this process alone does not wait for it.
pub(super) fn prepare() {
    let is_pipe = fstat(stderr())
        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo);
    if !is_pipe {
        return;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    // Another user's pipe cannot be opened: then it is asked for room before each line.
    if let Ok(own) = open("/proc/self/fd/2", flags, Mode::empty()) {
        #[expect(unsafe_code, reason = "rustix replaces only descriptors that it owns")]
        // SAFETY: takes two numbers. Standard error stays open, and it stays what it was if this
        // fails.
        unsafe {
            libc::dup2(own.as_raw_fd(), libc::STDERR_FILENO);
        }
    }
}

/// One line of the log at a time.
#[derive(Debug, Default)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        QUEUE.lock().add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whose lines these are: a forked process has others.
    process: u32,
}

impl Queue {
    const fn new() -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            process: 0,
        }
    }

    fn add(&mut self, line: &[u8]) {
        let process = process::id();
        if self.process != process {
            *self = Self::new();
            self.process = process;
        }
        self.write_out();
        if self.bytes + line.len() > MAX_WAITING {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_vec());
        self.write_out();
    }

    fn write_out(&mut self) {
        while let Some(line) = self.lines.front_mut() {
            let written = match write_now(stderr().as_fd(), line) {
                Ok(written) => written,
                Err(Errno::AGAIN) => return,
                // Nobody will ever read it.
                Err(_) => {
                    DROPPED.fetch_add(1, Ordering::Relaxed);
                    line.len()
                }
            };
            self.bytes -= written;
            if written < line.len() {
                line.drain(..written);
            } else {
                self.lines.pop_front();
            }
        }
    }
}

/// Part of a line at least, if there is room for it.
fn write_now(out: impl AsFd, line: &[u8]) -> Result<usize, Errno> {
    let mut ready = [PollFd::new(&out, PollFlags::OUT)];
    if poll(&mut ready, Some(&Timespec::default()))? == 0 {
        return Err(Errno::AGAIN);
    }
    // A pipe that has room has it for so many bytes.
    let length = line.len().min(rustix::pipe::PIPE_BUF);
    loop {
        match rustix::io::write(&out, &line[..length]) {
            Err(Errno::INTR) => {}
            written => return written,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let line = [b'x'; 999];
        let mut written = 0;
        loop {
            match write_now(&writer, &line) {
                Ok(some) => written += some,
                Err(error) => {
                    assert_eq!(error, Errno::AGAIN);
                    break;
                }
            }
        }
        assert!(written > 4096);
        let mut reader = std::fs::File::from(reader);
        let mut bytes = vec![0; written];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(write_now(&writer, &line), Ok(999));
        drop(reader);
        assert_eq!(write_now(&writer, &line), Err(Errno::PIPE));
    }
}
