//! The server: one half of the host. It opens plugins and units, answers HTTP, and has no
//! privilege.
//!
//! Everything that it knows of units comes from the loader over one socket: a version of a unit as
//! descriptors of its maps, and where the unit is in its life. It loads and attaches nothing, and
//! reads no config.
//!
//! The threads: one receives what the loader says and never waits for work (`connection`); one
//! opens plugins and units and puts them into service, in the order in which the loader asked
//! (`worker`); one runtime answers HTTP and the loader's pings, one scrapes, and one runs
//! collectors (`runtimes`).

mod collectors;
mod connection;
mod demand;
mod exporter;
mod files;
mod hardening;
mod loader;
mod probe;
mod programs;
mod progress;
mod recorder;
mod report;
mod runtimes;
mod step;
mod units;
mod worker;

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use collectors::Index;
use connection::{Connection, Welcome};
use exporter::ServerExporter;
use loader::Loader;
use progress::Progress;
use runtimes::Runtimes;
use step::Step;
use units::Units;
use worker::Worker;

use crate::cli::settings::Settings;
use crate::kernel::KernelFacts;
use crate::link::ToLoader;
use crate::plugin::{Engine, LoadError, Registry, set_foreign_files};
use crate::privileges::{Feature, Process};
use crate::starter::{ServerStart, leave_with};
use crate::telemetry::{BuildInfo, Telemetry, flush_log};
use crate::web;

/// What the requests, the background and the worker share.
struct Server {
    loader: Arc<Loader>,
    units: Units,
    collectors: Arc<Index>,
    facts: Arc<KernelFacts>,
    telemetry: Arc<Telemetry>,
    engine: Engine,
    registry: RwLock<Arc<Registry>>,
}

/// Why there is no server, or none any more. All of it ends the process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(transparent)]
    Connection(#[from] connection::ConnectionError),
    #[error("cannot make the engine that runs plugins: {0}")]
    Engine(#[from] LoadError),
    #[error("cannot start {what}: {source}")]
    Start {
        what: &'static str,
        source: std::io::Error,
    },
    #[error("cannot serve: {0}")]
    Serve(std::io::Error),
}

/// How long whatever still walks a map may take at the end, before it is left behind.
const LAST_WALK: Duration = Duration::from_secs(1);

impl Server {
    fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry.read())
    }
}

/// The server as a process of its own, until the loader stops it or is gone.
pub(crate) fn run(settings: &Settings, start: ServerStart) -> ExitCode {
    let ServerStart {
        socket,
        lifeline,
        features,
    } = start;
    // Needs no runtime and no locks: it works however stuck the others are.
    let watched = leave_with(lifeline).map_err(|source| ServerError::Start {
        what: "the thread that ends with the loader",
        source,
    });
    match watched.and_then(|()| serve(settings, socket, Process::Server, features)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The server as threads of the loader's process, for debugging: it has no hardening of its own.
pub(crate) fn run_as_thread(settings: &Settings, socket: OwnedFd) {
    if let Err(error) = serve(settings, socket, Process::Loader, Vec::new()) {
        tracing::error!("server: {error}");
    }
}

/// All of the server but what makes it a process, over one end of a socket pair. Returns when the
/// loader says so or has let go of the other end. `process`: of which kind this one is; `features`:
/// what became of its hardening as that of a server.
pub(crate) fn serve(
    settings: &Settings,
    socket: OwnedFd,
    process: Process,
    features: Vec<Feature>,
) -> Result<(), ServerError> {
    let start = |what| move |source| ServerError::Start { what, source };
    let (connection, sender) = Connection::new(socket).map_err(start("the way to the loader"))?;
    let Some((connection, welcome)) = connection.welcome()? else {
        return Ok(());
    };
    let Welcome {
        first,
        listeners,
        kallsyms,
        pci_ids,
        features: of_loader,
    } = welcome;
    let runtimes = Runtimes::start().map_err(start("the threads that serve"))?;
    let loader = Arc::new(Loader::new(sender));
    set_foreign_files(Arc::new(files::LoadersFiles(Arc::downgrade(&loader))));
    let server = Arc::new(Server {
        units: Units::new(&loader),
        loader,
        collectors: Index::new(
            settings.web.options.telemetry_path.clone(),
            runtimes.collectors(),
        ),
        facts: Arc::new(KernelFacts::from_descriptors(kallsyms, pci_ids)),
        telemetry: Telemetry::new(BuildInfo::THIS),
        engine: Engine::new()?,
        registry: RwLock::new(Arc::new(Registry::empty())),
    });
    // Those after it are like it.
    for feature in features.iter().filter(|_| first) {
        feature.log();
    }
    let combined = hardening::of_both(of_loader, &features);
    for feature in &combined {
        server.telemetry.hardening(feature.name, feature.active);
    }
    let checked = settings.hardening_check && process == Process::Server;
    server.loader.say(&ToLoader::Started {
        features,
        allowed: if checked {
            hardening::check()
        } else {
            Vec::new()
        },
    });
    let (step, steps) = mpsc::unbounded_channel();
    let (ping, pings) = mpsc::unbounded_channel();
    let worker = Worker::start(&server, step.clone());
    let worker = worker.map_err(start("the thread that opens units"))?;
    let progress = worker.progress();
    connection
        .run(&server, worker, step, ping)
        .map_err(start("the thread that listens to the loader"))?;
    runtimes
        .web
        .spawn(answer_pings(Arc::clone(&server), progress, pings));
    let options = web::WebOptions {
        hardening: combined,
        ..settings.web.options.clone()
    };
    let exporter = ServerExporter::new(Arc::clone(&server), &settings.web);
    let router = web::router(
        options,
        Arc::new(exporter),
        Arc::clone(&server.telemetry),
        runtimes.scrapes(),
    );
    let served = runtimes
        .web
        .block_on(until_the_end(&server, listeners, router, steps));
    // A scrape that is still walking a map ends within this, or is left behind.
    runtimes.stop(match &served {
        Ok(End::Stopped) => LAST_WALK,
        Ok(End::Gone) | Err(_) => Duration::ZERO,
    });
    served.map(|_| ())
}

/// How it came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The loader wanted it.
    Stopped,
    /// The loader is gone, or the socket is of no use any more.
    Gone,
}

/// Serves from the loader's word that everything is there to its word that it is over.
async fn until_the_end(
    server: &Arc<Server>,
    listeners: Vec<std::net::TcpListener>,
    router: axum::Router,
    mut steps: UnboundedReceiver<Step>,
) -> Result<End, ServerError> {
    match steps.recv().await {
        Some(Step::Ready) => {}
        Some(Step::Stop) => return Ok(End::Stopped),
        Some(Step::Gone) | None => return Ok(End::Gone),
    }
    tokio::spawn(collectors::keep_polling(Arc::clone(&server.collectors)));
    let idle = Arc::clone(server);
    tokio::spawn(async move { idle.units.watch_idle().await });
    let (lost, loader_lost) = tokio::sync::oneshot::channel();
    let stop = async move {
        loop {
            match steps.recv().await {
                // Once is enough.
                Some(Step::Ready) => {}
                Some(Step::Stop) => return,
                Some(Step::Gone) | None => {
                    // Nobody is left to hear it where this fails.
                    let _ = lost.send(());
                    return std::future::pending().await;
                }
            }
        }
    };
    tokio::select! {
        served = web::serve(listeners, router, stop) => {
            served.map_err(ServerError::Serve)?;
            Ok(End::Stopped)
        }
        Ok(()) = loader_lost => Ok(End::Gone),
    }
}

/// The loader asks whether requests could be answered: only the runtime that does so can tell. It
/// gets no answer either while nothing is opened any more.
async fn answer_pings(
    server: Arc<Server>,
    progress: Arc<Progress>,
    mut pings: UnboundedReceiver<u64>,
) {
    while let Some(number) = pings.recv().await {
        if let Some(silent) = progress.stuck() {
            tracing::error!(
                seconds = silent.as_secs(),
                "the thread that opens units has not come on: the loader is not answered"
            );
            continue;
        }
        server.loader.say(&ToLoader::Pong { number });
        flush_log();
    }
}

#[cfg(test)]
mod tests;
