//! The system calls that libbpf-rs does not offer, each behind a function that cannot be called wrongly. All of the room's `unsafe` is here, in map.rs (buffers whose
//! sizes come from the map), in perf.rs (perf events), in shared_memory.rs and in mark.rs.

use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libbpf_rs::AsRawLibbpf as _;
use libbpf_rs::Link;
use libbpf_rs::MapType;
use libbpf_rs::OpenProgramMut;
use libbpf_rs::PrintLevel;
use libbpf_rs::ProgramMut;
use libbpf_rs::ProgramType;
use libbpf_rs::btf::Btf;

use super::errno;

/// Whether libbpf's debug lines are wanted. Formatting them costs milliseconds per object.
static DEBUG_LINES: AtomicBool = AtomicBool::new(false);
static PRINTER: OnceLock<fn(PrintLevel, &str)> = OnceLock::new();

/// Has libbpf's lines handed to `receive`, on the thread that is inside libbpf. Not by libbpf-rs: it panics, and so ends the process, at a line
/// that is not UTF-8, as those about damaged objects may be.
pub(super) fn print_to(receive: fn(PrintLevel, &str)) {
    let _ = PRINTER.set(receive);
    type Callback = unsafe extern "C" fn(u32, *const c_char, *mut c_void) -> c_int;
    #[expect(
        unsafe_code,
        reason = "libbpf's type names the C compiler's va_list, which differs between machines"
    )]
    // SAFETY: the two types differ in the last argument alone, which is passed as a pointer on x86-64 and aarch64; a function pointer is as
    // large as an optional one.
    let callback = unsafe { mem::transmute::<Callback, libbpf_sys::libbpf_print_fn_t>(print) };
    #[expect(unsafe_code, reason = "libbpf-rs offers only its own callback")]
    // SAFETY: the callback lives as long as the process, and libbpf may call it on any thread.
    unsafe {
        libbpf_sys::libbpf_set_print(callback);
    }
}

/// From now on debug lines too.
pub(super) fn print_debug_lines() {
    DEBUG_LINES.store(true, Ordering::Relaxed);
}

#[expect(unsafe_code, reason = "called from C")]
unsafe extern "C" fn print(level: u32, format: *const c_char, arguments: *mut c_void) -> c_int {
    let level = match level {
        libbpf_sys::LIBBPF_WARN => PrintLevel::Warn,
        libbpf_sys::LIBBPF_INFO => PrintLevel::Info,
        _ => PrintLevel::Debug,
    };
    if (level != PrintLevel::Debug || DEBUG_LINES.load(Ordering::Relaxed))
        && let Some(receive) = PRINTER.get()
    {
        // SAFETY: libbpf gives a format and the arguments that belong to it, valid during this call.
        if let Ok(line) = unsafe { vsprintf::vsprintf_raw(format, arguments) } {
            receive(level, &String::from_utf8_lossy(&line));
        }
    }
    0
}

/// What the kernel tells about a loaded program.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProgramInfo {
    pub(super) id: u32,
    pub(super) tag: [u8; 8],
    pub(super) run_time_ns: u64,
    pub(super) run_cnt: u64,
}

/// Needs no capability on kernel 6.1 and newer.
pub(super) fn program_info(fd: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = mem::size_of_val(&info) as u32;
    #[expect(
        unsafe_code,
        reason = "libbpf-rs has this only with all instructions and line infos copied out"
    )]
    // SAFETY: `info` is valid for writes of `len` bytes; being all zero it asks for no further buffers.
    let ret =
        unsafe { libbpf_sys::bpf_prog_get_info_by_fd(fd.as_raw_fd(), &raw mut info, &raw mut len) };
    errno::check(ret)?;
    Ok(ProgramInfo {
        id: info.id,
        tag: info.tag,
        run_time_ns: info.run_time_ns,
        run_cnt: info.run_cnt,
    })
}

/// A map's type before loading. libbpf-rs 0.27 takes BPF_MAP_TYPE_CGRP_STORAGE for unknown on the way from the number, so we go by the number.
pub(super) fn declared_map_type(map: &libbpf_rs::OpenMap<'_>) -> MapType {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand out the number")]
    // SAFETY: the pointer is that of a live map: `map` borrows it.
    map_type(unsafe { libbpf_sys::bpf_map__type(map.as_libbpf_object().as_ptr()) })
}

/// An object's own BTF; none if it has none.
pub(super) fn object_btf(object: &libbpf_rs::OpenObject) -> Option<Btf<'_>> {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand out the reference")]
    // SAFETY: the pointer is that of a live object: `object` is borrowed for as long as the BTF lives.
    let raw = unsafe { object.as_libbpf_object().as_ref() };
    Btf::from_bpf_object(raw).ok().flatten()
}

/// A map's type by its number, see [`declared_map_type`].
pub(super) fn map_type(number: u32) -> MapType {
    if number == libbpf_sys::BPF_MAP_TYPE_CGRP_STORAGE {
        MapType::CGrpStorage
    } else {
        MapType::from(number)
    }
}

/// A socket that hears what the kernel tells these multicast groups of a netlink protocol, one bit each. It does not block.
pub(super) fn netlink_listener(protocol: c_int, groups: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    #[expect(unsafe_code, reason = "std has no netlink sockets")]
    // SAFETY: no pointers are passed; the descriptor is new and nobody else's.
    let socket = unsafe {
        let socket = libc::socket(libc::AF_NETLINK, kind, protocol);
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(socket)
    };
    #[expect(unsafe_code, reason = "std has no netlink addresses")]
    // SAFETY: all zero is a valid sockaddr_nl: plain numbers.
    let mut address: libc::sockaddr_nl = unsafe { mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_groups = groups;
    #[expect(unsafe_code, reason = "std has no netlink addresses")]
    // SAFETY: the address is valid for reads of the length given.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            mem::size_of_val(&address) as u32,
        )
    };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// Blocks until something can be read of one of these, or the other end of a pipe is closed, or the time is over. Says of which.
pub(super) fn wait_for_either(
    descriptors: [BorrowedFd<'_>; 2],
    timeout: Option<Duration>,
) -> io::Result<[bool; 2]> {
    let milliseconds = timeout.map_or(-1, |timeout| {
        c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
    });
    let mut entries = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    #[expect(unsafe_code, reason = "std has no poll")]
    // SAFETY: there are as many entries as said, and the descriptors are open: they are borrowed.
    let ready = unsafe {
        libc::poll(
            entries.as_mut_ptr(),
            entries.len() as libc::nfds_t,
            milliseconds,
        )
    };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(entries.map(|entry| entry.revents != 0))
}

/// Makes a program of a section that libbpf does not know one for tcx links. `attach_type`: BPF_TCX_INGRESS or BPF_TCX_EGRESS.
pub(super) fn load_for_tcx(program: &mut OpenProgramMut<'_>, attach_type: u32) {
    program.set_prog_type(ProgramType::SchedCls);
    #[expect(unsafe_code, reason = "libbpf-rs has no word for these attach types")]
    // SAFETY: the pointer is that of a live program that is not loaded yet: `program` borrows it.
    let _ = unsafe {
        libbpf_sys::bpf_program__set_expected_attach_type(
            program.as_libbpf_object().as_ptr(),
            attach_type,
        )
    };
}

/// Attaches a program that [`load_for_tcx`] has prepared.
pub(super) fn attach_tcx(program: &ProgramMut<'_>, interface: i32) -> libbpf_rs::Result<Link> {
    #[expect(unsafe_code, reason = "libbpf-rs has no tcx links")]
    // SAFETY: the pointer is that of a live, loaded program; no options are given.
    let link = unsafe {
        libbpf_sys::bpf_program__attach_tcx(
            program.as_libbpf_object().as_ptr(),
            interface,
            std::ptr::null(),
        )
    };
    let Some(link) = std::ptr::NonNull::new(link) else {
        let errno = io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL);
        return Err(libbpf_rs::Error::from_raw_os_error(errno));
    };
    #[expect(unsafe_code, reason = "taking ownership of a new link")]
    // SAFETY: libbpf has just made it, and nobody else owns it.
    Ok(unsafe { Link::from_ptr(link) })
}

/// The interface's index in this thread's network namespace.
pub(super) fn interface_index(name: &str) -> io::Result<i32> {
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    #[expect(
        unsafe_code,
        reason = "/sys/class/net shows the namespace it was mounted in, not ours, and the standard library has no call"
    )]
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(index as i32)
    }
}

/// The other way round; `None` where there is no such interface any more.
pub(super) fn interface_name(index: u32) -> Option<String> {
    let mut name: [libc::c_char; libc::IF_NAMESIZE] = [0; libc::IF_NAMESIZE];
    #[expect(unsafe_code, reason = "see interface_index")]
    // SAFETY: `name` has the IF_NAMESIZE bytes that the call may write.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    let bytes = name.iter().map(|char| char.cast_unsigned());
    let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether this kernel attaches uprobes through uprobe.multi links (6.6 and newer), which need CAP_BPF and CAP_PERFMON only. Asked once.
pub(super) fn has_uprobe_multi() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| probe_uprobe_multi().unwrap_or(false))
}

/// Asks by trying to link a probe into a directory: EBADF means that the kernel knew what was asked of it, EINVAL that it did not.
fn probe_uprobe_multi() -> io::Result<bool> {
    let instructions = [
        libbpf_sys::bpf_insn {
            code: (libbpf_sys::BPF_ALU64 | libbpf_sys::BPF_MOV | libbpf_sys::BPF_K) as u8,
            ..Default::default()
        },
        libbpf_sys::bpf_insn {
            code: (libbpf_sys::BPF_JMP | libbpf_sys::BPF_EXIT) as u8,
            ..Default::default()
        },
    ];
    let mut load = libbpf_sys::bpf_prog_load_opts {
        expected_attach_type: libbpf_sys::BPF_TRACE_UPROBE_MULTI,
        ..Default::default()
    };
    load.sz = mem::size_of_val(&load) as _;
    #[expect(
        unsafe_code,
        reason = "libbpf probes for this too, but keeps the answer to itself"
    )]
    // SAFETY: all pointers are to live values; the count is that of `instructions`.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_KPROBE,
            std::ptr::null(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as _,
            &raw mut load,
        )
    };
    let fd = errno::check(fd)?;
    #[expect(unsafe_code, reason = "taking ownership of a new descriptor")]
    // SAFETY: the kernel has just returned this descriptor; nobody else owns it.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };

    let offset: libc::c_ulong = 0;
    let mut link = libbpf_sys::bpf_link_create_opts::default();
    link.sz = mem::size_of_val(&link) as _;
    link.__bindgen_anon_1.uprobe_multi =
        libbpf_sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
            path: c"/".as_ptr(),
            offsets: &raw const offset,
            cnt: 1,
            ..Default::default()
        };
    #[expect(unsafe_code, reason = "see above")]
    // SAFETY: `link` and what it points to live until the call returns.
    let ret = unsafe {
        libbpf_sys::bpf_link_create(
            program.as_raw_fd(),
            -1,
            libbpf_sys::BPF_TRACE_UPROBE_MULTI,
            &raw const link,
        )
    };
    match errno::check(ret) {
        Ok(fd) => {
            #[expect(unsafe_code, reason = "taking ownership of a new descriptor")]
            // SAFETY: the kernel has just returned this descriptor; nobody else owns it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
            Ok(false)
        }
        Err(error) => Ok(error.raw_os_error() == Some(libc::EBADF)),
    }
}
