//! Which system calls are refused whatever their arguments are, by what they are for.

use libc::c_long;

use crate::privileges::process::Process;

// Younger than the `libc` crate's lists; their numbers are the same on all architectures that the
// host runs on.
/// Linux 6.6.
const SYS_FCHMODAT2: c_long = 452;
/// Linux 6.13.
const SYS_SETXATTRAT: c_long = 463;
/// Linux 6.13.
const SYS_REMOVEXATTRAT: c_long = 466;
/// Linux 6.15.
const SYS_OPEN_TREE_ATTR: c_long = 467;
/// Linux 6.17.
const SYS_FILE_SETATTR: c_long = 469;

/// Of nobody's use.
pub(super) const REFUSED: &[c_long] = &[
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_mknodat,
    SYS_OPEN_TREE_ATTR,
    // The kernel's own code, and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Other users and more privilege.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_personality,
    // Large parts of the kernel that nothing here uses and exploits like.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

#[cfg(target_arch = "x86_64")]
pub(super) const REFUSED_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const REFUSED_HERE: &[c_long] = &[];

/// Giving capabilities away is left to the starter's children, which may have been left one.
const CAPABILITIES: &[c_long] = &[libc::SYS_capset];

/// Who owns a file, who may do what with it, what is said about it.
const METADATA: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SYS_SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
];
#[cfg(target_arch = "x86_64")]
const METADATA_HERE: &[c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const METADATA_HERE: &[c_long] = &[];

/// Files made, named, cut and removed, and their times.
const NAMES: &[c_long] = &[
    libc::SYS_utimensat,
    libc::SYS_truncate,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
];
#[cfg(target_arch = "x86_64")]
const NAMES_HERE: &[c_long] = &[
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_creat,
];
#[cfg(not(target_arch = "x86_64"))]
const NAMES_HERE: &[c_long] = &[];

/// What other processes get of the machine, and memory and queues that are shared by a number.
const OTHERS: &[c_long] = &[
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_process_mrelease,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Signals with a sender of one's choice, and those by descriptor. kill(2) and its like are among
/// the rules.
const SIGNALS: &[c_long] = &[
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
];

const ACCEPT: &[c_long] = &[libc::SYS_accept, libc::SYS_accept4];
/// Sockets come by descriptor, and listen when they do.
const LISTEN: &[c_long] = &[libc::SYS_listen];
const NETWORK: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_connect,
];

const KERNEL: &[c_long] = &[libc::SYS_bpf];
const EVENTS: &[c_long] = &[libc::SYS_perf_event_open];
const PROCESSES: &[c_long] = &[libc::SYS_pidfd_open];

const FILES: &[c_long] = &[
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_open_by_handle_at,
];
#[cfg(target_arch = "x86_64")]
const FILES_HERE: &[c_long] = &[libc::SYS_open];
#[cfg(not(target_arch = "x86_64"))]
const FILES_HERE: &[c_long] = &[];

/// The lists that hold for a kind of process.
fn lists(process: Process) -> &'static [&'static [c_long]] {
    match process {
        Process::Whole => &[REFUSED, REFUSED_HERE, CAPABILITIES],
        Process::Loader => &[
            REFUSED,
            REFUSED_HERE,
            CAPABILITIES,
            METADATA,
            METADATA_HERE,
            OTHERS,
            SIGNALS,
            ACCEPT,
        ],
        // It kills its children, and they may do no more than it may.
        Process::Starter => &[
            REFUSED,
            REFUSED_HERE,
            METADATA,
            METADATA_HERE,
            NAMES,
            NAMES_HERE,
            OTHERS,
            EVENTS,
            LISTEN,
        ],
        Process::Server => &[
            REFUSED,
            REFUSED_HERE,
            CAPABILITIES,
            METADATA,
            METADATA_HERE,
            NAMES,
            NAMES_HERE,
            OTHERS,
            EVENTS,
            LISTEN,
            SIGNALS,
            PROCESSES,
        ],
        Process::Compiler => &[
            REFUSED,
            REFUSED_HERE,
            CAPABILITIES,
            METADATA,
            METADATA_HERE,
            NAMES,
            NAMES_HERE,
            OTHERS,
            EVENTS,
            LISTEN,
            SIGNALS,
            PROCESSES,
            ACCEPT,
            NETWORK,
            KERNEL,
            FILES,
            FILES_HERE,
        ],
    }
}

/// The numbers of all calls that are refused to such a process whatever their arguments.
pub(super) fn refused(process: Process) -> impl Iterator<Item = c_long> {
    lists(process).iter().copied().flatten().copied()
}
