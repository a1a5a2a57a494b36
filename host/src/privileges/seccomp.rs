//! The seccomp filter: system calls that the host never makes once it runs fail with EPERM.
//!
//! It names what is refused rather than what is allowed. A list of all calls that the C library, libbpf, the runtime and the compiler may ever
//! make changes with each of their versions, and a wrong one breaks hosts in the field; what an attacker needs to get out of a process without
//! capabilities is a short list that does not change: other programs, other processes, other namespaces, the kernel's own code.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::confine::Mode;
use super::feature::Feature;
use super::status::Privileges;

const NAME: &str = "seccomp";

/// Linux 6.15; the number is the same on all architectures that the host runs on.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

const REFUSED: &[libc::c_long] = &[
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
    libc::SYS_capset,
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
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_mknod,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// Threads are all that clone(2) may make, and none in a namespace of its own.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// From here on x86-64 numbers are those of its 32-bit variant x32, under which every call has a second number.
const X32: u32 = 0x4000_0000;

/// Filters this thread and those it starts.
pub(super) fn install(mode: Mode) -> Feature {
    if mode == Mode::Off {
        return Feature::off(NAME, "off by --hardening.seccomp");
    }
    let installed = filters().and_then(|filters| {
        filters
            .iter()
            .try_for_each(|filter| seccompiler::apply_filter(filter))
    });
    if let Err(error) = installed {
        return Feature::failed(NAME, format!("the kernel takes no filter: {error}"));
    }
    match Privileges::current() {
        Ok(now) if now.seccomp => Feature::on(
            NAME,
            format!(
                "{} system calls fail with EPERM, among them execve, ptrace, mount and unshare",
                REFUSED.len() + REFUSED_HERE.len()
            ),
        ),
        _ => Feature::failed(
            NAME,
            "the kernel took the filter, but /proc does not say so",
        ),
    }
}

/// Two filters, as one has a single answer to what it refuses.
fn filters() -> Result<[BpfProgram; 2], seccompiler::Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|number| (*number, Vec::new()))
        .collect();
    refused.insert(libc::SYS_clone, clone_rules()?);
    refused.insert(libc::SYS_ioctl, terminal_rules()?);
    let refuse = |calls, errno: libc::c_int| {
        SeccompFilter::new(
            calls,
            SeccompAction::Allow,
            SeccompAction::Errno(errno.unsigned_abs()),
            architecture,
        )
        .and_then(BpfProgram::try_from)
    };
    let mut first = refuse(refused, libc::EPERM)?;
    first.splice(0..0, refuse_x32());
    // Its flags are in memory, where a filter cannot see them. The C library then takes clone(2).
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    Ok([first, refuse(clone3, libc::ENOSYS)?])
}

/// Refuses a clone(2) that is not for a thread, or that is for a namespace: one rule has to match.
fn clone_rules() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let flags = |mask: libc::c_int, value: libc::c_int| {
        let (mask, value) = (mask as u32, value as u32);
        let masked = SeccompCmpOp::MaskedEq(mask.into());
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, masked, value.into())?;
        SeccompRule::new(vec![condition])
    };
    let mut rules = vec![flags(libc::CLONE_THREAD, 0)?];
    for namespace in NAMESPACES {
        rules.push(flags(namespace, namespace)?);
    }
    Ok(rules)
}

/// Refuses to put words into the mouth of whoever sits at the terminal that this process was started from.
fn terminal_rules() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let rule = |request| {
        // The kernel looks at the lower half only.
        let (half, same) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompRule::new(vec![SeccompCondition::new(1, half, same, request)?])
    };
    Ok(vec![rule(libc::TIOCSTI)?, rule(libc::TIOCLINUX)?])
}

/// `seccompiler` goes by exact numbers. In front of its program: every number from [`X32`] on is refused.
fn refuse_x32() -> [sock_filter; 3] {
    let instruction = |code: u32, jt, jf, k| sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    [
        // The number is the first field of seccomp_data.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, refuse),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_small_enough_and_call_nothing_twice() {
        let [first, second] = filters().unwrap();
        assert!(first.len() < 1000 && second.len() < 32);
        let mut numbers: Vec<_> = REFUSED.iter().chain(REFUSED_HERE).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }

    #[test]
    fn what_the_host_needs_is_not_refused() {
        for needed in [
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_open_by_handle_at,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_memfd_create,
            libc::SYS_mprotect,
            libc::SYS_setrlimit,
        ] {
            assert!(
                !REFUSED.contains(&needed) && !REFUSED_HERE.contains(&needed),
                "{needed}"
            );
        }
    }
}
