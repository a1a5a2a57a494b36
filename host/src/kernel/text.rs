//! Files of /proc, /sys and /etc whose text holds names that somebody chose: mount points,
//! interfaces, commands, users. They are bytes and need not be UTF-8.

use std::fs;
use std::io;
use std::path::Path;

/// The whole file, with U+FFFD for bytes outside UTF-8.
pub(crate) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_outside_utf8_do_not_lose_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mounts");
        fs::write(&path, b"a /caf\xe9 b\nc\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a /caf\u{fffd} b\nc\n");
        assert!(read_text(directory.path().join("none")).is_err());
    }
}
