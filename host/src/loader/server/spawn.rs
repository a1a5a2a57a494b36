//! Making a server: a process by way of the starter, or, with `--server.split=off`, a thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::settings::Settings;
use crate::link;
use crate::loader::ends::Ends;
use crate::privileges::ServerPaths;
use crate::starter::{ChildId, How, Starter, StarterError};

/// Where servers come from.
pub(crate) enum Spawner {
    Processes(Arc<Starter>, Arc<Ends>),
    /// The server's main function, for a thread.
    Threads(Arc<Settings>, fn(&Settings, OwnedFd)),
}

/// A server from the outside.
pub(super) enum Child {
    /// The lifeline's end ends the server.
    Process {
        child: ChildId,
        _lifeline: OwnedFd,
    },
    Thread,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnError {
    #[error(transparent)]
    Starter(#[from] StarterError),
    #[error("cannot start a server: {0}")]
    Io(#[from] io::Error),
}

impl Spawner {
    /// A new server, and the loader's end of its channel.
    pub(super) fn start(&self, paths: &ServerPaths) -> Result<(Child, OwnedFd), SpawnError> {
        match self {
            Self::Processes(starter, _) => {
                let server = starter.start_server(paths)?;
                tracing::debug!(pid = server.pid, "a server is started");
                let child = Child::Process {
                    child: server.child,
                    _lifeline: server.lifeline,
                };
                Ok((child, server.socket))
            }
            Self::Threads(settings, main) => {
                let (ours, theirs) = link::pair()?;
                let (settings, main) = (Arc::clone(settings), *main);
                std::thread::Builder::new()
                    .name("server".into())
                    .spawn(move || main(&settings, theirs))?;
                Ok((Child::Thread, ours))
            }
        }
    }

    /// How a server has ended, as far as the starter says so at once.
    pub(super) fn end_of(&self, child: &Child) -> Option<How> {
        /// The starter says so within a millisecond or so.
        const LIMIT: Duration = Duration::from_millis(200);
        match (self, child) {
            (Self::Processes(_, ends), Child::Process { child, .. }) => ends.of(*child, LIMIT),
            _ => None,
        }
    }

    /// Ends a server that does not answer.
    pub(super) fn kill(&self, child: &Child) {
        match (self, child) {
            (Self::Processes(starter, _), Child::Process { child, .. }) => starter.kill(*child),
            // A thread cannot be ended from outside.
            _ => tracing::error!("the server's threads do not answer, and cannot be ended"),
        }
    }
}
