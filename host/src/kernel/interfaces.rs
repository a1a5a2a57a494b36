//! Names of network interfaces by index, and the other way round, in the network namespace of the
//! calling thread.
//!
//! Nothing is remembered: an answer costs the kernel two microseconds, names are asked for of new
//! rows only, and this way a renamed interface is known by its new name at once.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// `None`: no interface has this index now. A name is whatever the administrator chose; bytes
/// outside UTF-8 become U+FFFD.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut buffer = [0_u8; libc::IF_NAMESIZE];
    #[expect(unsafe_code, reason = "rustix refuses names that are not UTF-8")]
    // SAFETY: the buffer has the IF_NAMESIZE bytes that if_indextoname may write, and outlives the
    // call.
    let found = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&buffer).ok()?;
    Some(name.to_string_lossy().into_owned())
}

/// The index of the interface of this name. Not from /sys/class/net, which shows the namespace that
/// it was mounted in.
pub(crate) fn interface_index(name: impl AsRef<OsStr>) -> io::Result<u32> {
    let name = CString::new(name.as_ref().as_bytes())?;
    #[expect(unsafe_code, reason = "rustix takes no names that are not UTF-8")]
    // SAFETY: the name ends with a zero byte and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// The names of the interfaces of this thread's network namespace.
pub(crate) fn interface_list() -> io::Result<Vec<OsString>> {
    const PATH: &str = "/proc/thread-self/net/dev";
    let text = fs::read(PATH).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot list the interfaces: {PATH}: {error}"),
        )
    })?;
    Ok(names(&text))
}

/// `  eth0: 1 2 …` below a head line; a name holds neither blanks nor colons.
fn names(text: &[u8]) -> Vec<OsString> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let end = line.iter().position(|byte| *byte == b':')?;
            let name = line.get(..end)?.trim_ascii_start();
            Some(OsString::from_vec(name.to_vec()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_index_one() {
        assert_eq!(interface_name(1).as_deref(), Some("lo"));
        assert_eq!(interface_index("lo").ok(), Some(1));
    }

    #[test]
    fn names_are_bytes() {
        let found = names(b"Inter-|  Receive\n face |bytes\n    lo: 1 2\nv\xff1:3 4\n");
        assert_eq!(found, ["lo".into(), OsString::from_vec(b"v\xff1".to_vec())]);
        assert!(interface_list().unwrap().iter().any(|name| name == "lo"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(interface_name(0), None);
        assert_eq!(interface_name(u32::MAX), None);
        let error = interface_index("nosuchif0").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert!(interface_index("a\0b").is_err());
    }
}
