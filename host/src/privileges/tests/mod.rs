//! Dropping for real. It is for good, so every test does it in a process of its own: this test
//! binary again, with one scenario to play. The test harness runs tests in threads, so there the
//! scenario forks once more to be in a process with one thread.

mod halves;
mod needs;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::panic::catch_unwind;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use caps::Capability::{CAP_BPF, CAP_CHOWN, CAP_NET_ADMIN, CAP_PERFMON, CAP_SETPCAP};
use caps::{CapSet, Capability};

use super::drop::{DropError, drop_to};
use super::set::CapabilitySet;
use super::{Keep, Privileges};

const SCENARIO: &str = "EXPORTER_HOST_PRIVILEGES_SCENARIO";

/// What the scenario's process shows of itself once it is done and waits for its end.
struct Player {
    process: Child,
    /// The process that plays, a child of `process`.
    id: u32,
    output: BufReader<ChildStdout>,
}

impl Player {
    /// Starts the scenario and waits until it has said `ready`.
    fn start(scenario: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["privileges::tests::play", "--exact", "--nocapture"])
            .env(SCENARIO, scenario)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut seen = String::new();
        let id = loop {
            seen.clear();
            let length = output.read_line(&mut seen).unwrap();
            assert_ne!(length, 0, "the scenario {scenario} ended early");
            if let Some(id) = seen.trim_end().strip_prefix("ready ") {
                break id.parse().unwrap();
            }
        };
        Self {
            process,
            id,
            output,
        }
    }

    fn status(&self, field: &str) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.id)).unwrap();
        tasks
            .map(|task| {
                let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
                let line = status.lines().find(|line| line.starts_with(field)).unwrap();
                let (_, value) = line.split_once(':').unwrap();
                value.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        std::io::copy(&mut self.output, &mut std::io::sink()).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

fn ready() {
    let mut out = std::io::stdout();
    writeln!(out, "\nready {}", std::process::id()).unwrap();
    out.flush().unwrap();
    // Until the parent closes it.
    let _ = std::io::stdin().lines().count();
}

/// Not a test of its own: what the other tests' processes run. Without the variable it does
/// nothing.
#[test]
fn play() {
    let Ok(scenario) = env::var(SCENARIO) else {
        return;
    };
    let play = match scenario.as_str() {
        "default" => default_set,
        "none" => none,
        "all" => all,
        "missing" => missing,
        "without setpcap" => without_setpcap,
        "not effective" => not_effective,
        "threads" => threads,
        other => halves::scenario(other),
    };
    assert_eq!(
        in_a_single_thread(play),
        0,
        "the scenario {scenario} failed"
    );
}

/// Runs `work` in a forked process, which has one thread whatever this one has. The answer is its
/// wait status.
fn in_a_single_thread(work: fn()) -> libc::c_int {
    #[expect(unsafe_code, reason = "fork has no safe wrapper")]
    // SAFETY: the only other thread of this process is the test harness' main thread, waiting for
    // this one, so the child finds no lock held.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(catch_unwind(work).is_err());
        #[expect(
            unsafe_code,
            reason = "the child must not run the harness' exit handlers"
        )]
        // SAFETY: ends the process, touches no memory.
        unsafe {
            libc::_exit(code)
        }
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    let mut status = -1;
    #[expect(unsafe_code, reason = "waitpid has no safe wrapper for a forked child")]
    // SAFETY: the pointer is to a live integer.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    status
}

fn only(capabilities: &[Capability]) -> Keep {
    Keep::Only(CapabilitySet::of(capabilities))
}

fn set_own(which: CapSet, capabilities: &[Capability]) {
    caps::set(None, which, &capabilities.iter().copied().collect()).unwrap();
}

/// What the self metrics and the cgroup paths read must stay readable.
fn assert_own_proc_is_readable() {
    for file in [
        "status",
        "stat",
        "limits",
        "mountinfo",
        "smaps_rollup",
        "io",
    ] {
        let read = fs::read(format!("/proc/self/{file}"));
        assert!(read.is_ok_and(|bytes| !bytes.is_empty()), "{file}");
    }
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    assert!(descriptors.flatten().count() >= 3);
    assert!(fs::read_link("/proc/self/fd/0").is_ok());
}

fn default_set() {
    // As systemd's AmbientCapabilities would leave it.
    set_own(CapSet::Inheritable, &[CAP_BPF, CAP_NET_ADMIN]);
    set_own(CapSet::Ambient, &[CAP_BPF, CAP_NET_ADMIN]);
    let report = drop_to(Keep::default(), true).unwrap();
    report.log();
    assert_eq!(report.kept, CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]));
    assert!(report.dropped.contains(CAP_NET_ADMIN) && !report.dropped.contains(CAP_BPF));
    assert!(report.missing.is_empty() && report.bounding_left.is_empty());
    assert!(report.no_new_privs && !report.unprivileged);
    assert_own_proc_is_readable();
    let (stop, stopped) = mpsc::channel::<()>();
    let later = thread::spawn(move || stopped.recv());
    ready();
    drop(stop);
    let _ = later.join();
}

fn none() {
    let report = drop_to(Keep::Only(CapabilitySet::EMPTY), true).unwrap();
    assert!(report.kept.is_empty());
    assert_own_proc_is_readable();
    // Nothing comes back, and dropping again is no error.
    assert!(caps::raise(None, CapSet::Permitted, CAP_BPF).is_err());
    let again = drop_to(Keep::default(), true).unwrap();
    assert!(again.unprivileged && again.kept.is_empty());
    assert_eq!(again.missing, CapabilitySet::of(&[CAP_BPF, CAP_PERFMON]));
    again.log();
    ready();
}

fn all() {
    let before = Privileges::current().unwrap();
    let report = drop_to(Keep::All, false).unwrap();
    assert_eq!(Privileges::current().unwrap(), before);
    assert_eq!(report.kept, before.permitted);
    assert!(report.dropped.is_empty());
    ready();
}

fn missing() {
    drop_to(only(&[CAP_BPF, CAP_CHOWN]), true).unwrap();
    let report = drop_to(only(&[CAP_BPF, CAP_PERFMON]), true).unwrap();
    assert_eq!(report.kept, CapabilitySet::of(&[CAP_BPF]));
    assert_eq!(report.dropped, CapabilitySet::of(&[CAP_CHOWN]));
    assert_eq!(report.missing, CapabilitySet::of(&[CAP_PERFMON]));
    assert!(!report.unprivileged);
    report.log();
    ready();
}

fn without_setpcap() {
    set_own(CapSet::Effective, &[CAP_BPF, CAP_PERFMON]);
    set_own(CapSet::Permitted, &[CAP_BPF, CAP_PERFMON]);
    let report = drop_to(only(&[CAP_BPF]), true).unwrap();
    assert_eq!(report.kept, CapabilitySet::of(&[CAP_BPF]));
    assert!(report.bounding_left.contains(CAP_SETPCAP));
    report.log();
    ready();
}

fn not_effective() {
    set_own(CapSet::Effective, &[]);
    let report = drop_to(only(&[CAP_BPF]), true).unwrap();
    assert!(report.bounding_left.is_empty());
    ready();
}

fn threads() {
    let before = Privileges::current().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let other = thread::Builder::new()
        .name("poller".to_owned())
        .spawn(move || stopped.recv())
        .unwrap();
    // A thread has its name once it runs; the name is what the operator needs.
    while !super::status::threads()
        .unwrap()
        .iter()
        .any(|thread| thread.name == "poller")
    {
        thread::yield_now();
    }
    let error = drop_to(Keep::default(), true).unwrap_err();
    assert!(matches!(&error, DropError::Threads(names) if names.len() == 2));
    assert!(error.to_string().contains("poller ("), "{error}");
    assert_eq!(
        Privileges::current().unwrap(),
        before,
        "nothing was dropped"
    );
    // With all kept there is nothing to drop, and threads don't matter.
    assert!(drop_to(Keep::All, false).is_ok());
    drop(stop);
    let _ = other.join();
    ready();
}

/// The scenarios start from the privileges of root.
fn privileged() -> bool {
    let wanted = [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_CHOWN, CAP_SETPCAP];
    let wanted = CapabilitySet::of(&wanted);
    let missing = wanted.without(Privileges::current().unwrap().permitted);
    if !missing.is_empty() {
        let _ = writeln!(std::io::stderr(), "skipped: needs {missing}");
    }
    missing.is_empty()
}

#[test]
fn all_five_sets_of_all_threads_are_cut_down_root() {
    if !privileged() {
        return;
    }
    let player = Player::start("default");
    // Bits 39 (CAP_BPF) and 38 (CAP_PERFMON).
    for field in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(player.status(field), ["000000c000000000"; 2], "{field}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert_eq!(player.status(field), ["0000000000000000"; 2], "{field}");
    }
    assert_eq!(player.status("NoNewPrivs"), ["1"; 2]);
    player.end();
}

#[test]
fn everything_can_be_dropped_root() {
    if !privileged() {
        return;
    }
    let player = Player::start("none");
    for field in ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"] {
        assert_eq!(player.status(field), ["0000000000000000"], "{field}");
    }
    assert_eq!(player.status("NoNewPrivs"), ["1"]);
    player.end();
}

#[test]
fn keeping_all_changes_nothing() {
    let player = Player::start("all");
    let own = fs::read_to_string("/proc/self/status").unwrap();
    for field in ["CapPrm", "CapEff", "CapBnd", "NoNewPrivs"] {
        assert!(own.contains(&format!("{field}:\t{}\n", player.status(field)[0])));
    }
    player.end();
}

#[test]
fn a_capability_that_is_not_there_is_reported_root() {
    if privileged() {
        let player = Player::start("missing");
        assert_eq!(player.status("CapEff"), ["0000008000000000"]);
        player.end();
    }
}

#[test]
fn the_bounding_set_stays_without_setpcap_root() {
    if privileged() {
        let player = Player::start("without setpcap");
        assert_eq!(player.status("CapPrm"), ["0000008000000000"]);
        assert_eq!(player.status("NoNewPrivs"), ["1"]);
        player.end();
    }
}

#[test]
fn permitted_but_not_effective_is_enough_root() {
    if privileged() {
        let player = Player::start("not effective");
        for field in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(player.status(field), ["0000008000000000"], "{field}");
        }
        player.end();
    }
}

#[test]
fn other_threads_are_named_and_nothing_is_dropped_root() {
    if privileged() {
        Player::start("threads").end();
    }
}
