//! Reading files that others write: regular files alone, up to a limit, and never waiting. A named
//! pipe would wait for its writer, and a sparse file has more bytes than there is memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("expected a regular file")]
    NotRegular,
    #[error("it has {found} bytes, expected {limit} at most")]
    TooLarge { found: u64, limit: u64 },
}

impl FileError {
    /// There is no such file.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The bytes of a regular file, `limit` of them at most. A link is followed.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // Opening a device may do something to it: what is none is known before. The handle is looked
    // at again, since another file may have the path by then.
    if !path.metadata()?.is_file() {
        return Err(FileError::NotRegular);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from)?;
    let file = File::from(opened);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    let too_large = |found| Err(FileError::TooLarge { found, limit });
    if metadata.len() > limit {
        return too_large(metadata.len());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    // It may have grown meanwhile, and files of /proc have no length.
    if bytes.len() as u64 > limit {
        return too_large(bytes.len() as u64);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_up_to_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "four").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(read(&path(name), 4).unwrap(), b"four");
        }
        let error = read(&path("file"), 3).unwrap_err();
        assert_eq!(error.to_string(), "it has 4 bytes, expected 3 at most");
        assert!(read(&path("missing"), 3).unwrap_err().is_missing());
        // Without a length.
        assert!(
            !read(Path::new("/proc/self/stat"), 1 << 16)
                .unwrap()
                .is_empty()
        );
        assert!(read(Path::new("/proc/self/stat"), 4).is_err());
    }

    #[test]
    fn nothing_is_waited_for_and_nothing_huge_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(read(&pipe, 1), Err(FileError::NotRegular)));
        assert!(matches!(
            read(directory.path(), 1),
            Err(FileError::NotRegular)
        ));
        assert!(matches!(
            read(Path::new("/dev/zero"), 1),
            Err(FileError::NotRegular)
        ));
        let sparse = directory.path().join("sparse");
        File::create(&sparse).unwrap().set_len(3 << 30).unwrap();
        let error = read(&sparse, 1 << 20).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { found, .. } if found == 3 << 30));
    }
}
