//! The thread that starts servers, tells a new one what there is, and receives.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::files::{self, Granted};
use super::pace::Pace;
use super::snapshot::{Snapshot, Welcome};
use super::spawn::{SpawnError, Spawner};
use super::{Connection, Descriptors, ServerLink, Shared, pulse};
use crate::link::{ReceiveError, Receiver, Sender, ToLoader, ToServer};
use crate::loader::figures;
use crate::loader::tasks::Tasks;
use crate::privileges::ServerPaths;
use crate::starter::{How, StarterError};
use crate::telemetry::RateLimit;

/// Versions that a new server has been asked to open and has not answered yet.
const MAX_UNANSWERED: usize = 4;
/// Bytes of a message of the server.
const MAX_MESSAGE: usize = 4 << 20;

impl ServerLink {
    /// Starts the first server, and the threads that see to servers.
    pub(crate) fn start(
        spawner: Spawner,
        welcome: Welcome,
        paths: ServerPaths,
        tasks: Arc<Tasks>,
        granted: Granted,
    ) -> io::Result<Arc<Self>> {
        let snapshot = Snapshot {
            welcome,
            paths,
            ..Snapshot::default()
        };
        let link = Arc::new(Self {
            shared: Mutex::new(Shared {
                servers: 0,
                connection: None,
                snapshot,
                backlog: Vec::new(),
                questions: std::collections::BTreeMap::new(),
                started: None,
                plugins: std::collections::BTreeMap::new(),
                absent: None,
                stopping: false,
            }),
            changed: Condvar::new(),
            spawner,
            tasks,
            files: files::start(granted)?,
        });
        let runner = Arc::clone(&link);
        std::thread::Builder::new()
            .name("server-link".into())
            .spawn(move || runner.run())?;
        pulse::start(&link)?;
        Ok(link)
    }

    fn run(&self) {
        let mut pace = Pace::default();
        loop {
            match self.start_one() {
                Ok(mut receiver) => self.serve_until_its_end(&mut receiver),
                Err(SpawnError::Starter(error @ StarterError::Gone)) => {
                    self.fail(error.to_string());
                    return;
                }
                Err(error) => tracing::error!("{error}"),
            }
            let mut shared = self.shared.lock();
            let connection = shared.connection.take();
            shared.backlog.clear();
            shared.absent.get_or_insert_with(Instant::now);
            self.changed.notify_all();
            if shared.stopping {
                return;
            }
            drop(shared);
            let Some(pause) = self.see_off(connection, &mut pace) else {
                return;
            };
            let end = Instant::now() + pause;
            let mut shared = self.shared.lock();
            while !shared.stopping && Instant::now() < end {
                self.changed.wait_until(&mut shared, end);
            }
            if shared.stopping {
                return;
            }
        }
    }

    /// The host cannot go on: whoever waits for a server need not.
    fn fail(&self, why: String) {
        let shared = self.shared.lock();
        if !shared.stopping {
            self.tasks.fail(why);
        }
        self.changed.notify_all();
    }

    /// Sees to it that a server has ended whose socket is closed, and says why. How long to wait
    /// for the next one; None: there is to be none.
    fn see_off(&self, connection: Option<Connection>, pace: &mut Pace) -> Option<Duration> {
        let Some(Connection {
            child,
            number,
            settled,
            leaving,
            ..
        }) = connection
        else {
            return Some(pace.died(false, Instant::now()));
        };
        let how = self.spawner.end_of(&child);
        if how.is_none() {
            // It has let go of its socket and goes on: with whatever it holds.
            self.spawner.kill(&child);
        }
        if leaving && how == Some(How::Code(0)) {
            return Some(Duration::ZERO);
        }
        let pause = pace.died(settled, Instant::now());
        // A new one could do no better, and this one has said why.
        if number == 1 && how.is_some_and(How::unconfined) {
            self.fail("the server cannot give its privileges away, see the log".into());
            return None;
        }
        let how = how.map_or_else(|| "nobody knows why".to_owned(), |how| how.to_string());
        tracing::error!(
            number,
            pause = ?pause,
            "the server has ended ({how}): another one is started"
        );
        Some(pause)
    }

    fn start_one(&self) -> Result<Receiver, SpawnError> {
        let paths = self.shared.lock().snapshot.paths.clone();
        let (child, socket) = self.spawner.start(&paths)?;
        let sender = Sender::queued(socket.try_clone()?, "server-send")?;
        // Names, reasons and digests: nothing that a server says is long, or has descriptors.
        let receiver = Receiver::limited(socket, MAX_MESSAGE, 0);
        let mut shared = self.shared.lock();
        shared.servers += 1;
        shared.backlog.clear();
        shared.connection = Some(Connection {
            number: shared.servers,
            sender,
            child,
            up: false,
            settled: false,
            leaving: false,
            pong: (0, Instant::now()),
        });
        // Before anybody else can say anything.
        let (welcome, descriptors) = shared.snapshot.welcome(shared.servers - 1);
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        shared.send(&welcome, &borrowed);
        Ok(receiver)
    }

    /// Tells a new server everything, and receives until it ends.
    fn serve_until_its_end(&self, receiver: &mut Receiver) {
        let limit = RateLimit::every(Duration::from_secs(60));
        let Some(number) = self.tell_everything(receiver, &limit) else {
            return;
        };
        while let Some(message) = receive(receiver, &limit) {
            self.handle(number, message);
        }
    }

    /// None: the server has ended meanwhile.
    fn tell_everything(&self, receiver: &mut Receiver, limit: &RateLimit) -> Option<u64> {
        let (number, plugins, units) = {
            let mut shared = self.shared.lock();
            let number = shared.connection.as_ref()?.number;
            let plugins = shared.snapshot.plugins.clone();
            (number, plugins, shared.snapshot.take_units())
        };
        if let Some((plugins, compiled)) = plugins {
            self.send(&ToServer::Plugins { id: 0, plugins }, &compiled);
        }
        let mut unanswered = 0;
        for (unit, descriptors) in units {
            while unanswered >= MAX_UNANSWERED {
                unanswered -= self.answered(number, receiver, limit)?;
            }
            let name = unit.config.name.clone();
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let message = ToServer::Open(Box::new(unit));
            let sent = self.shared.lock().try_send(&message, &borrowed);
            match sent {
                Ok(()) => unanswered += 1,
                Err(error) => self.tasks.lost(name, error.to_string()),
            }
        }
        while unanswered > 0 {
            unanswered -= self.answered(number, receiver, limit)?;
        }
        let mut shared = self.shared.lock();
        for status in shared.snapshot.statuses() {
            shared.send(&ToServer::Status(Box::new(status)), &[]);
        }
        for (message, descriptors) in std::mem::take(&mut shared.backlog) {
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            shared.send(&message, &borrowed);
        }
        if let Some(reloaded) = shared.snapshot.reloaded() {
            shared.send(&reloaded, &[]);
        }
        if let Some(mode) = shared.snapshot.watching {
            shared.send(&ToServer::Watching(mode), &[]);
        }
        if let Some(starter) = self.starter_pid() {
            let figures = figures::of_the_loader(Some(starter));
            shared.send(&ToServer::Figures(figures), &[]);
        }
        if let Some(summary) = shared.snapshot.ready.clone() {
            shared.send(&ToServer::Ready { summary }, &[]);
        }
        // Its answer says that the server has come as far as this.
        shared.send(&ToServer::Barrier { number: 0 }, &[]);
        shared.absent = None;
        if let Some(connection) = &mut shared.connection {
            connection.up = !connection.leaving;
        }
        drop(shared);
        self.changed.notify_all();
        Some(number)
    }

    /// Receives one message. How many of the units that were to be opened it answers.
    fn answered(&self, number: u64, receiver: &mut Receiver, limit: &RateLimit) -> Option<usize> {
        match receive(receiver, limit)? {
            ToLoader::Opened {
                unit,
                generation,
                outcome,
            } => {
                match outcome {
                    Ok(_) => self.send(&ToServer::Serve { unit, generation }, &Arc::default()),
                    Err(refusal) => self.tasks.lost(unit, refusal.why),
                }
                Some(1)
            }
            other => {
                self.handle(number, other);
                Some(0)
            }
        }
    }

    fn send(&self, message: &ToServer, descriptors: &Descriptors) {
        let shared = self.shared.lock();
        let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        shared.send(message, &borrowed);
    }

    /// Lets the server answer what is being asked, and waits for its end for as long as that takes.
    pub(crate) fn stop(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut shared = self.shared.lock();
        shared.stopping = true;
        shared.send(&ToServer::Stop, &[]);
        self.changed.notify_all();
        while shared.connection.is_some() {
            if self.changed.wait_until(&mut shared, end).timed_out() {
                if let Some(connection) = &shared.connection {
                    self.spawner.kill(&connection.child);
                }
                return;
            }
        }
    }

    /// None: there is no starter.
    pub(super) fn starter_pid(&self) -> Option<u32> {
        match &self.spawner {
            Spawner::Processes(starter, _) => Some(starter.pid()),
            Spawner::Threads(..) => None,
        }
    }
}

/// The next message that makes sense. None: the server has ended.
fn receive(receiver: &mut Receiver, limit: &RateLimit) -> Option<ToLoader> {
    loop {
        let error = match receiver.receive::<ToLoader>() {
            Ok(Some(received)) => return Some(received.message),
            Ok(None) => return None,
            Err(error @ ReceiveError::Io(_)) => {
                tracing::error!(%error, "the server's socket cannot be read");
                return None;
            }
            Err(error) => error,
        };
        if let Some(before) = limit.allow("malformed") {
            tracing::warn!(%error, before, "the server says what is no message");
        }
    }
}
