//! Reading an open file from its start, wherever its position is: processes that share a descriptor
//! share the position, so none of them may rely on it or move it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(super) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> FromStart<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, offset: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn the_position_is_left_alone() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let mut text = String::new();
        FromStart::new(&file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "0123456789");
        assert_eq!(file.stream_position().unwrap(), 4);
    }
}
