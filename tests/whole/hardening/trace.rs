//! What the processes of a host ask of the kernel, as strace(1) sees it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use crate::harness::sys::SIGTERM;
use crate::harness::{Host, Setup, eventually};

/// A system call of one of the processes.
#[derive(Debug)]
struct Call {
    thread: u32,
    /// The thread's process, by its id.
    process: u32,
    text: String,
}

impl Call {
    fn name(&self) -> &str {
        self.text.split_once('(').map_or("", |(name, _)| name)
    }

    fn is(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.text.contains(word))
    }

    /// Whether it makes a process or a thread, and then which.
    fn made(&self) -> Option<u32> {
        if !["clone", "clone3", "fork", "vfork"].contains(&self.name()) {
            return None;
        }
        let (_, result) = self.text.rsplit_once(" = ")?;
        result.split(' ').next()?.parse().ok()
    }
}

/// The system calls of a host, in the order in which they began.
pub(super) struct Trace {
    calls: Vec<Call>,
    /// Of the processes, by their ids: as they call themselves.
    names: BTreeMap<u32, String>,
}

impl Trace {
    /// Runs the host under strace with what comes before its name, lets `work` do something with it
    /// and stops it.
    pub(super) fn of(setup: Setup, wrapper: &[String], work: impl FnOnce(&Host)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("trace");
        let path = file.display().to_string();
        // -D: the host stays our own child, and strace is one of its.
        let mut words = vec!["strace", "-D", "-f", "-s", "256", "-o", &path, "--"];
        words.extend(wrapper.iter().map(String::as_str));
        let nothing = fs::File::open("/dev/null").unwrap();
        let host = setup.wrapped(&words, nothing.into()).start();
        let loader = host.loader();
        work(&host);
        host.stop_by(SIGTERM);
        eventually("strace is done", || {
            let trace = Self::read(&fs::read_to_string(&file).ok()?, loader);
            trace.filter(|trace| !trace.calls.is_empty())
        })
    }

    /// None: not all of its processes have ended yet.
    fn read(text: &str, loader: u32) -> Option<Self> {
        let mut calls: Vec<Call> = Vec::new();
        let mut unfinished: HashMap<u32, usize> = HashMap::new();
        let mut ended = BTreeSet::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ')?;
            let (thread, rest) = (thread.parse().ok()?, rest.trim_start());
            if rest.starts_with("+++ ") {
                ended.insert(thread);
            } else if let Some(rest) = rest.strip_prefix("<... ") {
                let at = unfinished.remove(&thread);
                if let (Some(at), Some((_, rest))) = (at, rest.split_once("resumed>")) {
                    calls[at].text.push_str(rest);
                }
            } else if rest.starts_with(|first: char| first.is_ascii_lowercase()) {
                let begun = rest.strip_suffix("<unfinished ...>");
                if begun.is_some() {
                    unfinished.insert(thread, calls.len());
                }
                calls.push(Call {
                    thread,
                    process: thread,
                    text: begun.unwrap_or(rest).to_owned(),
                });
            }
        }
        // What comes before is not the host's doing.
        let begin = calls
            .iter()
            .rposition(|call| call.thread == loader && call.name() == "execve")?;
        calls.drain(..=begin);
        let mut processes = HashMap::from([(loader, loader)]);
        let mut names = BTreeMap::new();
        for call in &mut calls {
            call.process = *processes.entry(call.thread).or_insert(call.thread);
            if let Some(made) = call.made() {
                let process = if call.is(&["CLONE_THREAD"]) {
                    call.process
                } else {
                    made
                };
                processes.insert(made, process);
            }
            if call.thread == call.process && call.is(&["prctl(PR_SET_NAME, \"exporter-"]) {
                let name = call.text.split('"').nth(1)?;
                names.insert(call.process, name.to_owned());
            }
        }
        let all_ended = processes.values().all(|process| ended.contains(process));
        all_ended.then_some(Self { calls, names })
    }

    /// The calls with all these words of a process of this name, and where they are.
    fn of_process(&self, name: &str, words: &[&str]) -> Vec<(usize, &Call)> {
        let calls = self.calls.iter().enumerate();
        let found = calls.filter(|(_, call)| {
            self.names.get(&call.process).is_some_and(|of| of == name) && call.is(words)
        });
        found.collect()
    }

    /// Where the first call with all these words is, of a process of this name.
    pub(super) fn first(&self, name: &str, words: &[&str]) -> usize {
        let found = self.of_process(name, words);
        found
            .first()
            .map_or_else(|| self.has_none(name, words), |(at, _)| *at)
    }

    /// Where the last one is.
    pub(super) fn last(&self, name: &str, words: &[&str]) -> usize {
        let found = self.of_process(name, words);
        found
            .last()
            .map_or_else(|| self.has_none(name, words), |(at, _)| *at)
    }

    fn has_none(&self, name: &str, words: &[&str]) -> ! {
        let all = self.from(0, name, &[]);
        panic!("{name} has a call with {words:?}:\n{}", all.join("\n"))
    }

    /// Where the first process is made by this one: not a thread.
    pub(super) fn forks(&self, name: &str) -> usize {
        let calls = self.of_process(name, &[]);
        let mut forks = calls
            .into_iter()
            .filter(|(_, call)| call.made().is_some() && !call.is(&["CLONE_THREAD"]));
        forks
            .next()
            .map_or_else(|| self.has_none(name, &["clone"]), |(at, _)| at)
    }

    /// The calls of a process of this name with all these words, from this place on.
    pub(super) fn from(&self, at: usize, name: &str, words: &[&str]) -> Vec<&str> {
        let calls = self.of_process(name, words).into_iter();
        calls
            .filter(|(index, _)| *index >= at)
            .map(|(_, call)| call.text.as_str())
            .collect()
    }

    /// All calls of all processes.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.calls.iter().map(|call| call.text.as_str())
    }

    pub(super) fn names(&self) -> BTreeSet<&str> {
        let names = self.calls.iter().map(Call::name);
        names.filter(|name| !name.is_empty()).collect()
    }
}
