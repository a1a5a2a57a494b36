//! The processes of a host, found in /proc by their parents and names: the loader, which the test
//! has started, the starter below it, and below that the server and the compilers.
//!
//! Sums are over all of them. What there is of a host that is one process (`--server.split=off`, or
//! a program from before the split) is its loader.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use super::sys::process_time;
use super::within;

pub(crate) const LOADER: &str = "exporter-load";
pub(crate) const STARTER: &str = "exporter-start";
pub(crate) const SERVER: &str = "exporter-serve";
pub(crate) const COMPILER: &str = "exporter-comp";

/// What all names of a host's processes begin with.
const PREFIX: &str = "exporter-";

/// Whether hosts are several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    On,
    /// Loader and server are threads of one process.
    Off,
    /// The program knows no halves: to compare with it.
    Unknown,
}

impl Split {
    /// What `EXPORTER_TEST_SPLIT` wants of all hosts: nothing, `off` or `unknown`.
    pub(crate) fn wanted() -> Self {
        match env::var("EXPORTER_TEST_SPLIT").as_deref() {
            Err(_) | Ok("" | "on") => Self::On,
            Ok("off") => Self::Off,
            Ok("unknown") => Self::Unknown,
            Ok(other) => panic!("expected on, off or unknown in EXPORTER_TEST_SPLIT, not {other}"),
        }
    }
}

/// Whether tests that are about several processes have nothing to look at. Says so.
pub(crate) fn one_process() -> bool {
    let one = Split::wanted() != Split::On;
    if one {
        eprintln!("nothing to see: EXPORTER_TEST_SPLIT has every host be one process");
    }
    one
}

/// What /proc/PID/stat says of a process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: String,
    parent: u32,
    /// Of user and system, of children that were waited for: clock ticks.
    waited_for: u64,
}

impl Process {
    /// Whether its files in /proc are root's whoever it is: nobody of its user may look into it.
    pub(crate) fn is_closed_to_its_user(&self) -> bool {
        fs::metadata(format!("/proc/{}/environ", self.pid)).is_ok_and(|file| file.uid() == 0)
    }

    /// None: there is no such process, or it has ended and nobody has waited for it.
    fn read(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may have anything in it.
        let (begin, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and these begin with the third.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        if matches!(fields.first(), Some(&("Z" | "X"))) {
            return None;
        }
        Some(Self {
            pid,
            name: begin.split_once('(')?.1.to_owned(),
            parent: u32::try_from(number(4)?).ok()?,
            waited_for: number(16)? + number(17)?,
        })
    }

    /// All of the machine.
    fn all() -> BTreeMap<u32, Self> {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Self::read(pid)?)))
            .collect()
    }

    /// Whether one of its arguments has this in it. Forked processes have those of their parents.
    fn was_started_with(&self, word: &str) -> bool {
        let arguments = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.any(|argument| String::from_utf8_lossy(argument).contains(word))
    }
}

/// The processes of one host.
#[derive(Debug)]
pub(crate) struct Tree {
    loader: u32,
    split: Split,
    /// What is in an argument of this host, and of no other one: its config directory.
    mark: String,
}

impl Tree {
    pub(super) fn new(loader: u32, split: Split, mark: String) -> Self {
        Self {
            loader,
            split,
            mark,
        }
    }

    pub(crate) fn is_split(&self) -> bool {
        self.split == Split::On
    }

    pub(crate) fn loader(&self) -> u32 {
        self.loader
    }

    pub(crate) fn starter(&self) -> u32 {
        self.the_only(STARTER, 0)
    }

    /// The server that there is now.
    pub(crate) fn server(&self) -> u32 {
        self.the_only(SERVER, 0)
    }

    /// The server after this one.
    pub(crate) fn server_after(&self, old: u32) -> u32 {
        self.the_only(SERVER, old)
    }

    /// Waits for a process of this name that is not `old`. The loader is all of them where nothing
    /// is split.
    fn the_only(&self, name: &str, old: u32) -> u32 {
        if !self.is_split() {
            return self.loader;
        }
        // A server that hangs is given 30 seconds before another one comes.
        let what = format!("there is another {name} than {old}");
        within(Duration::from_secs(60), &what, || {
            let mut found = self.processes();
            found.retain(|process| process.name == name && process.pid != old);
            (found.len() == 1).then(|| found[0].pid)
        })
    }

    /// All that there are now, the loader first. What a wrapper has started beside it is none.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut all = Process::all();
        let mut found: Vec<Process> = all.remove(&self.loader).into_iter().collect();
        let mut looked_at = 0;
        while let Some(parent) = found.get(looked_at).map(|process| process.pid) {
            found.extend(
                all.values()
                    .filter(|process| process.parent == parent && process.name.starts_with(PREFIX))
                    .cloned(),
            );
            looked_at += 1;
        }
        found
    }

    /// Those but the loader.
    pub(crate) fn others(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|process| process.pid != self.loader);
        all
    }

    /// Bytes of memory: the proportional set size, in which a page that forked processes share
    /// counts once.
    pub(crate) fn memory(&self) -> u64 {
        let processes = self.processes().into_iter();
        processes.filter_map(|process| memory(process.pid)).sum()
    }

    /// The most memory since `forget_peak`: what there is now, and how much more each process has
    /// had resident at some time.
    pub(crate) fn peak(&self) -> u64 {
        let more = self.processes().into_iter().filter_map(|process| {
            let status = status(process.pid)?;
            let now = kibibytes(&status, "VmRSS:")?;
            Some(kibibytes(&status, "VmHWM:")?.saturating_sub(now))
        });
        self.memory() + more.sum::<u64>()
    }

    pub(crate) fn forget_peak(&self) {
        for process in self.processes() {
            fs::write(format!("/proc/{}/clear_refs", process.pid), "5").unwrap();
        }
    }

    /// CPU time of all threads, of those and of the processes that have ended too (these to 10 ms).
    pub(crate) fn cpu(&self) -> Duration {
        let times = self.processes().into_iter().map(|process| {
            let waited_for = Duration::from_millis(process.waited_for * 10);
            process_time(process.pid).unwrap_or_default() + waited_for
        });
        times.sum()
    }

    pub(crate) fn descriptors(&self) -> usize {
        let processes = self.processes().into_iter();
        processes.map(|process| descriptors(process.pid)).sum()
    }

    /// Those that are left of an ended host after this time, at most; none as soon as there are
    /// none.
    pub(super) fn left_after(&self, limit: Duration) -> Vec<Process> {
        let deadline = Instant::now() + limit;
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() > deadline {
                return left;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Processes of this host, or of one with the same config directory that has ended: none of
    /// them is below a loader that lives.
    fn left(&self) -> Vec<Process> {
        // A host without a config directory ends before it starts anything.
        if self.mark.is_empty() {
            return Vec::new();
        }
        let all = Process::all();
        let below_a_loader = |process: &Process| {
            let mut at = process;
            while at.name.starts_with(PREFIX) && at.name != LOADER {
                let Some(parent) = all.get(&at.parent) else {
                    return false;
                };
                at = parent;
            }
            at.name == LOADER && at.pid != self.loader
        };
        let of_host = all.values().filter(|process| {
            process.name.starts_with(PREFIX)
                && process.was_started_with(&self.mark)
                && !below_a_loader(process)
        });
        of_host.cloned().collect()
    }
}

/// Bytes of memory of a process, and its part of what it shares with others.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    kibibytes(&rollup, "Pss:")
}

/// Descriptors that a process has open now.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Bytes that a process has resident now, those that it shares too.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = status(pid).expect("the process runs");
    kibibytes(&status, "VmRSS:").unwrap()
}

fn status(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/status")).ok()
}

/// A field of so many kB, in bytes.
fn kibibytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let number = line.trim().strip_suffix("kB")?.trim();
    Some(number.parse::<u64>().ok()? * 1024)
}
