//! Names of network interfaces by index, in this process' network namespace.
//!
//! Nothing is remembered: the answer costs the kernel two microseconds, is asked for new rows only, and this way a renamed interface is
//! known by its new name at once.

use std::ffi::CStr;

/// `None`: no interface has this index now. A name is whatever the administrator chose; bytes outside UTF-8 become U+FFFD.
pub(super) fn name(index: u32) -> Option<String> {
    let mut buffer = [0_u8; libc::IF_NAMESIZE];
    #[expect(
        unsafe_code,
        reason = "no safe wrapper of if_indextoname among our dependencies"
    )]
    // SAFETY: the buffer has the IF_NAMESIZE bytes that if_indextoname may write, and outlives the call.
    let found = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr().cast()) };
    if found.is_null() {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&buffer).ok()?;
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn the_loopback_interface_has_index_one() {
        assert_eq!(name(1).as_deref(), Some("lo"));
    }

    #[test]
    fn unknown_indexes_have_no_name() {
        assert_eq!(name(0), None);
        assert_eq!(name(u32::MAX), None);
    }
}
