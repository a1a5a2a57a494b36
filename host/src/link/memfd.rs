//! Sealed memfds: bytes in a file without a name that nobody can change any more, neither who
//! made it nor who gets it.
//!
//! Knows what it takes to trust a memfd of another process. Does not know what is in one.

use std::fs::File;
use std::io;
use std::io::Seek as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::io::Errno;
use rustix::io::retry_on_intr;

/// Without any one of these its bytes or its length could change after they were checked.
const SEALS: SealFlags = SealFlags::SEAL
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::WRITE);

/// The longest name in bytes; the kernel takes 249.
const MAX_NAME: usize = 200;

/// How long it may take until a memfd of our own can be sealed.
const MAX_BUSY: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// Why a memfd is not used. Is about this descriptor only.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemfdError {
    #[error("expected a sealed memfd, found another kind of file")]
    NoMemfd,
    #[error("expected a memfd with the seals {SEALS:?}, found {0:?}: it could still be changed")]
    NotSealed(SealFlags),
    #[error("expected a memfd of at most {limit} bytes, found {found}")]
    TooLarge { found: u64, limit: usize },
    #[error("cannot read a sealed memfd: {0}")]
    Read(#[from] io::Error),
}

/// A memfd with these bytes and all seals; it is at its beginning, is not executable where the
/// kernel can say so (Linux 6.3), and is closed on exec. `name` is shown in /proc/PID/fd only.
///
/// # Errors
///
/// What the kernel says: EMFILE when there are too many open files, EBUSY when its pages were held
/// for seconds.
pub(crate) fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let memfd = create(&short(name))?;
    let mut file = File::from(memfd);
    file.write_all(bytes)?;
    file.rewind()?;
    while_busy(MAX_BUSY, || rustix::fs::fcntl_add_seals(&file, SEALS))?;
    Ok(file.into())
}

/// The kernel refuses to seal a file while anything holds one of its pages, were it only to move
/// it: it waits 150 ms for that and then says EBUSY, though nobody else has the file.
fn while_busy(limit: Duration, mut seal: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    let end = Instant::now() + limit;
    loop {
        match seal() {
            Err(Errno::BUSY) if Instant::now() < end => thread::sleep(BUSY_PAUSE),
            result => return result,
        }
    }
}

fn create(name: &str) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // A kernel older than the flag.
        Err(Errno::INVAL) => Ok(rustix::fs::memfd_create(name, flags)?),
        result => Ok(result?),
    }
}

/// Without what the kernel would refuse.
fn short(name: &str) -> String {
    let mut short: String = name.chars().filter(|char| *char != '\0').collect();
    short.truncate(short.floor_char_boundary(MAX_NAME));
    short
}

/// The length in bytes of a memfd that nobody can change any more.
///
/// # Errors
///
/// It is another file, lacks a seal, or is larger than `limit` bytes.
pub(crate) fn check_sealed(fd: impl AsFd, limit: usize) -> Result<u64, MemfdError> {
    let fd = fd.as_fd();
    let seals = match rustix::fs::fcntl_get_seals(fd) {
        Ok(seals) => seals,
        Err(Errno::INVAL) => return Err(MemfdError::NoMemfd),
        Err(errno) => return Err(MemfdError::Read(errno.into())),
    };
    if !seals.contains(SEALS) {
        return Err(MemfdError::NotSealed(seals));
    }
    let size = rustix::fs::fstat(fd).map_err(io::Error::from)?.st_size;
    let found = u64::try_from(size).unwrap_or(u64::MAX);
    if usize::try_from(found).is_ok_and(|found| found <= limit) {
        Ok(found)
    } else {
        Err(MemfdError::TooLarge { found, limit })
    }
}

/// All bytes of a memfd that nobody can change any more. Does not move its offset, which may be
/// shared with other processes.
///
/// # Errors
///
/// Those of [`check_sealed`]; it cannot be read (it was opened for writing only, say), or there is
/// no memory for it.
pub(crate) fn read_sealed(fd: impl AsFd, limit: usize) -> Result<Vec<u8>, MemfdError> {
    let length = check_sealed(&fd, limit)?;
    let length = usize::try_from(length).unwrap_or(limit);
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length)
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    bytes.resize(length, 0);
    read_at_start(fd.as_fd(), &mut bytes)?;
    Ok(bytes)
}

fn read_at_start(fd: BorrowedFd<'_>, mut bytes: &mut [u8]) -> io::Result<()> {
    let mut offset = 0;
    while !bytes.is_empty() {
        let read = retry_on_intr(|| rustix::io::pread(fd, &mut *bytes, offset))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset += read as u64;
        bytes = &mut bytes[read..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8], seals: SealFlags) -> OwnedFd {
        let memfd =
            rustix::fs::memfd_create("plain", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)
                .unwrap();
        rustix::io::write(&memfd, bytes).unwrap();
        rustix::fs::fcntl_add_seals(&memfd, seals).unwrap();
        memfd
    }

    #[test]
    fn what_is_sealed_is_read_and_cannot_be_changed() {
        let memfd = sealed("a name \0", b"bytes").unwrap();
        assert_eq!(check_sealed(&memfd, 5).unwrap(), 5);
        assert_eq!(read_sealed(&memfd, 5).unwrap(), b"bytes");
        assert_eq!(read_sealed(&memfd, 5).unwrap(), b"bytes", "again");
        assert_eq!(rustix::io::write(&memfd, b"x"), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&memfd, 0), Err(Errno::PERM));
        assert!(
            rustix::io::fcntl_getfd(&memfd)
                .unwrap()
                .contains(rustix::io::FdFlags::CLOEXEC)
        );
        // By what reads from where the descriptor is.
        assert_eq!(io::read_to_string(File::from(memfd)).unwrap(), "bytes");
        assert_eq!(read_sealed(sealed("", b"").unwrap(), 0).unwrap(), b"");
        sealed(&"ü".repeat(300), b"").unwrap();
    }

    #[test]
    fn pages_that_are_held_for_a_moment_are_waited_for() {
        let mut answers = [Err(Errno::BUSY), Err(Errno::BUSY), Ok(())].into_iter();
        assert_eq!(while_busy(MAX_BUSY, || answers.next().unwrap()), Ok(()));
        let limit = Duration::from_millis(5);
        assert_eq!(while_busy(limit, || Err(Errno::BUSY)), Err(Errno::BUSY));
        let mut once = [Err(Errno::PERM)].into_iter();
        let refused = while_busy(MAX_BUSY, || once.next().unwrap());
        assert_eq!(refused, Err(Errno::PERM));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let error = read_sealed(sealed("", b"bytes").unwrap(), 4).unwrap_err();
        let text = "expected a memfd of at most 4 bytes, found 5";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn what_could_be_changed_is_refused() {
        for lacking in SEALS.iter() {
            let error = read_sealed(plain(b"bytes", SEALS - lacking), 10).unwrap_err();
            assert!(
                matches!(error, MemfdError::NotSealed(_)),
                "{lacking:?}: {error}"
            );
        }
        assert_eq!(read_sealed(plain(b"bytes", SEALS), 10).unwrap(), b"bytes");
    }

    #[test]
    fn other_files_are_refused() {
        let (pipe, _other_end) = io::pipe().unwrap();
        let file = File::open("/proc/self/status").unwrap();
        let (socket, _peer) = super::super::pair().unwrap();
        for fd in [pipe.as_fd(), file.as_fd(), socket.as_fd()] {
            assert!(matches!(read_sealed(fd, 10), Err(MemfdError::NoMemfd)));
        }
    }
}
