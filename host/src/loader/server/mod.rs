//! The server as the loader sees it: started, told everything, asked, watched, and started again
//! when it dies, without a count of a map lost.
//!
//! Owns the channel, what a new server has to be told (`snapshot`), how often one is started
//! (`pace`) and whether it answers (`pulse`). Does not know what a unit is made of.
//!
//! One thread (`server-link`) starts servers and receives; whoever tells something sends at once
//! and never waits; whoever asks waits for the answer, over the death of a server too.
//!
//! Lock order: `shared` is the only lock, and nothing else is locked while it is held.

mod files;
mod handle;
mod pace;
mod pulse;
mod snapshot;
mod spawn;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::files::FileQuestion;
use self::snapshot::Snapshot;
use super::tasks::{Asked, Tasks};
use super::units::Audience;
use crate::config::{Diagnostic, MetricSource};
use crate::digest::Digest;
use crate::link::{PluginMessage, SendError, Sender, ServedUnit, ToServer, UnitStatus, WatchMode};
use crate::privileges::ServerPaths;

pub(crate) use self::files::Granted;
pub(crate) use self::snapshot::Welcome;
pub(crate) use self::spawn::Spawner;

/// How long a server may take to open a unit. After that the version before stays.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// The same for all plugins at once: some may be large.
const PLUGINS_LIMIT: Duration = Duration::from_secs(60);
/// The same where there has been no server for longer than that.
const ABSENT_LIMIT: Duration = Duration::from_secs(1);
/// How long whoever is to see what was done waits for it.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
/// How long the first server may take to say that it has started.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The server, whichever one is up.
pub(crate) struct ServerLink {
    shared: Mutex<Shared>,
    changed: Condvar,
    spawner: Spawner,
    /// What servers ask of the kernel thread.
    tasks: Arc<Tasks>,
    /// What they ask of files.
    files: SyncSender<FileQuestion>,
}

/// Descriptors that a new server gets again.
pub(crate) type Descriptors = Arc<Vec<OwnedFd>>;

struct Shared {
    /// Servers that have been started.
    servers: u64,
    /// The one that is being told everything, or has been.
    connection: Option<Connection>,
    snapshot: Snapshot,
    /// What was said while a new server was being told what there was before.
    backlog: Vec<(ToServer, Descriptors)>,
    /// Who waits for what, and what has come.
    questions: BTreeMap<Question, Option<Answer>>,
    /// Of the newest server.
    started: Option<Started>,
    /// The components that servers have, by name.
    plugins: BTreeMap<String, Digest>,
    /// Since when there has been no server that is up.
    absent: Option<Instant>,
    stopping: bool,
}

struct Connection {
    number: u64,
    sender: Sender,
    child: spawn::Child,
    /// It has been told everything: what is said from now on is sent at once.
    up: bool,
    /// It has done everything that it was told at first.
    settled: bool,
    /// It is to end, for another one with wider grants.
    leaving: bool,
    /// The number of the last ping that it has answered, and when.
    pong: (u64, Instant),
}

/// What a server has said about itself.
#[derive(Debug, Clone)]
pub(crate) struct Started {
    /// What the hardening check found to be allowed.
    pub(crate) allowed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Plugins(u64),
    Opened(String, u64),
    Passed(u64),
}

#[derive(Debug)]
enum Answer {
    Passed,
    Plugins(PluginsOpened),
    Opened(Result<Vec<(String, Digest)>, Refusal>),
}

/// What became of the plugins.
#[derive(Debug)]
pub(crate) struct PluginsOpened {
    /// Path and reason.
    pub(crate) failed: Vec<(String, String)>,
    pub(crate) versions: BTreeMap<String, Digest>,
}

/// Why a version cannot be opened.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) why: String,
    pub(crate) retryable: bool,
    /// Metrics without which it could be opened, by their indices, with what is wrong with each.
    pub(crate) metrics: Vec<(usize, Diagnostic)>,
}

/// A version that a server has opened.
#[derive(Debug)]
pub(crate) struct OpenedVersion {
    /// With their versions.
    pub(crate) plugins: Vec<(String, Digest)>,
    /// By which server.
    number: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("the host is stopping")]
    Stopping,
    #[error("no server answered within {0:?}: see the log for why none runs")]
    Late(Duration),
    #[error("the server died twice while it was doing this: see the log")]
    Died,
    #[error("the server cannot be asked: {0}")]
    Unsent(String),
}

impl ServerLink {
    /// The server that there is, now or when it is up.
    fn ask(
        &self,
        question: &Question,
        limit: Duration,
        message: impl Fn() -> ToServer,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Answer, u64), AskError> {
        const MAX_DEATHS: usize = 2;
        let mut shared = self.shared.lock();
        // Nobody waits for each of many units while there is no server for long.
        let absent = shared.absent.is_some_and(|since| since.elapsed() > limit);
        let limit = if absent { ABSENT_LIMIT } else { limit };
        let deadline = Instant::now() + limit;
        let mut deaths = 0;
        loop {
            let number = loop {
                if shared.stopping || self.tasks.is_stopping() {
                    return Err(AskError::Stopping);
                }
                match &shared.connection {
                    Some(connection) if connection.up => break connection.number,
                    _ => {}
                }
                if self.changed.wait_until(&mut shared, deadline).timed_out() {
                    return Err(AskError::Late(limit));
                }
            };
            shared.questions.insert(question.clone(), None);
            if let Err(error) = shared.try_send(&message(), descriptors) {
                shared.questions.remove(question);
                return Err(AskError::Unsent(error.to_string()));
            }
            loop {
                if let Some(Some(_)) = shared.questions.get(question)
                    && let Some(Some(answer)) = shared.questions.remove(question)
                {
                    return Ok((answer, number));
                }
                if shared.stopping || self.tasks.is_stopping() {
                    return Err(AskError::Stopping);
                }
                let alive = shared.connection.as_ref().map(|known| known.number);
                if alive != Some(number) {
                    deaths += 1;
                    if deaths == MAX_DEATHS {
                        shared.questions.remove(question);
                        return Err(AskError::Died);
                    }
                    break;
                }
                if self.changed.wait_until(&mut shared, deadline).timed_out() {
                    shared.questions.remove(question);
                    return Err(AskError::Late(limit));
                }
            }
        }
    }

    /// Waits until the first server has said what it is.
    pub(crate) fn wait_started(&self) -> Result<Started, AskError> {
        let deadline = Instant::now() + START_LIMIT;
        let mut shared = self.shared.lock();
        loop {
            if let Some(started) = &shared.started {
                return Ok(started.clone());
            }
            if shared.stopping || self.tasks.is_stopping() {
                return Err(AskError::Stopping);
            }
            if self.changed.wait_until(&mut shared, deadline).timed_out() {
                return Err(AskError::Late(START_LIMIT));
            }
        }
    }

    /// All plugins from now on, with their compiled code: what the server has is not sent again.
    pub(crate) fn plugins(
        &self,
        id: u64,
        plugins: Vec<PluginMessage>,
        compiled: Vec<OwnedFd>,
    ) -> Result<PluginsOpened, AskError> {
        let compiled = Arc::new(compiled);
        let (mut message_plugins, mut new) = (plugins.clone(), Vec::new());
        let before = {
            let mut shared = self.shared.lock();
            let mut code = compiled.iter();
            for plugin in message_plugins.iter_mut().filter(|plugin| plugin.compiled) {
                let code = code.next();
                plugin.compiled = shared.plugins.get(&plugin.name) != Some(&plugin.digest);
                if plugin.compiled {
                    new.extend(code.map(AsFd::as_fd));
                }
            }
            let all = Some((plugins.clone(), Arc::clone(&compiled)));
            std::mem::replace(&mut shared.snapshot.plugins, all)
        };
        let message = || ToServer::Plugins {
            id,
            plugins: message_plugins.clone(),
        };
        let answer = self.ask(&Question::Plugins(id), PLUGINS_LIMIT, message, &new);
        let mut shared = self.shared.lock();
        match answer {
            Ok((Answer::Plugins(opened), _)) => {
                shared.plugins = plugins
                    .into_iter()
                    .filter(|plugin| opened.versions.contains_key(&plugin.name))
                    .map(|plugin| (plugin.name, plugin.digest))
                    .collect();
                Ok(opened)
            }
            other => {
                // What ends servers is not what the next one is told.
                shared.snapshot.plugins = before;
                Err(other.err().unwrap_or(AskError::Died))
            }
        }
    }

    /// Waits, not for long, until what was said before has been done.
    pub(crate) fn settle(&self, number: u64) {
        let message = || ToServer::Barrier { number };
        // Where there is no server there is nothing to wait for.
        let _ = self.ask(&Question::Passed(number), SETTLE_LIMIT, message, &[]);
    }

    /// The metrics of the version in service that are shown from 0.
    pub(crate) fn held(&self, unit: &str) -> Vec<String> {
        let shared = self.shared.lock();
        let served = shared.snapshot.units.get(unit);
        served
            .map(|(served, _)| served.held.clone())
            .unwrap_or_default()
    }

    /// Has a version opened, beside the one in service. `Err` of the inner result: why it cannot
    /// be.
    pub(crate) fn open(
        &self,
        unit: &ServedUnit,
        descriptors: &[OwnedFd],
    ) -> Result<Result<OpenedVersion, Refusal>, AskError> {
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let question = Question::Opened(unit.config.name.clone(), unit.generation);
        let message = || ToServer::Open(Box::new(unit.clone()));
        match self.ask(&question, OPEN_LIMIT, message, &borrowed)? {
            (Answer::Opened(outcome), number) => {
                Ok(outcome.map(|plugins| OpenedVersion { plugins, number }))
            }
            _ => Err(AskError::Died),
        }
    }

    /// What is wrong with a config for reasons that the loader knows, with what the plugins add.
    pub(crate) fn explain(
        &self,
        message: impl Fn() -> ToServer,
        unit: &str,
        generation: u64,
    ) -> Option<String> {
        let question = Question::Opened(unit.to_owned(), generation);
        match self.ask(&question, OPEN_LIMIT, message, &[]) {
            Ok((Answer::Opened(Err(refusal)), _)) => Some(refusal.why),
            _ => None,
        }
    }

    /// A version that has been opened is attached: it is served from now on.
    pub(crate) fn serve(
        &self,
        opened: &OpenedVersion,
        unit: ServedUnit,
        descriptors: Vec<OwnedFd>,
    ) {
        let descriptors = Arc::new(descriptors);
        let mut shared = self.shared.lock();
        let serve = ToServer::Serve {
            unit: unit.config.name.clone(),
            generation: unit.generation,
        };
        let same = shared.connection.as_ref().map(|known| known.number) == Some(opened.number);
        if !same {
            // It was opened by a server that is no more.
            shared.tell(ToServer::Open(Box::new(unit.clone())), &descriptors);
        }
        shared.tell(serve, &Arc::default());
        if let Some((before, _)) = shared.snapshot.units.get(&unit.config.name)
            && before.kernel_side != unit.kernel_side
        {
            shared.snapshot.holds.remove(&unit.config.name);
        }
        shared
            .snapshot
            .units
            .insert(unit.config.name.clone(), (unit, descriptors));
    }

    /// A version that has been opened does not come into service.
    pub(crate) fn discard(&self, unit: &str, generation: u64) {
        let unit = unit.to_owned();
        let mut shared = self.shared.lock();
        shared.tell(ToServer::Discard { unit, generation }, &Arc::default());
    }

    /// Nothing of the unit is in service any more.
    pub(crate) fn withdraw(&self, unit: &str) {
        let mut shared = self.shared.lock();
        shared.snapshot.units.remove(unit);
        shared.snapshot.holds.remove(unit);
        let unit = unit.to_owned();
        shared.tell(ToServer::Withdraw { unit }, &Arc::default());
    }

    /// The unit is gone for good.
    pub(crate) fn forget(&self, unit: &str) {
        let mut shared = self.shared.lock();
        shared.snapshot.units.remove(unit);
        shared.snapshot.holds.remove(unit);
        shared.snapshot.statuses.remove(unit);
        let unit = unit.to_owned();
        shared.tell(ToServer::Forget { unit }, &Arc::default());
    }

    fn say_status(&self, status: UnitStatus) {
        let mut shared = self.shared.lock();
        let name = status.unit.clone();
        shared
            .snapshot
            .statuses
            .insert(name, (status.clone(), Instant::now()));
        shared.tell(ToServer::Status(Box::new(status)), &Arc::default());
    }

    /// From the next server on this metric of the version in service is shown from 0. Counted
    /// samples are, by themselves: the next server begins to count those that it finds waiting.
    pub(crate) fn hold(&self, unit: &str, metric: &str) {
        let mut shared = self.shared.lock();
        let Some((served, _)) = shared.snapshot.units.get(unit) else {
            return;
        };
        let mut metrics = served.metrics.iter();
        if metrics.any(|one| one.name == metric && one.source == MetricSource::Map) {
            let holds = shared.snapshot.holds.entry(unit.to_owned()).or_default();
            holds.insert(metric.to_owned());
        }
    }

    /// One more perf buffer of a unit in service.
    pub(crate) fn perf_buffer(
        &self,
        unit: &str,
        map: &str,
        metric: &str,
        cpu: u32,
        buffer: OwnedFd,
    ) {
        let mut shared = self.shared.lock();
        let Some(index) = shared.snapshot.add_buffer(unit, map, metric, cpu, &buffer) else {
            return;
        };
        let message = ToServer::PerfBuffer {
            unit: unit.to_owned(),
            map: map.to_owned(),
            metric: index,
            cpu,
        };
        shared.tell(message, &Arc::new(vec![buffer]));
    }

    /// How a reload has ended, for whoever asked for it and for the host's own metrics.
    pub(crate) fn reloaded(&self, asked: &[Asked], successful: bool, text: &str) {
        let mut shared = self.shared.lock();
        shared.snapshot.reload.note(successful);
        let message = shared.snapshot.reload.message(None, text);
        shared.tell(message, &Arc::default());
        let current = shared.connection.as_ref().map(|known| known.number);
        for asked in asked.iter().filter(|asked| Some(asked.server) == current) {
            // Also to one that is leaving: it answers what it was asked.
            let message = shared.snapshot.reload.message(Some(asked.id), text);
            shared.send(&message, &[]);
        }
    }

    /// How changes of the directories are noticed from now on.
    pub(crate) fn watching(&self, mode: WatchMode) {
        let mut shared = self.shared.lock();
        shared.snapshot.watching = Some(mode);
        shared.tell(ToServer::Watching(mode), &Arc::default());
    }

    /// Everything that there is has been told: requests are answered from now on.
    pub(crate) fn ready(&self, summary: &str) {
        let mut shared = self.shared.lock();
        shared.snapshot.ready = Some(summary.to_owned());
        let summary = summary.to_owned();
        shared.tell(ToServer::Ready { summary }, &Arc::default());
    }

    /// Has a new server started if plugins were granted more than the one that runs may open.
    pub(crate) fn grant(&self, paths: ServerPaths) {
        let mut shared = self.shared.lock();
        let known = &shared.snapshot.paths;
        let wider = paths.read.iter().any(|path| !known.read.contains(path));
        // Threads of the loader may open what it may.
        let wider = wider && matches!(self.spawner, Spawner::Processes(..));
        shared.snapshot.paths = paths;
        if wider && let Some(connection) = &mut shared.connection {
            tracing::info!(
                "a new server is started: plugins were granted files that this one cannot open"
            );
            connection.leaving = true;
            connection.up = false;
            // It ends by itself once it has answered what is being asked.
            shared.send(&ToServer::Stop, &[]);
        }
    }
}

impl Audience for ServerLink {
    fn status(&self, status: UnitStatus) {
        self.say_status(status);
    }
}

impl Shared {
    /// Sends what is said to the server that is up; keeps it for one that is being told what there
    /// was before. A server that is started later finds it in the snapshot.
    fn tell(&mut self, message: ToServer, descriptors: &Descriptors) {
        match &self.connection {
            Some(connection) if connection.up => {
                let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
                self.send(&message, &borrowed);
            }
            Some(_) => self.backlog.push((message, Arc::clone(descriptors))),
            None => {}
        }
    }

    /// A server that does not take it is ended by its pulse; one that is gone is noticed where
    /// messages are received.
    fn send(&self, message: &ToServer, descriptors: &[BorrowedFd<'_>]) {
        if let Err(error) = self.try_send(message, descriptors) {
            tracing::warn!(%error, "a message does not reach the server");
        }
    }

    /// `Err`: this message cannot be sent. That there is no server is no error.
    fn try_send(
        &self,
        message: &ToServer,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SendError> {
        let Some(connection) = &self.connection else {
            return Ok(());
        };
        match connection.sender.send(message, descriptors) {
            Err(SendError::Closed) => Ok(()),
            sent => sent,
        }
    }
}
