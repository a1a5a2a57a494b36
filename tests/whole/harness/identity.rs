//! Who a process is and what it may do, as /proc/PID/task/TID/status says of each of its threads.

use std::collections::BTreeSet;
use std::fs;

use super::tree::Process;

pub(crate) const CAP_NET_ADMIN: u32 = 12;
pub(crate) const CAP_PERFMON: u32 = 38;
pub(crate) const CAP_BPF: u32 = 39;

/// What a process may do and could get.
pub(crate) const USED: [&str; 3] = ["CapPrm", "CapEff", "CapBnd"];
/// What a program that it starts would be given: nothing beyond what is kept, and nothing at all is
/// fine.
pub(crate) const HANDED_ON: [&str; 2] = ["CapInh", "CapAmb"];
pub(crate) const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
/// No process of a host may have this user but where it was started so: it is nobody's.
const NOBODY: u32 = 65_534;

/// A field of the status of each thread. Empty: the process has ended meanwhile.
pub(crate) fn of_all_threads(pid: u32, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok())
        .map(|status| {
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            line.split_once(':').unwrap().1.trim().to_owned()
        })
        .collect()
}

/// The field of all threads, where it is the same for all of them.
pub(crate) fn of_each_thread(pid: u32, field: &str) -> String {
    let values: BTreeSet<String> = of_all_threads(pid, field).into_iter().collect();
    assert_eq!(
        values.len(),
        1,
        "{field} of all threads of {pid}: {values:?}"
    );
    values.into_iter().next().unwrap()
}

pub(crate) fn mask(capabilities: &[u32]) -> u64 {
    capabilities.iter().map(|bit| 1_u64 << bit).sum()
}

/// No thread has or could get anything else.
pub(crate) fn holds(pid: u32, kept: u64) -> Result<(), String> {
    for set in USED {
        if let Some(other) = bits(pid, set).into_iter().find(|bits| *bits != kept) {
            return Err(format!("{set} of {pid} is {other:x}, not {kept:x}"));
        }
    }
    for set in HANDED_ON {
        if let Some(more) = bits(pid, set).into_iter().find(|bits| bits & !kept != 0) {
            return Err(format!("{set} of {pid} is {more:x}, beyond {kept:x}"));
        }
    }
    all_are(pid, "NoNewPrivs", "1")
}

/// A set of capabilities of all threads.
fn bits(pid: u32, set: &str) -> Vec<u64> {
    let values = of_all_threads(pid, set).into_iter();
    values
        .map(|value| u64::from_str_radix(&value, 16).unwrap())
        .collect()
}

fn all_are(pid: u32, field: &str, value: &str) -> Result<(), String> {
    let other = of_all_threads(pid, field)
        .into_iter()
        .find(|found| found != value);
    other.map_or(Ok(()), |other| {
        Err(format!("{field} of {pid} is {other}, not {value}"))
    })
}

/// A starter, server or compiler has no capability in any set, a filter, and a user that is
/// somebody's own.
///
/// Where the loader was no root, its user cannot be changed and the bounding set cannot be made
/// smaller (that takes CAP_SETPCAP): what is in it can be gained by nobody, as no_new_privs is set.
pub(crate) fn confined(process: &Process, loader: u32) -> Result<(), String> {
    let pid = process.pid;
    let kept = server_capabilities();
    let same_user = of_all_threads(pid, "Uid").first() == of_all_threads(loader, "Uid").first();
    for set in SETS {
        let bounding = bits(loader, "CapBnd").first().copied().unwrap_or_default();
        let also = if same_user && set == "CapBnd" {
            bounding
        } else {
            0
        };
        if let Some(more) = bits(pid, set)
            .into_iter()
            .find(|bits| bits & !(kept | also) != 0)
        {
            return Err(format!("{set} of {pid} is {more:x}, beyond {kept:x}"));
        }
    }
    all_are(pid, "NoNewPrivs", "1")?;
    all_are(pid, "Seccomp", "2")?;
    for field in ["Uid", "Gid"] {
        for ids in of_all_threads(pid, field) {
            let ids: BTreeSet<u32> = ids
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect();
            if ids.len() != 1 || ids.contains(&0) || ids.contains(&NOBODY) {
                return Err(format!("{field} of {pid} is {ids:?}"));
            }
        }
    }
    Ok(())
}

/// What the server keeps on this kernel: before Linux 5.19 a map is read by whoever has CAP_BPF.
pub(crate) fn server_capabilities() -> u64 {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().unwrap().parse::<u32>().unwrap();
    if (next(), next()) < (5, 19) {
        mask(&[CAP_BPF])
    } else {
        0
    }
}

/// One line of a table of what each process may do.
pub(crate) fn row(process: &Process) -> String {
    let fields = [
        "Uid",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ];
    let values = fields.map(|field| {
        let all: BTreeSet<String> = of_all_threads(process.pid, field).into_iter().collect();
        let all: Vec<String> = all.into_iter().collect();
        format!("{field} {}", all.join(" or ").replace('\t', ","))
    });
    format!("{}: {}", process.name, values.join(", "))
}
