//! The server's end of the socket: what the loader says, handed to whoever does it.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::Server;
use super::step::Step;
use super::worker::{Job, Worker};
use crate::link::{
    FileAnswer, FileRefusal, OpenRefusal, ReceiveError, Received, Receiver, Sender, ToLoader,
    ToServer,
};
use crate::privileges::Feature;

pub(super) struct Connection {
    receiver: Receiver,
}

/// What the loader says first.
pub(super) struct Welcome {
    /// There was no server before this one.
    pub(super) first: bool,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) kallsyms: Option<File>,
    pub(super) pci_ids: Option<File>,
    /// The loader's hardening.
    pub(super) features: Vec<Feature>,
}

/// The loader cannot be heard, or makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("cannot hear the loader: {0}")]
    Receive(ReceiveError),
    #[error("the loader's first message is not the one that a server expects; this is a bug")]
    NotWelcome,
    #[error(
        "the loader's first message lacks descriptors: the limit of open files (ulimit -n) may be too low"
    )]
    Descriptors,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> io::Result<(Self, Sender)> {
        let sender = Sender::queued(socket.try_clone()?, "to-loader")?;
        let receiver = Receiver::new(socket);
        Ok((Self { receiver }, sender))
    }

    /// Waits for the first message. None: the loader is gone already.
    pub(super) fn welcome(mut self) -> Result<Option<(Self, Welcome)>, ConnectionError> {
        let first = self.receiver.receive().map_err(ConnectionError::Receive)?;
        let Some(Received {
            message,
            descriptors,
        }) = first
        else {
            return Ok(None);
        };
        let ToServer::Welcome {
            predecessors,
            listeners,
            kallsyms,
            pci_ids,
            features,
        } = message
        else {
            return Err(ConnectionError::NotWelcome);
        };
        tracing::debug!(predecessors, "the loader is there");
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or(ConnectionError::Descriptors);
        let listeners = (0..listeners).map(|_| next().map(TcpListener::from));
        let listeners = listeners.collect::<Result<_, _>>()?;
        let mut file = |there: bool| there.then(|| next().map(File::from)).transpose();
        let welcome = Welcome {
            first: predecessors == 0,
            listeners,
            kallsyms: file(kallsyms)?,
            pci_ids: file(pci_ids)?,
            features,
        };
        Ok(Some((self, welcome)))
    }

    /// Listens on a thread of its own from here on, until the loader is gone.
    pub(super) fn run(
        self,
        server: &Arc<Server>,
        worker: Worker,
        steps: UnboundedSender<Step>,
        pings: UnboundedSender<u64>,
    ) -> io::Result<()> {
        let mut listener = Listener {
            receiver: self.receiver,
            server: Arc::clone(server),
            worker,
            steps,
            pings,
        };
        thread::Builder::new()
            .name("from-loader".into())
            .spawn(move || listener.listen())?;
        Ok(())
    }
}

struct Listener {
    receiver: Receiver,
    server: Arc<Server>,
    worker: Worker,
    steps: UnboundedSender<Step>,
    pings: UnboundedSender<u64>,
}

impl Listener {
    fn listen(&mut self) {
        loop {
            match self.receiver.receive() {
                Ok(Some(Received {
                    message,
                    descriptors,
                })) => {
                    if !self.hand_on(message, descriptors) {
                        tracing::error!("the thread that opens units is gone; this is a bug");
                        break;
                    }
                }
                Ok(None) => break,
                Err(ReceiveError::Io(error)) => {
                    tracing::error!("cannot hear the loader any more: {error}");
                    break;
                }
                // Both are about one message.
                Err(ReceiveError::Truncated(truncated)) => {
                    tracing::error!("a message of the loader cannot be used: {truncated}");
                    if let Some(message) = truncated.message::<ToServer>() {
                        self.refuse(message, &truncated.to_string());
                    }
                }
                Err(error) => tracing::error!("a message of the loader is lost: {error}"),
            }
        }
        self.server.loader.disconnect();
        // Whoever serves may have ended before.
        let _ = self.steps.send(Step::Gone);
    }

    /// The descriptors of a message have not come: whoever waits for what it leads to is told.
    fn refuse(&self, message: ToServer, why: &str) {
        let loader = &self.server.loader;
        match message {
            ToServer::Open(unit) => loader.say(&ToLoader::Opened {
                unit: unit.config.name,
                generation: unit.generation,
                outcome: Err(OpenRefusal {
                    why: why.to_owned(),
                    retryable: true,
                    metrics: Vec::new(),
                }),
            }),
            ToServer::Plugins { id, plugins } => {
                let failed = plugins.into_iter().filter(|plugin| plugin.compiled);
                loader.say(&ToLoader::PluginsOpened {
                    id,
                    failed: failed.map(|plugin| (plugin.path, why.to_owned())).collect(),
                    versions: self.server.registry().versions().into_iter().collect(),
                });
            }
            ToServer::File { id, .. } => {
                loader.file_found(id, Err(FileRefusal::Io(why.to_owned())));
            }
            _ => {}
        }
    }

    /// False: nobody is left to do it. Nothing in here waits.
    fn hand_on(&self, message: ToServer, descriptors: Vec<OwnedFd>) -> bool {
        match message {
            ToServer::Welcome { .. } => {
                tracing::error!("the loader says its first message again; this is a bug");
            }
            // Whoever serves may be gone by now.
            ToServer::Ping { number } => drop(self.pings.send(number)),
            ToServer::Stop => drop(self.steps.send(Step::Stop)),
            ToServer::Watching(mode) => self.server.telemetry.watching(mode),
            ToServer::Figures(figures) => self.server.telemetry.set_loader_figures(figures),
            ToServer::File { id, answer } => {
                let found = match answer {
                    Ok(FileAnswer::Opened) => match descriptors.into_iter().next() {
                        Some(file) => Ok((FileAnswer::Opened, Some(file))),
                        None => Err(FileRefusal::Io("its descriptor was lost".to_owned())),
                    },
                    Ok(answer) => Ok((answer, None)),
                    Err(refusal) => Err(refusal),
                };
                self.server.loader.file_found(id, found);
            }
            message => {
                return self.worker.queue(Job {
                    message,
                    descriptors,
                });
            }
        }
        true
    }
}
