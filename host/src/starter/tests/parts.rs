//! What the processes of the tests do.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::super::sys::{self, Forked};
use super::super::{ChildId, CompileLimits, How, NewCompiler, NewServer, StarterError, start};
use super::support::{
    ENTRIES, NO_HARDENING, TIMEOUT, Talk, children, descriptors, eventually, kill, new_server,
    next, read, settings, unconfined, watch,
};
use crate::link::Receiver;
use crate::privileges::{ServerPaths, ServerUser};

pub(super) fn servers_come_and_go() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    assert!(starter.wait_exit().is_none());
    assert_eq!(
        read(&format!("/proc/{}/comm", starter.pid())),
        "exporter-start"
    );

    let first = new_server(&starter);
    let mut talk = Talk::with(&first);
    assert_eq!(talk.ask("pid"), first.pid.to_string());
    assert_eq!(talk.ask("comm"), "exporter-serve");
    let own: i32 = read("/proc/self/oom_score_adj").parse().unwrap();
    assert_eq!(talk.ask("oom"), (own + 200).min(1000).to_string());
    // 0, 1, 2, the socket twice (as this server copies it), the lifeline.
    assert_eq!(talk.ask("descriptors"), "6");
    let status = talk.ask("status");
    let set_of = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    let bit = |signal: i32| 1 << (signal - 1);
    let stop = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE];
    let ignored: u64 = stop.into_iter().map(bit).sum();
    assert_eq!(set_of("SigIgn:") & ignored, ignored);
    assert_eq!(set_of("SigBlk:"), 0);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill(first.pid, signal);
        kill(starter.pid(), signal);
    }
    assert_eq!(talk.ask("comm"), "exporter-serve");

    starter.kill(first.child);
    assert_eq!(next(&exits), (first.child, How::Signal(libc::SIGKILL)));
    assert!(talk.receiver.receive::<String>().unwrap().is_none());
    // Once more: nothing happens.
    starter.kill(first.child);

    let second = new_server(&starter);
    assert_ne!(second.child, first.child);
    assert_eq!(Talk::with(&second).ask("pid"), second.pid.to_string());
    let (wait_server, wait_starter) = (watch(second.pid), watch(starter.pid()));
    drop(starter);
    wait_server();
    wait_starter();
    assert!(exits.recv().is_err());
}

pub(super) fn servers_are_confined() {
    let user = ServerUser::choose();
    let other_user = user.is_some();
    let starter = start(&settings(&[]), user, false, ENTRIES).unwrap();
    let exits = starter.wait_exit().unwrap();
    for _ in 0..2 {
        let server = new_server(&starter);
        let mut talk = Talk::with(&server);
        assert_eq!(talk.ask("comm"), "exporter-serve");
        let own: i32 = read("/proc/self/oom_score_adj").parse().unwrap();
        assert_eq!(talk.ask("oom"), (own + 200).min(1000).to_string());
        let status = talk.ask("status");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000\n")));
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
        assert!(status.contains("Seccomp:\t2\n"), "{status}");
        assert!(!(other_user && status.contains("\nUid:\t0\t")), "{status}");
        starter.kill(server.child);
        assert_eq!(next(&exits), (server.child, How::Signal(libc::SIGKILL)));
    }
}

pub(super) fn exit_codes_are_told() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    for (request, code) in [("leave", 3), ("panic", 101)] {
        let server = new_server(&starter);
        Talk::with(&server).tell(request);
        let (child, how) = next(&exits);
        assert_eq!((child, how), (server.child, How::Code(code)));
        assert!(!how.unconfined());
    }
    // A server that the loader does not talk to any more.
    let NewServer {
        child,
        socket,
        lifeline,
        ..
    } = new_server(&starter);
    drop(socket);
    assert_eq!(next(&exits), (child, How::Code(0)));
    drop(lifeline);
}

pub(super) fn a_compiler_answers() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    let component = rustix::fs::memfd_create("component", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&component, b"component").unwrap();
    let limits = CompileLimits {
        memory: 1 << 30,
        cpu: Duration::from_secs(10),
    };
    let started = starter.start_compiler(component.as_fd(), limits);
    let NewCompiler { child, pid, answer } = started.unwrap();
    let mut answer = Receiver::new(answer);
    let text: String = answer.receive().unwrap().unwrap().message;
    // 0, 1, 2, the component and the answer's socket.
    assert_eq!(text, format!("component exporter-comp {pid} 5"));
    assert!(answer.receive::<String>().unwrap().is_none());
    assert_eq!(next(&exits), (child, How::Code(0)));
}

pub(super) fn nothing_leaks() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    let round = |talk: bool| {
        let server = new_server(&starter);
        if talk {
            Talk::with(&server).ask("pid");
        }
        starter.kill(server.child);
        assert_eq!(next(&exits).0, server.child);
    };
    round(true);
    let pid = starter.pid().to_string();
    let open = || (descriptors("self"), descriptors(&pid));
    let before = open();
    for number in 0..200 {
        round(number % 2 == 0);
    }
    assert_eq!(open(), before);
    assert_eq!(children(&starter), 0);
}

pub(super) fn threads_may_ask_at_once() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let server = new_server(&starter);
                    assert_eq!(Talk::with(&server).ask("pid"), server.pid.to_string());
                    starter.kill(server.child);
                }
            });
        }
    });
    let ended: BTreeSet<ChildId> = (0..40).map(|_| next(&exits).0).collect();
    assert_eq!(ended.len(), 40);
}

pub(super) fn a_late_server_is_killed() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    kill(starter.pid(), Signal::STOP);
    let began = Instant::now();
    let late = starter.start_server(&ServerPaths::default());
    assert!(matches!(late, Err(StarterError::Slow)), "{late:?}");
    assert!(began.elapsed() >= Duration::from_secs(10));
    kill(starter.pid(), Signal::CONT);
    let first = new_server(&starter);
    let second = new_server(&starter);
    eventually(|| children(&starter) == 2);
    starter.kill(first.child);
    starter.kill(second.child);
    // Nobody is told of the one that nobody got.
    let ended = BTreeSet::from([next(&exits).0, next(&exits).0]);
    assert_eq!(ended, BTreeSet::from([first.child, second.child]));
}

pub(super) fn a_loader_dies() {
    let starter = unconfined();
    let servers = [(); 3].map(|()| new_server(&starter));
    for server in &servers {
        Talk::with(server).ask("pid");
    }
    kill_process(getpid(), Signal::KILL).unwrap();
}

pub(super) fn a_loader_dies_before_its_first_request() {
    let _starter = unconfined();
    kill_process(getpid(), Signal::KILL).unwrap();
}

pub(super) fn the_starter_dies() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    let server = new_server(&starter);
    let wait_server = watch(server.pid);
    kill(starter.pid(), Signal::KILL);
    wait_server();
    assert_eq!(
        exits.recv_timeout(TIMEOUT),
        Err(mpsc::RecvTimeoutError::Disconnected)
    );
    let after = starter.start_server(&ServerPaths::default());
    assert!(matches!(after, Err(StarterError::Gone)), "{after:?}");
    starter.kill(server.child);
}

pub(super) fn a_server_leaves_with_its_lifeline() {
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    let server = new_server(&starter);
    Talk::with(&server).ask("pid");
    // It cannot be killed by the starter, but leaves.
    kill(starter.pid(), Signal::STOP);
    let wait_server = watch(server.pid);
    drop(server.lifeline);
    wait_server();
    kill(starter.pid(), Signal::CONT);
    assert_eq!(next(&exits), (server.child, How::Code(0)));
}

pub(super) fn two_threads_are_refused() {
    let (sender, receiver) = mpsc::channel::<()>();
    let second = thread::spawn(move || receiver.recv());
    let started = start(&settings(&NO_HARDENING), None, false, ENTRIES);
    assert!(matches!(started, Err(StarterError::Threads(_))));
    drop(sender);
    assert!(second.join().unwrap().is_err());
    assert!(unconfined().reap_orphans().is_ok_and(|started| !started));
}

/// Needs root.
pub(super) fn orphans_are_reaped() {
    #[expect(
        unsafe_code,
        reason = "other flags than this one can close descriptors"
    )]
    // SAFETY: children get a new PID namespace; nothing of this process changes.
    unsafe {
        rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID).unwrap();
    }
    match sys::fork().unwrap() {
        Forked::Child => {
            be_pid_1();
            sys::exit_now(0)
        }
        Forked::Parent(first) => {
            let (_, status) = waitpid(Some(first), WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(status.exit_status(), Some(0));
        }
    }
}

fn be_pid_1() {
    assert!(getpid().is_init());
    let starter = unconfined();
    let exits = starter.wait_exit().unwrap();
    // A child whose child outlives it, as of a `docker exec`.
    let (reader, writer) = io::pipe().unwrap();
    let parent = std::process::Command::new("/bin/sh")
        .args(["-c", "sleep 60 & echo $!"])
        .stdout(writer)
        .spawn();
    drop(parent.unwrap());
    let mut line = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(reader), &mut line).unwrap();
    let orphan = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    assert!(starter.reap_orphans().unwrap());
    let server = new_server(&starter);
    kill_process(orphan, Signal::KILL).unwrap();
    eventually(|| rustix::process::test_kill_process(orphan).is_err());
    // The starter's children and its own end are still told.
    starter.kill(server.child);
    assert_eq!(next(&exits).0, server.child);
    kill(starter.pid(), Signal::KILL);
    assert!(exits.recv_timeout(TIMEOUT).is_err());
}
