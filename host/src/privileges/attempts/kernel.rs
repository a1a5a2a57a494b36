//! The kernel's own code, BPF and perf events.

use super::{ALL, On, SERVER, Try, call, call_for_descriptor};

/// `struct bpf_insn` twice: "return 0".
static PROGRAM: [u64; 2] = [0xb7, 0x95];
static LICENSE: &[u8] = b"GPL\0";

/// From linux/perf_event.h: stops an event, for everybody.
const PERF_EVENT_IOC_DISABLE: usize = 0x2401;

pub(super) const TRIES: &[Try] = &[
    Try {
        what: "look for keys",
        on: On::Nothing,
        of: ALL,
        how: || {
            let (get_id, of_process) = (0, libc::KEY_SPEC_PROCESS_KEYRING as usize);
            call(libc::SYS_keyctl, [get_id, of_process, 0]).map(drop)
        },
    },
    Try {
        what: "type into a terminal",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_ioctl, [usize::MAX, libc::TIOCSTI as usize]).map(drop),
    },
    Try {
        what: "load a kernel module",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_finit_module, [usize::MAX, 0, 0]).map(drop),
    },
    Try {
        what: "load another kernel",
        on: On::Nothing,
        of: ALL,
        how: || call(libc::SYS_kexec_file_load, [usize::MAX, usize::MAX, 0]).map(drop),
    },
    Try {
        what: "create a BPF map",
        on: On::Real,
        of: SERVER,
        how: || {
            let array = libbpf_sys::BPF_MAP_TYPE_ARRAY;
            // Type, bytes of a key, of a value, entries.
            bpf(libbpf_sys::BPF_MAP_CREATE, &[pair(array, 4), pair(8, 1)])
        },
    },
    Try {
        what: "load a BPF program",
        on: On::Real,
        of: SERVER,
        how: || {
            let filter = libbpf_sys::BPF_PROG_TYPE_SOCKET_FILTER;
            let attributes = [
                pair(filter, 2),
                PROGRAM.as_ptr() as u64,
                LICENSE.as_ptr() as u64,
            ];
            bpf(libbpf_sys::BPF_PROG_LOAD, &attributes)
        },
    },
    Try {
        what: "change a BPF map",
        on: On::Nothing,
        of: SERVER,
        how: || {
            bpf(
                libbpf_sys::BPF_MAP_UPDATE_ELEM,
                &[pair(u32::MAX, 0), 0, 0, 0],
            )
        },
    },
    Try {
        what: "find BPF maps of others",
        on: On::Nothing,
        of: SERVER,
        how: || bpf(libbpf_sys::BPF_MAP_GET_FD_BY_ID, &[pair(u32::MAX, 0)]),
    },
    Try {
        what: "open a perf event",
        on: On::Nothing,
        of: SERVER,
        how: || call(libc::SYS_perf_event_open, [0, 0, usize::MAX, usize::MAX]).map(drop),
    },
    Try {
        what: "stop a perf event",
        on: On::Nothing,
        of: SERVER,
        how: || call(libc::SYS_ioctl, [usize::MAX, PERF_EVENT_IOC_DISABLE]).map(drop),
    },
];

/// bpf(2); a descriptor that it gives is closed.
fn bpf(command: u32, attributes: &[u64]) -> std::io::Result<()> {
    let bytes = std::mem::size_of_val(attributes);
    let arguments = [command as usize, attributes.as_ptr() as usize, bytes];
    call_for_descriptor(libc::SYS_bpf, arguments)
}

/// Two neighbouring fields of 32 bits.
fn pair(first: u32, second: u32) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}
