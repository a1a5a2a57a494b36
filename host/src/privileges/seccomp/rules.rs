//! System calls that are refused for some of their arguments. A filter sees numbers, not what
//! pointers lead to.
//!
//! The kernel refuses a call if one of its rules matches, and a rule matches if all of its
//! conditions hold.

use std::collections::BTreeMap;

use libc::{c_int, c_long};
use seccompiler::{
    Error, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompRule,
};

use crate::privileges::process::Process;

type Rules = Vec<SeccompRule>;

/// One of the conditions of a rule, on the argument with this index.
struct When(u8, Length, Op, u64);

/// Threads are all that clone(2) may make, and none in a namespace of its own.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Linux 6.7: which pages were written to, asked of a process' own /proc/self/pagemap (linux/fs.h).
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// What the standard library, the C library and the runtimes ask of descriptors: how much there is
/// to read, blocking, closing on exec, whether it is a terminal and how wide, interfaces' names,
/// and pages. Nothing of it is for perf events, BPF or terminals' input.
const IOCTLS: [u64; 10] = [
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::TCGETS,
    libc::TIOCGWINSZ,
    TCGETS2,
    SIOCGIFNAME,
    SIOCGIFINDEX,
    PAGEMAP_SCAN,
];
/// asm-generic/ioctls.h: what newer C libraries ask instead of TCGETS.
const TCGETS2: u64 = 0x802c_542a;
// linux/sockios.h
const SIOCGIFNAME: u64 = 0x8910;
const SIOCGIFINDEX: u64 = 0x8933;

/// Who is told of news on a descriptor, and by which signal: a way to signal others, SIGKILL
/// included (linux/fcntl.h).
const OWNER: [c_int; 3] = [F_SETOWN, F_SETSIG, F_SETOWN_EX];
const F_SETOWN: c_int = 8;
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;

/// Of SOL_SOCKET: what makes close(2) wait, chooses another way than the routes do, or runs code in
/// the kernel (asm-generic/socket.h).
const SOCKET_OPTIONS: [c_int; 9] = [
    libc::SO_LINGER,
    libc::SO_BINDTODEVICE,
    libc::SO_BINDTOIFINDEX,
    libc::SO_DONTROUTE,
    libc::SO_MARK,
    libc::SO_ATTACH_FILTER,
    libc::SO_ATTACH_BPF,
    libc::SO_ATTACH_REUSEPORT_CBPF,
    libc::SO_ATTACH_REUSEPORT_EBPF,
];

/// The part of a socket's type that says what it is: the rest are flags.
const SOCKET_TYPE: u64 = 0xf;

/// Bits of open(2)'s flags with which more than reading can be done.
const FOR_WRITING: [c_int; 4] = [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC];

/// By the call's number. None of them is among `super::calls::refused` of that process.
/// `landlocked`: landlock restricts which files it opens. If not, openat2(2) has to go: its flags
/// are in memory, where a filter cannot see them. (Whoever calls it takes openat(2) then.)
pub(super) fn of(process: Process, landlocked: bool) -> Result<BTreeMap<c_long, Rules>, Error> {
    let mut rules = BTreeMap::from([
        (libc::SYS_clone, clone(process)?),
        (libc::SYS_ioctl, ioctl(process)?),
    ]);
    if process == Process::Whole {
        return Ok(rules);
    }
    // Zero is the calling process, or thread.
    rules.insert(libc::SYS_prlimit64, unless_among(0, &[0])?);
    let of_others = [
        unless_among(0, &[libc::PRIO_PROCESS.into()])?,
        unless_among(1, &[0])?,
    ];
    rules.insert(libc::SYS_setpriority, of_others.concat());
    rules.insert(libc::SYS_fcntl, if_among(1, &OWNER)?);
    if process != Process::Compiler {
        rules.insert(libc::SYS_socket, socket(process)?);
    }
    match process {
        Process::Whole => {}
        // Times of a file that it has open, which has no name there.
        Process::Loader => {
            rules.insert(
                libc::SYS_utimensat,
                vec![all([When(1, Length::Qword, Op::Ne, 0)])?],
            );
            rules.extend(signals()?);
        }
        Process::Starter => {
            rules.insert(libc::SYS_socketpair, socketpair()?);
        }
        Process::Server => {
            rules.insert(libc::SYS_socketpair, socketpair()?);
            rules.insert(libc::SYS_setsockopt, socket_options()?);
            rules.extend(signals()?);
            #[cfg(target_arch = "x86_64")]
            rules.insert(libc::SYS_open, for_writing(1)?);
            if !landlocked {
                rules.insert(libc::SYS_openat2, Vec::new());
            }
        }
        Process::Compiler => rules.extend(signals()?),
    }
    Ok(rules)
}

/// What a filter answers to a call before it looks at any other, as this one is made often: for
/// every key of a map, for every file of a scrape.
pub(super) enum Early {
    Allow,
    /// Refused unless the first argument is one of these.
    FirstAmong(&'static [u32]),
    /// Refused if the argument with this index has any of these bits.
    Without(u32, u32),
}

/// The commands of bpf(2) that are left to a process that only reads maps and asks about programs,
/// in the order of their frequency.
const BPF_COMMANDS: &[u32] = &[
    libbpf_sys::BPF_MAP_LOOKUP_ELEM,
    libbpf_sys::BPF_MAP_GET_NEXT_KEY,
    libbpf_sys::BPF_MAP_LOOKUP_BATCH,
    libbpf_sys::BPF_OBJ_GET_INFO_BY_FD,
];

/// By the call's number; none of them is among [`of`] or `super::calls::refused`. Others have no
/// call that is made often and looked into.
pub(super) fn early(process: Process) -> Vec<(c_long, Early)> {
    let bpf = (libc::SYS_bpf, Early::FirstAmong(BPF_COMMANDS));
    match process {
        // Its children may have to write their own files in /proc before they are confined.
        Process::Starter => vec![bpf, (libc::SYS_openat, Early::Allow)],
        Process::Server => {
            let bits = FOR_WRITING.into_iter().fold(0, |bits, flag| bits | flag);
            let flags = Early::Without(2, bits.cast_unsigned());
            vec![bpf, (libc::SYS_openat, flags)]
        }
        Process::Whole | Process::Loader | Process::Compiler => Vec::new(),
    }
}

fn all(conditions: impl IntoIterator<Item = When>) -> Result<SeccompRule, Error> {
    let conditions = conditions
        .into_iter()
        .map(|When(argument, length, op, value)| Condition::new(argument, length, op, value));
    Ok(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?)
}

/// Refuses every value of an argument but these. An int: the kernel looks at the lower half only.
fn unless_among(argument: u8, allowed: &[u64]) -> Result<Rules, Error> {
    let none_of_them = allowed
        .iter()
        .map(|value| When(argument, Length::Dword, Op::Ne, *value));
    Ok(vec![all(none_of_them)?])
}

/// Refuses these values of an argument.
fn if_among(argument: u8, refused: &[c_int]) -> Result<Rules, Error> {
    let one = |value: &c_int| {
        let value = u64::from(value.cast_unsigned());
        all([When(argument, Length::Dword, Op::Eq, value)])
    };
    refused.iter().map(one).collect()
}

fn masked(argument: u8, mask: u64, value: u64) -> When {
    When(argument, Length::Dword, Op::MaskedEq(mask), value)
}

/// Refuses a clone(2) that is for a namespace, or not for a thread. The starter may fork.
fn clone(process: Process) -> Result<Rules, Error> {
    let flags = |mask: c_int, value: c_int| {
        let (mask, value) = (mask.cast_unsigned().into(), value.cast_unsigned().into());
        all([When(0, Length::Qword, Op::MaskedEq(mask), value)])
    };
    let mut rules = Vec::new();
    if process != Process::Starter {
        rules.push(flags(libc::CLONE_THREAD, 0)?);
    }
    for namespace in NAMESPACES {
        rules.push(flags(namespace, namespace)?);
    }
    Ok(rules)
}

/// Everybody: refuses to put words into the mouth of whoever sits at the terminal that this process
/// was started from. Who neither loads nor attaches: refuses everything but the few that are
/// needed.
fn ioctl(process: Process) -> Result<Rules, Error> {
    match process {
        Process::Whole | Process::Loader => {
            let rule = |request| all([When(1, Length::Dword, Op::Eq, request)]);
            Ok(vec![rule(libc::TIOCSTI)?, rule(libc::TIOCLINUX)?])
        }
        Process::Starter | Process::Server | Process::Compiler => unless_among(1, &IOCTLS),
    }
}

/// The server (and so the starter) has no unix sockets, which lead to services of root's, and of
/// netlink what resolving names needs. The loader has no network: it tells systemd of its state,
/// and hears of interfaces.
fn socket(process: Process) -> Result<Rules, Error> {
    let family = |family: c_int| u64::from(family.cast_unsigned());
    let netlink = family(libc::AF_NETLINK);
    if process == Process::Loader {
        return unless_among(0, &[family(libc::AF_UNIX), netlink]);
    }
    let mut rules = unless_among(0, &[family(libc::AF_INET), family(libc::AF_INET6), netlink])?;
    rules.push(all([
        When(0, Length::Dword, Op::Eq, netlink),
        When(2, Length::Dword, Op::Ne, family(libc::NETLINK_ROUTE)),
    ])?);
    Ok(rules)
}

/// A pair of datagram sockets can send to any other socket that has a path: only connections may
/// come in pairs.
fn socketpair() -> Result<Rules, Error> {
    let mut rules = unless_among(0, &[u64::from(libc::AF_UNIX.cast_unsigned())])?;
    // The kernel takes SOCK_RAW for SOCK_DGRAM here.
    for kind in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
        let kind = u64::from(kind.cast_unsigned());
        rules.push(all([masked(1, SOCKET_TYPE, kind)])?);
    }
    Ok(rules)
}

fn socket_options() -> Result<Rules, Error> {
    let number = |value: c_int| u64::from(value.cast_unsigned());
    let one = |option: &c_int| {
        all([
            When(1, Length::Dword, Op::Eq, number(libc::SOL_SOCKET)),
            When(2, Length::Dword, Op::Eq, number(*option)),
        ])
    };
    SOCKET_OPTIONS.iter().map(one).collect()
}

/// To itself alone, as abort(3) does. tkill(2) takes a thread: the first of a process has its
/// number.
fn signals() -> Result<[(c_long, Rules); 3], Error> {
    let own = std::process::id().into();
    Ok([
        (libc::SYS_kill, unless_among(0, &[own])?),
        (libc::SYS_tkill, unless_among(0, &[own])?),
        (libc::SYS_tgkill, unless_among(0, &[own])?),
    ])
}

/// Refuses to open for more than reading. `argument`: where the flags are.
#[cfg(target_arch = "x86_64")]
fn for_writing(argument: u8) -> Result<Rules, Error> {
    let bit = |flag: c_int| {
        let flag = u64::from(flag.cast_unsigned());
        all([masked(argument, flag, flag)])
    };
    FOR_WRITING.into_iter().map(bit).collect()
}
