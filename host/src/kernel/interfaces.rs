//! Names of network interfaces by index, and the other way round, in the network namespace of the
//! calling thread.
//!
//! Nothing is remembered: an answer costs the kernel two microseconds, names are asked for of new
//! rows only, and this way a renamed interface is known by its new name at once.

use std::ffi::CStr;
use std::io;

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

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
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let any = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    Ok(name_to_index(any, name)?)
}

#[cfg(test)]
mod tests {
    use super::{interface_index, interface_name};

    #[test]
    fn the_loopback_interface_has_index_one() {
        assert_eq!(interface_name(1).as_deref(), Some("lo"));
        assert_eq!(interface_index("lo").ok(), Some(1));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(interface_name(0), None);
        assert_eq!(interface_name(u32::MAX), None);
        assert!(interface_index("nosuchif0").is_err());
    }
}
