//! What this kernel lets this process load: tried by loading the smallest program there is.

use std::ffi::CStr;
use std::io;
use std::mem;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use libbpf_sys as sys;

use super::errno;
use super::log;

/// A kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgramKind {
    SocketFilter,
    Kprobe,
    Tracepoint,
    RawTracepoint,
    TpBtf,
    Fentry,
    Lsm,
    Iterator,
    PerfEvent,
    Xdp,
    SchedCls,
    CgroupSkb,
}

/// What the kernel has to be told about a program besides its instructions.
struct Recipe {
    kind: sys::bpf_prog_type,
    attach: sys::bpf_attach_type,
    /// What in the kernel it is for, by name.
    target: Option<&'static CStr>,
}

/// Loads a program of this kind, and lets it go. The error is the kernel's.
pub(crate) fn probe_program(kind: ProgramKind) -> io::Result<()> {
    let (loaded, _log) = log::capture(|| load(&kind.recipe()));
    loaded.map(drop)
}

/// Whether this kernel attaches uprobes through uprobe.multi links (6.6 and newer), which need
/// CAP_BPF and CAP_PERFMON only. Asked once.
pub(crate) fn has_uprobe_multi() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| log::capture(probe_uprobe_multi).0.unwrap_or(false))
}

fn load(recipe: &Recipe) -> io::Result<OwnedFd> {
    // r0 = 0; exit
    let instructions = [
        sys::bpf_insn {
            code: (sys::BPF_ALU64 | sys::BPF_MOV | sys::BPF_K) as u8,
            ..Default::default()
        },
        sys::bpf_insn {
            code: (sys::BPF_JMP | sys::BPF_EXIT) as u8,
            ..Default::default()
        },
    ];
    let mut options = sys::bpf_prog_load_opts {
        expected_attach_type: recipe.attach,
        ..Default::default()
    };
    options.sz = mem::size_of_val(&options) as _;
    if let Some(target) = recipe.target {
        #[expect(unsafe_code, reason = "libbpf-rs does not offer it")]
        // SAFETY: `target` is a string with an end; libbpf keeps no pointer to it.
        let id = unsafe { sys::libbpf_find_vmlinux_btf_id(target.as_ptr(), recipe.attach) };
        options.attach_btf_id = errno::check(id)?.unsigned_abs();
    }
    #[expect(unsafe_code, reason = "libbpf-rs loads whole objects only")]
    // SAFETY: all pointers are to live values; the count is that of `instructions`. Nobody else
    // owns the new descriptor.
    unsafe {
        let fd = sys::bpf_prog_load(
            recipe.kind,
            std::ptr::null(),
            c"GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as _,
            &raw mut options,
        );
        Ok(OwnedFd::from_raw_fd(errno::check(fd)?))
    }
}

/// Tries to link a probe into a directory: EBADF means that the kernel knew what was asked of it,
/// EINVAL that it did not. libbpf does the same, but keeps the answer to itself.
fn probe_uprobe_multi() -> io::Result<bool> {
    let program = load(&Recipe {
        kind: sys::BPF_PROG_TYPE_KPROBE,
        attach: sys::BPF_TRACE_UPROBE_MULTI,
        target: None,
    })?;
    let offset: libc::c_ulong = 0;
    let mut options = sys::bpf_link_create_opts::default();
    options.sz = mem::size_of_val(&options) as _;
    options.__bindgen_anon_1.uprobe_multi = sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
        path: c"/".as_ptr(),
        offsets: &raw const offset,
        cnt: 1,
        ..Default::default()
    };
    #[expect(unsafe_code, reason = "libbpf-rs attaches programs of objects only")]
    // SAFETY: the options and what they point to live until the call returns. Nobody else owns the
    // new descriptor.
    let link = unsafe {
        let fd = sys::bpf_link_create(
            program.as_raw_fd(),
            -1,
            sys::BPF_TRACE_UPROBE_MULTI,
            &raw const options,
        );
        errno::check(fd).map(|fd| OwnedFd::from_raw_fd(fd))
    };
    Ok(link.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF)))
}

// === impl ProgramKind ===

impl ProgramKind {
    pub(crate) const ALL: [Self; 12] = [
        Self::RawTracepoint,
        Self::TpBtf,
        Self::PerfEvent,
        Self::Tracepoint,
        Self::Kprobe,
        Self::Fentry,
        Self::Lsm,
        Self::Iterator,
        Self::Xdp,
        Self::SchedCls,
        Self::CgroupSkb,
        Self::SocketFilter,
    ];

    /// As sections begin.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SocketFilter => "socket",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
            Self::RawTracepoint => "raw_tp",
            Self::TpBtf => "tp_btf",
            Self::Fentry => "fentry",
            Self::Lsm => "lsm",
            Self::Iterator => "iter",
            Self::PerfEvent => "perf_event",
            Self::Xdp => "xdp",
            Self::SchedCls => "tc",
            Self::CgroupSkb => "cgroup_skb",
        }
    }

    fn recipe(self) -> Recipe {
        let plain = |kind| Recipe {
            kind,
            attach: 0,
            target: None,
        };
        let in_kernel = |kind, attach, target| Recipe {
            kind,
            attach,
            target: Some(target),
        };
        match self {
            Self::SocketFilter => plain(sys::BPF_PROG_TYPE_SOCKET_FILTER),
            Self::Kprobe => plain(sys::BPF_PROG_TYPE_KPROBE),
            Self::Tracepoint => plain(sys::BPF_PROG_TYPE_TRACEPOINT),
            Self::RawTracepoint => plain(sys::BPF_PROG_TYPE_RAW_TRACEPOINT),
            Self::PerfEvent => plain(sys::BPF_PROG_TYPE_PERF_EVENT),
            Self::SchedCls => plain(sys::BPF_PROG_TYPE_SCHED_CLS),
            Self::Xdp => Recipe {
                attach: sys::BPF_XDP,
                ..plain(sys::BPF_PROG_TYPE_XDP)
            },
            Self::CgroupSkb => Recipe {
                attach: sys::BPF_CGROUP_INET_INGRESS,
                ..plain(sys::BPF_PROG_TYPE_CGROUP_SKB)
            },
            // All of these are in every kernel that has BTF.
            Self::TpBtf => in_kernel(
                sys::BPF_PROG_TYPE_TRACING,
                sys::BPF_TRACE_RAW_TP,
                c"sched_switch",
            ),
            Self::Fentry => in_kernel(
                sys::BPF_PROG_TYPE_TRACING,
                sys::BPF_TRACE_FENTRY,
                c"vfs_read",
            ),
            Self::Iterator => in_kernel(sys::BPF_PROG_TYPE_TRACING, sys::BPF_TRACE_ITER, c"task"),
            Self::Lsm => in_kernel(sys::BPF_PROG_TYPE_LSM, sys::BPF_LSM_MAC, c"file_open"),
        }
    }
}
