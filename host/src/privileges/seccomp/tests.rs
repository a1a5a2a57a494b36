use std::collections::BTreeSet;

use super::*;

const ALL: [Process; 5] = [
    Process::Whole,
    Process::Loader,
    Process::Starter,
    Process::Server,
    Process::Compiler,
];

fn refused(process: Process) -> BTreeSet<libc::c_long> {
    calls::refused(process).collect()
}

#[test]
fn the_filters_are_small_enough_and_call_nothing_twice() {
    for process in ALL {
        let program = program(process, true).unwrap();
        assert!(program.len() < 1000, "{process:?}: {}", program.len());
        let (count, refused) = (calls::refused(process).count(), refused(process));
        assert_eq!(count, refused.len(), "{process:?}");
        let rules = rules::of(process, false).unwrap();
        for number in rules.keys() {
            assert!(!refused.contains(number), "{process:?}: {number}");
        }
        for (number, _) in rules::early(process) {
            let twice = refused.contains(&number) || rules.contains_key(&number);
            assert!(!twice, "{process:?}: {number}");
        }
    }
}

#[test]
fn what_is_needed_is_not_refused() {
    let everybody = [
        libc::SYS_clone,
        libc::SYS_memfd_create,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_prctl,
        libc::SYS_setrlimit,
        libc::SYS_sendmsg,
        libc::SYS_recvmsg,
        libc::SYS_ftruncate,
    ];
    let serving = [
        libc::SYS_bpf,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_accept4,
        libc::SYS_socketpair,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_readlinkat,
        libc::SYS_statfs,
    ];
    let loading = [
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_open_by_handle_at,
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_bind,
        libc::SYS_inotify_add_watch,
    ];
    let needed = |process: Process| -> Vec<libc::c_long> {
        let own: &[libc::c_long] = match process {
            Process::Whole | Process::Loader => &loading,
            Process::Starter => &[libc::SYS_kill, libc::SYS_wait4, libc::SYS_pidfd_open],
            Process::Server => &serving,
            Process::Compiler => &[],
        };
        everybody.iter().chain(own).copied().collect()
    };
    for process in ALL {
        let refused = refused(process);
        for number in needed(process) {
            assert!(!refused.contains(&number), "{process:?}: {number}");
        }
    }
}

/// A filter is inherited: the starter's must not take from a server or a compiler what they need.
#[test]
fn the_starter_refuses_only_what_its_children_are_refused() {
    for child in [Process::Server, Process::Compiler] {
        let of_child = refused(child);
        let rules = rules::of(child, true).unwrap();
        for number in refused(Process::Starter) {
            assert!(of_child.contains(&number), "{child:?}: {number}");
        }
        for number in rules::of(Process::Starter, true).unwrap().keys() {
            assert!(
                of_child.contains(number) || rules.contains_key(number),
                "{child:?}: {number}"
            );
        }
    }
}
