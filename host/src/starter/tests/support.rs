//! What the parts share: what their servers and compilers do, talking to them, and waiting.

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open};

use super::super::{
    ChildId, CompilerStart, Entries, Exited, How, NewServer, ServerStart, Starter, leave_with,
    start,
};
use crate::cli::settings::Settings;
use crate::cli::{self, Command};
use crate::link::{Receiver, Sender};
use crate::privileges::ServerPaths;

/// How long a test waits for what is to come at once.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) const ENTRIES: Entries = Entries {
    server: serve,
    compiler: compile,
};

pub(super) const NO_HARDENING: [&str; 4] = [
    "--hardening.no-new-privs=off",
    "--hardening.landlock=off",
    "--hardening.seccomp=off",
    "--capabilities.keep=all",
];

pub(super) fn settings(flags: &[&str]) -> Settings {
    let all = ["exporter-host", "--config.dir=/tmp"].iter().chain(flags);
    match cli::parse(all.map(Into::into)) {
        Ok(Command::Serve(settings)) => *settings,
        _ => panic!("expected settings"),
    }
}

/// To stderr, also that of the processes that are forked.
pub(super) fn log() {
    settings(&NO_HARDENING).log.install().unwrap();
}

pub(super) fn unconfined() -> Starter {
    start(&settings(&NO_HARDENING), None, false, ENTRIES).unwrap()
}

/// A server: does what each message says.
fn serve(_: &Settings, start: ServerStart) -> ExitCode {
    leave_with(start.lifeline).unwrap();
    let answers = Sender::direct(start.socket.try_clone().unwrap());
    let mut requests = Receiver::new(start.socket);
    while let Some(request) = requests.receive::<String>().unwrap() {
        let answer = match request.message.as_str() {
            "pid" => getpid().as_raw_nonzero().to_string(),
            "comm" => read("/proc/self/comm"),
            "oom" => read("/proc/self/oom_score_adj"),
            "status" => read("/proc/self/status"),
            "descriptors" => descriptors("self").len().to_string(),
            "panic" => panic!("as asked"),
            "leave" => return ExitCode::from(3),
            other => panic!("{other}"),
        };
        answers.send(&answer, &[]).unwrap();
    }
    ExitCode::SUCCESS
}

/// A compiler: answers with the bytes of its component.
fn compile(start: CompilerStart) {
    let mut bytes = [0; 64];
    let count = rustix::io::pread(&start.component, &mut bytes, 0).unwrap();
    let text = str::from_utf8(&bytes[..count]).unwrap();
    let comm = read("/proc/self/comm");
    let open = descriptors("self").len();
    let pid = getpid().as_raw_nonzero();
    let answer = format!("{text} {comm} {pid} {open}");
    Sender::direct(start.answer).send(&answer, &[]).unwrap();
}

pub(super) fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap().trim().to_owned()
}

/// Without the one that reads the directory.
pub(super) fn descriptors(process: &str) -> BTreeSet<String> {
    let names = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let mut names: BTreeSet<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| fs::read_link(format!("/proc/{process}/fd/{name}")).is_ok());
    names
}

pub(super) struct Talk {
    sender: Sender,
    pub(super) receiver: Receiver,
}

impl Talk {
    pub(super) fn with(server: &NewServer) -> Self {
        let socket = || server.socket.try_clone().unwrap();
        Self {
            sender: Sender::direct(socket()),
            receiver: Receiver::new(socket()),
        }
    }

    pub(super) fn tell(&self, request: &str) {
        self.sender.send(&request.to_owned(), &[]).unwrap();
    }

    pub(super) fn ask(&mut self, request: &str) -> String {
        self.tell(request);
        self.receiver.receive().unwrap().unwrap().message
    }
}

pub(super) fn new_server(starter: &Starter) -> NewServer {
    starter.start_server(&ServerPaths::default()).unwrap()
}

pub(super) fn next(exits: &mpsc::Receiver<Exited>) -> (ChildId, How) {
    let Exited { child, how } = exits.recv_timeout(TIMEOUT).unwrap();
    (child, how)
}

/// A process that may end.
pub(super) fn watch(pid: u32) -> impl FnOnce() {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    let watched = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    move || {
        let mut waiting = [PollFd::new(&watched, PollFlags::IN)];
        let soon = Timespec::try_from(TIMEOUT).unwrap();
        assert_eq!(poll(&mut waiting, Some(&soon)).unwrap(), 1, "{pid:?} stays");
    }
}

/// Children of the starter, zombies among them.
pub(super) fn children(starter: &Starter) -> usize {
    let pid = starter.pid();
    let children = read(&format!("/proc/{pid}/task/{pid}/children"));
    children.split_whitespace().count()
}

/// For what has no event to wait for.
pub(super) fn eventually(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < TIMEOUT);
        thread::yield_now();
    }
}

pub(super) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}
