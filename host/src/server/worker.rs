//! The thread that does what the loader asks, in the order in which it asks: opens plugins and
//! units, puts them into service, and keeps what is told of them.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::Server;
use super::progress::Progress;
use super::step::Step;
use super::units::{OpenError, explain};
use crate::digest::Digest;
use crate::link::{
    OpenRefusal, PluginMessage, Reserve, ServedUnit, ToLoader, ToServer, UnitPhase, UnitStatus,
};
use crate::plugin::PluginParts;

/// Descriptors that units leave to connections, to files of plugins and to the link.
const LEFT_TO_CONNECTIONS: usize = 24;

/// Something to do, with what came along.
pub(super) struct Job {
    pub(super) message: ToServer,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// The way to the thread. It ends once this is dropped and everything is done.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    progress: Arc<Progress>,
}

/// The thread ends, even if in a panic: without it there is no server.
struct Ended(UnboundedSender<Step>);

impl Worker {
    pub(super) fn start(server: &Arc<Server>, steps: UnboundedSender<Step>) -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        let server = Arc::clone(server);
        let progress = Arc::new(Progress::new());
        let done = Arc::clone(&progress);
        thread::Builder::new()
            .name("unit-opener".into())
            .spawn(move || {
                let ended = Ended(steps);
                for job in jobs {
                    server.act(job, &ended.0);
                    done.done();
                }
            })?;
        Ok(Self {
            jobs: sender,
            progress,
        })
    }

    /// Whether the thread comes on.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// False: the thread is gone.
    pub(super) fn queue(&self, job: Job) -> bool {
        self.progress.queued();
        self.jobs.send(job).is_ok()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Whoever listened may have ended before.
        let _ = self.0.send(Step::Gone);
    }
}

impl Server {
    fn act(&self, job: Job, steps: &UnboundedSender<Step>) {
        let descriptors = job.descriptors;
        match job.message {
            ToServer::Plugins { id, plugins } => self.rebuild_plugins(id, plugins, descriptors),
            ToServer::Open(unit) => self.open(*unit, descriptors),
            ToServer::Explain {
                generation,
                config,
                decoders,
                diagnostics,
            } => {
                let error = explain(&config, &decoders, diagnostics, &self.registry());
                self.opened(config.name, generation, Err(error));
            }
            ToServer::Serve { unit, generation } => {
                if !self.units.entry(&unit).serve(generation) {
                    tracing::error!(
                        config = unit,
                        generation,
                        "no such version was opened: what was served before goes on; this is a bug"
                    );
                }
            }
            ToServer::Discard { unit, generation } => self.units.entry(&unit).discard(generation),
            ToServer::Withdraw { unit } => {
                self.units.entry(&unit).withdraw();
                self.telemetry.unit(&unit).emptied();
            }
            ToServer::Forget { unit } => {
                self.units.forget(&unit);
                self.telemetry.forget_unit(&unit);
            }
            ToServer::Status(status) => self.set_status(*status),
            ToServer::PerfBuffer {
                unit,
                map,
                metric,
                cpu,
            } => {
                let buffer = descriptors.into_iter().next();
                if let Some((unit, buffer)) = self.units.get(&unit).zip(buffer) {
                    unit.add_cpu(&map, metric, cpu, buffer);
                }
            }
            ToServer::Ready { summary } => {
                tracing::debug!("requests are answered from here on: {summary}");
                // Whoever serves may be gone by now.
                let _ = steps.send(Step::Ready);
            }
            ToServer::Reloaded {
                id,
                successful,
                last_success,
                text,
            } => {
                self.telemetry.reloaded(successful, last_success);
                if let Some(id) = id {
                    let outcome = if successful { Ok(text) } else { Err(text) };
                    self.loader.reloaded(id, outcome);
                }
            }
            // These are for the thread that hears them.
            ToServer::Barrier { number } => self.loader.say(&ToLoader::Passed { number }),
            ToServer::Welcome { .. }
            | ToServer::Figures(_)
            | ToServer::Watching(_)
            | ToServer::File { .. }
            | ToServer::Ping { .. }
            | ToServer::Stop => {}
        }
    }

    fn rebuild_plugins(&self, id: u64, plugins: Vec<PluginMessage>, descriptors: Vec<OwnedFd>) {
        let before = self.registry();
        let mut descriptors = descriptors.into_iter();
        let parts = plugins.into_iter().map(|plugin| PluginParts {
            name: plugin.name,
            path: PathBuf::from(plugin.path),
            digest: plugin.digest,
            sidecar: plugin.sidecar,
            compiled: plugin.compiled.then(|| descriptors.next()).flatten(),
        });
        let parts = parts.collect();
        let (registry, failed) = before.rebuilt(&self.engine, &self.facts, parts);
        let failed = failed.into_iter().map(|(path, error)| {
            let path = path.display().to_string();
            tracing::error!(
                plugin = path,
                "plugin left out, or its previous version kept: {error}"
            );
            (path, error.to_string())
        });
        let failed = failed.collect();
        let versions = registry.versions().into_iter().collect();
        *self.registry.write() = Arc::new(registry);
        self.loader.say(&ToLoader::PluginsOpened {
            id,
            failed,
            versions,
        });
    }

    fn open(&self, unit: ServedUnit, descriptors: Vec<OwnedFd>) {
        let (name, generation) = (unit.config.name.clone(), unit.generation);
        let first = descriptors.first();
        let room = first
            .map(|one| Reserve::of(one, LEFT_TO_CONNECTIONS))
            .transpose();
        if let Err(error) = room {
            self.loader.say(&ToLoader::Opened {
                unit: name,
                generation,
                outcome: Err(OpenRefusal {
                    why: format!(
                        "too few descriptors would be left to the server for connections: {error}; raise the limit of open files (ulimit -n, LimitNOFILE=)"
                    ),
                    retryable: true,
                    metrics: Vec::new(),
                }),
            });
            return;
        }
        let entry = self.units.entry(&name);
        let opened = entry.open(unit, descriptors, &self.registry(), &self.collectors);
        let plugins = opened.map(|plugins| plugins.into_iter().collect());
        self.opened(name, generation, plugins);
    }

    fn opened(
        &self,
        unit: String,
        generation: u64,
        plugins: Result<Vec<(String, Digest)>, OpenError>,
    ) {
        self.loader.say(&ToLoader::Opened {
            unit,
            generation,
            outcome: plugins.map_err(|error| OpenRefusal {
                why: error.to_string(),
                retryable: !matches!(error, OpenError::Config(_) | OpenError::Metrics(_)),
                metrics: match error {
                    OpenError::Metrics(metrics) => metrics,
                    _ => Vec::new(),
                },
            }),
        });
    }

    fn set_status(&self, status: UnitStatus) {
        let telemetry = self.telemetry.unit(&status.unit);
        telemetry.set_phase(status.phase);
        telemetry.set_programs(status.program_counts());
        telemetry.set_load(&status.load);
        telemetry.set_restarts(status.restarts);
        if let UnitPhase::Stopped | UnitPhase::Skipped = status.phase {
            telemetry.emptied();
        }
        let refused = status.cgroup_errors;
        let before = self.units.entry(&status.unit).set_status(status);
        let before = before.map_or(0, |before| before.cgroup_errors);
        // A version counts from 0.
        let new = refused.checked_sub(before).unwrap_or(refused);
        telemetry.errors("cgroup-id-map", new);
    }
}
