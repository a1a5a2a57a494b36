//! The calls of libbpf that libbpf-rs does not offer, each behind a function that cannot be called
//! wrongly. The room's other `unsafe` is in map.rs (buffers whose sizes come from the map), perf.rs
//! (perf events), probe.rs (programs without an object), shared_memory.rs and mark.rs.

use std::ffi::CStr;
use std::ffi::OsStr;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

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

/// Has libbpf's lines handed to `receive`, on the thread that is inside libbpf. Not by libbpf-rs:
/// it panics, and so ends the process, at a line that is not UTF-8, as those about damaged objects
/// may be.
pub(super) fn print_to(receive: fn(PrintLevel, &str)) {
    let _ = PRINTER.set(receive);
    type Callback = unsafe extern "C" fn(u32, *const c_char, *mut c_void) -> c_int;
    #[expect(
        unsafe_code,
        reason = "libbpf's type names the C compiler's va_list, which differs between machines"
    )]
    // SAFETY: the two types differ in the last argument alone, which is passed as a pointer on
    // x86-64 and aarch64; a function pointer is as large as an optional one.
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
        // SAFETY: libbpf gives a format and the arguments that belong to it, valid during this
        // call.
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
    // SAFETY: `info` is valid for writes of `len` bytes; being all zero it asks for no further
    // buffers.
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

/// A map's type before loading. libbpf-rs 0.27 takes BPF_MAP_TYPE_CGRP_STORAGE for unknown on the
/// way from the number, so we go by the number.
pub(super) fn declared_map_type(map: &libbpf_rs::OpenMap<'_>) -> MapType {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand out the number")]
    // SAFETY: the pointer is that of a live map: `map` borrows it.
    map_type(unsafe { libbpf_sys::bpf_map__type(map.as_libbpf_object().as_ptr()) })
}

/// The definition of the maps in a map of maps; none of other maps.
pub(super) fn inner_map<'o>(map: &'o libbpf_rs::OpenMap<'_>) -> Option<libbpf_rs::OpenMap<'o>> {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand it out")]
    // SAFETY: the pointer is that of a live map: `map` borrows it, and the inner one lives as long.
    let inner = unsafe { libbpf_sys::bpf_map__inner_map(map.as_libbpf_object().as_ptr()).as_ref() };
    inner.map(libbpf_rs::OpenMap::new)
}

/// Where the object itself wants a map pinned (`LIBBPF_PIN_BY_NAME`).
pub(super) fn pin_path(map: &libbpf_rs::OpenMap<'_>) -> Option<PathBuf> {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand it out before loading")]
    // SAFETY: the pointer is that of a live map, which `map` borrows; it owns the text.
    unsafe {
        let path = libbpf_sys::bpf_map__pin_path(map.as_libbpf_object().as_ptr());
        let path = (!path.is_null()).then(|| CStr::from_ptr(path))?;
        Some(OsStr::from_bytes(path.to_bytes()).into())
    }
}

/// Has libbpf neither pin a map nor take up what is pinned in its place.
pub(super) fn forget_pin_path(map: &mut libbpf_rs::OpenMapMut<'_>) {
    #[expect(unsafe_code, reason = "libbpf-rs wants a path")]
    // SAFETY: the pointer is that of a live map, which is borrowed for this; null is no path.
    unsafe {
        libbpf_sys::bpf_map__set_pin_path(map.as_libbpf_object().as_ptr(), std::ptr::null());
    }
}

/// The BTF that the kernel has by this number. Needs CAP_SYS_ADMIN.
pub(super) fn kernel_btf(id: u32) -> io::Result<Vec<u8>> {
    #[expect(unsafe_code, reason = "libbpf-rs reads BTF of programs only")]
    // SAFETY: libbpf gives a BTF of its own or null; its bytes live until it is freed, and are
    // copied before.
    unsafe {
        let btf = libbpf_sys::btf__load_from_kernel_by_id(id);
        if btf.is_null() {
            return Err(io::Error::last_os_error());
        }
        let mut size = 0;
        let bytes = libbpf_sys::btf__raw_data(btf, &raw mut size).cast::<u8>();
        let copy = if bytes.is_null() {
            Err(io::Error::from_raw_os_error(libc::ENOMEM))
        } else {
            Ok(std::slice::from_raw_parts(bytes, size as usize).to_vec())
        };
        libbpf_sys::btf__free(btf);
        copy
    }
}

/// An object's own BTF; none if it has none.
pub(super) fn object_btf(object: &libbpf_rs::OpenObject) -> Option<Btf<'_>> {
    #[expect(unsafe_code, reason = "libbpf-rs does not hand out the reference")]
    // SAFETY: the pointer is that of a live object: `object` is borrowed for as long as the BTF
    // lives.
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

/// Whether programs of a kind can call a helper of the kernel.
pub(super) fn has_helper(kind: u32, helper: u32) -> bool {
    #[expect(unsafe_code, reason = "libbpf-rs does not offer it")]
    // SAFETY: no options are given; the call keeps nothing.
    let found = unsafe { libbpf_sys::libbpf_probe_bpf_helper(kind, helper, std::ptr::null()) };
    found == 1
}

/// Makes a program of a section that libbpf does not know one for tcx links. `attach_type`:
/// BPF_TCX_INGRESS or BPF_TCX_EGRESS.
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
