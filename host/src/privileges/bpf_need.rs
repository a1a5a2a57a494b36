//! Whether a process without capabilities may read a map that it holds.

use caps::Capability::CAP_BPF;
use libbpf_sys::BPF_MAP_TYPE_ARRAY;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use super::drop::set_own;
use super::set::CapabilitySet;
use super::status::Privileges;

/// Whether the server has to keep CAP_BPF to read its maps: before Linux 5.19 wherever unprivileged
/// bpf(2) is disabled. Makes a small map and reads it with no capability in force, so what is in
/// force has to be what is permitted ([`super::raise`]), and stays so. It needs no CAP_BPF where
/// this process has none or cannot make a map: then there is nothing to be read.
///
/// Capabilities in force belong to a thread: this one's are gone for the moment, those of others
/// are not touched.
pub(crate) fn server_needs_cap_bpf() -> bool {
    let Ok(now) = Privileges::current() else {
        return false;
    };
    if !now.permitted.contains(CAP_BPF) {
        return false;
    }
    let Some(map) = small_map() else {
        return false;
    };
    // Permitted ones can always be put in force again, so there is no way to stay here.
    if set_own(CapabilitySet::EMPTY, now.permitted, now.inheritable).is_err() {
        return true;
    }
    let readable = lookup(&map);
    let back = set_own(now.effective, now.permitted, now.inheritable);
    back.is_err() || !readable
}

/// An array of one number.
fn small_map() -> Option<OwnedFd> {
    #[expect(
        unsafe_code,
        reason = "libbpf-rs makes maps with names only, which need more of the kernel"
    )]
    // SAFETY: neither a name nor options are given; the sizes are numbers. Nobody else owns the new
    // descriptor.
    unsafe {
        let map = libbpf_sys::bpf_map_create(BPF_MAP_TYPE_ARRAY, ptr::null(), 4, 8, 1, ptr::null());
        (map >= 0).then(|| OwnedFd::from_raw_fd(map))
    }
}

fn lookup(map: &OwnedFd) -> bool {
    let (key, mut value) = (0_u32, 0_u64);
    #[expect(unsafe_code, reason = "libbpf-rs asks for more about the map first")]
    // SAFETY: key and value have the sizes that the map was made with, and outlive the call.
    let result: c_int = unsafe {
        libbpf_sys::bpf_map_lookup_elem(
            map.as_raw_fd(),
            (&raw const key).cast(),
            (&raw mut value).cast(),
        )
    };
    result == 0
}
