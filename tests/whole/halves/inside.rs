//! What the processes try themselves (`--hardening.check`): each thing that the issue names is
//! refused, to a server that is another user's and to one of the loader's own user.

use crate::hardening::{as_user, for_everybody, setup};
use crate::harness::tree::one_process;
use crate::harness::{Host, Setup};

/// What only the server tries.
const SERVER: [&str; 22] = [
    "read /etc/shadow",
    "read /etc/passwd",
    "read what lies in root's home",
    "read another process' environment",
    "open a device for writing",
    "remove a file",
    "rename a file",
    "create a BPF map",
    "load a BPF program",
    "change a BPF map",
    "find BPF maps of others",
    "open a perf event",
    "stop a perf event",
    "open a unix socket",
    "connect to a unix socket",
    "connect to an abstract unix socket",
    "make a unix socket that can send to any other",
    "make the end of a connection wait",
    "choose the interface of a socket",
    "run a filter on a socket",
    "listen",
    "open a process' memory",
];
/// What only the loader tries.
const LOADER: [&str; 2] = ["open an internet socket", "take connections"];
/// What both of them try. `parent` of a server is the starter, which is of the server's own user.
const BOTH: [&str; 27] = [
    "write outside of what was granted",
    "change a file's mode",
    "change a file's mode in the newest way",
    "change the extended attributes of a path",
    "open a socket to virtual machines",
    "open a packet socket",
    "share a queue by a number",
    "share semaphores by a number",
    "change how a process is scheduled",
    "change a file's owner",
    "change a file's times",
    "change a file's extended attributes",
    "run a program",
    "execve",
    "make a process",
    "make a namespace",
    "trace a process",
    "read a process' memory",
    "take a process' descriptors",
    "signal a process",
    "signal a process by its descriptor",
    "have the kernel signal a process",
    "change a process' limits",
    "change a process' priority",
    "change which CPUs a process runs on",
    "become root",
    "gain CAP_SYS_ADMIN",
];

/// How often the log says of this attempt that it was refused. Panics if it was not.
fn refusals(host: &Host, attempt: &str) -> usize {
    let log = host.log();
    let name = format!("attempt=\"{attempt}\"");
    // A word alone has no quotes.
    let word = format!("attempt={attempt} ");
    let lines = log
        .lines()
        .filter(|line| line.contains("hardening check"))
        .filter(|line| line.contains(&name) || line.contains(&word));
    lines
        .inspect(|line| assert!(line.contains("refused=true"), "{line}"))
        .count()
}

fn is_refused(setup: Setup) {
    let host = setup.argument("--hardening.check").start();
    for (attempts, times) in [(&SERVER[..], 1), (&LOADER, 1), (&BOTH, 2)] {
        for attempt in attempts {
            let found = refusals(&host, attempt);
            assert_eq!(found, times, "{attempt}\n{}", host.log());
        }
    }
}

#[test]
fn a_server_of_its_own_user_is_refused_everything() {
    if !one_process() {
        is_refused(setup());
    }
}

#[test]
fn a_server_of_the_loaders_user_is_refused_everything() {
    if !one_process() {
        is_refused(as_user(for_everybody(), ",+bpf,+perfmon"));
    }
}
