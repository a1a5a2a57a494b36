//! What the kernel thread is to do. A unit that somebody waits for comes before everything else;
//! what is asked for twice is done once; and however much is asked, the memory for it is bounded.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Names of units that are waited for, or idle. Those that nobody knows cost a place, no more.
const MAX_NAMES: usize = 4096;
/// Requests for a reload that are answered by the next one: more than there are connections.
const MAX_RELOADS: usize = 1024;
/// Units that are started in a row while something else waits.
const MAX_STARTS: usize = 16;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Start(String),
    Idle(String),
    /// For those who asked.
    Reload(Vec<Asked>),
    /// A new server cannot open the version of this unit that the one before served.
    Lost(String, String),
    FollowMachine,
    /// The time has come.
    Due,
    /// The host cannot go on.
    Fail(String),
    Stop,
}

/// A request for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The server that it came to.
    pub(crate) server: u64,
    /// That server's number of it.
    pub(crate) id: u64,
}

#[derive(Default)]
pub(crate) struct Tasks {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    starts: VecDeque<String>,
    /// That have been taken since something else was.
    in_a_row: usize,
    lost: VecDeque<(String, String)>,
    idle: BTreeSet<String>,
    reload: Option<Vec<Asked>>,
    machine: bool,
    fail: Option<String>,
    stop: bool,
}

impl Tasks {
    pub(crate) fn start(&self, unit: String) {
        self.add(|waiting| {
            if waiting.starts.len() < MAX_NAMES && !waiting.starts.contains(&unit) {
                waiting.starts.push_back(unit);
            }
        });
    }

    pub(crate) fn idle(&self, unit: String) {
        self.add(|waiting| {
            if waiting.idle.len() < MAX_NAMES {
                waiting.idle.insert(unit);
            }
        });
    }

    pub(crate) fn reload(&self, asked: Option<Asked>) {
        self.add(|waiting| {
            let ids = waiting.reload.get_or_insert_default();
            if ids.len() < MAX_RELOADS {
                ids.extend(asked);
            }
        });
    }

    /// A new server cannot open a unit, for this reason.
    pub(crate) fn lost(&self, unit: String, why: String) {
        self.add(|waiting| {
            if waiting.lost.len() < MAX_NAMES {
                waiting.lost.push_back((unit, why));
            }
        });
    }

    pub(crate) fn follow_machine(&self) {
        self.add(|waiting| waiting.machine = true);
    }

    /// The host cannot go on, for this reason.
    pub(crate) fn fail(&self, why: String) {
        self.add(|waiting| waiting.fail = Some(why));
    }

    pub(crate) fn stop(&self) {
        self.add(|waiting| waiting.stop = true);
    }

    fn add(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock());
        self.changed.notify_all();
    }

    /// A unit that somebody waits for, if there is one.
    pub(crate) fn take_start(&self) -> Option<String> {
        self.waiting.lock().starts.pop_front()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.stop || waiting.fail.is_some()
    }

    /// Waits for the next task, at most until `due`.
    pub(crate) fn next(&self, due: Option<Instant>) -> Task {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(task) = waiting.take() {
                return task;
            }
            match due {
                None => self.changed.wait(&mut waiting),
                Some(due) => {
                    if self.changed.wait_until(&mut waiting, due).timed_out() {
                        return waiting.take().unwrap_or(Task::Due);
                    }
                }
            }
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Task> {
        if let Some(why) = self.fail.take() {
            return Some(Task::Fail(why));
        }
        if self.stop {
            return Some(Task::Stop);
        }
        if self.in_a_row < MAX_STARTS
            && let Some(unit) = self.starts.pop_front()
        {
            self.in_a_row += 1;
            return Some(Task::Start(unit));
        }
        self.in_a_row = 0;
        if let Some((unit, why)) = self.lost.pop_front() {
            return Some(Task::Lost(unit, why));
        }
        if let Some(unit) = self.idle.pop_first() {
            return Some(Task::Idle(unit));
        }
        if std::mem::take(&mut self.machine) {
            return Some(Task::FollowMachine);
        }
        if let Some(asked) = self.reload.take() {
            return Some(Task::Reload(asked));
        }
        self.starts.pop_front().map(Task::Start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for_comes_first_and_nothing_is_done_twice() {
        let tasks = Tasks::default();
        let asked = |id| Asked { server: 1, id };
        tasks.reload(Some(asked(1)));
        tasks.follow_machine();
        tasks.reload(Some(asked(2)));
        tasks.idle("b".into());
        tasks.start("a".into());
        tasks.start("a".into());
        let order: Vec<Task> = (0..4).map(|_| tasks.next(None)).collect();
        let expected = [
            Task::Start("a".into()),
            Task::Idle("b".into()),
            Task::FollowMachine,
            Task::Reload(vec![asked(1), asked(2)]),
        ];
        assert_eq!(order, expected);
        assert_eq!(tasks.next(Some(Instant::now())), Task::Due);
        tasks.stop();
        assert_eq!(tasks.next(None), Task::Stop);
    }

    #[test]
    fn a_flood_is_bounded() {
        let tasks = Tasks::default();
        for number in 0..100_000_u64 {
            tasks.start(number.to_string());
            tasks.idle(number.to_string());
            tasks.reload(Some(Asked {
                server: 1,
                id: number,
            }));
        }
        let waiting = tasks.waiting.lock();
        assert_eq!(waiting.starts.len(), MAX_NAMES);
        assert_eq!(waiting.idle.len(), MAX_NAMES);
        assert_eq!(waiting.reload.as_ref().map(Vec::len), Some(MAX_RELOADS));
    }
}
