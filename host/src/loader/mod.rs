//! The loader: the half of the host that holds the kernel. It loads and attaches, sees to units'
//! life and to reloads, and has a server that reads what it loads. It neither runs a plugin nor
//! speaks to the network.
//!
//! The order of a start, from the most privilege to the least: fork the starter, bind the
//! listeners, read the config, open what needs privilege, load and attach, give privilege away;
//! only then start threads, and a server.

mod compile;
mod confine;
mod ends;
mod figures;
mod kernel;
mod machine;
mod notify;
pub(crate) mod plugins;
mod ready;
mod reload;
mod report;
mod reserve;
mod server;
mod signals;
mod start;
mod tasks;
pub(crate) mod units;
mod watch;

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use listenfd::ListenFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::compile::Compilers;
use self::ends::Ends;
use self::kernel::{Directories, Kernel};
use self::plugins::{CompileCache, PluginFiles};
use self::server::{ServerLink, Spawner, Welcome};
use self::signals::{Signal, Signals};
use self::start::FirstLoad;
use self::tasks::Tasks;
use self::units::{Cause, Units};
use crate::bpf::HostTopology;
use crate::cli::settings::Settings;
use crate::kernel::{KernelFacts, open_kallsyms, open_pci_ids};
use crate::listen;
use crate::plugin::{Compile, InProcess};
use crate::privileges::{self, Feature, Process, ServerUser};
use crate::starter::{self, Entries, Starter};
use crate::telemetry::BuildInfo;

/// How long the server may take to answer what is being asked when the host stops.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the kernel thread may take for what it is doing. Links end with the process anyway.
const LAST_LOAD: Duration = Duration::from_secs(1);
/// How often it is looked whether it is done.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// What the other processes run.
pub(crate) struct Mains {
    pub(crate) entries: Entries,
    /// The server's, as a thread of this process.
    pub(crate) server_thread: fn(&Settings, OwnedFd),
}

/// Runs until SIGTERM or SIGINT. What ends the host is in its log; an error is that there is none.
pub(crate) fn run(settings: Settings, mains: Mains) -> anyhow::Result<ExitCode> {
    let signals = Signals::hold().context("cannot hold signals back")?;
    settings.log.install().context("cannot set up the log")?;
    let outcome = run_logged(settings, mains, signals);
    outcome.or_else(|error| {
        tracing::error!("{error:#}");
        Ok(ExitCode::FAILURE)
    })
}

fn run_logged(settings: Settings, mains: Mains, signals: Signals) -> anyhow::Result<ExitCode> {
    tracing::info!(
        version = BuildInfo::THIS.version,
        revision = BuildInfo::THIS.revision,
        directory = %settings.config.dir.display(),
        "exporter-host starts"
    );
    for remark in &settings.remarks {
        tracing::info!("{remark}");
    }
    if let Err(error) = privileges::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    privileges::raise().context("cannot use the capabilities of this process")?;
    let keep_bpf = settings.split && privileges::server_needs_cap_bpf();
    let starter = start_starter(&settings, keep_bpf, mains.entries)?;
    name_process();
    // Resolving a name, a file system or the kernel may take long: nothing is lost by an end now.
    let end_at_once = signals.end_at_once().context("cannot handle signals")?;
    // Before anything is loaded: a port in use ends the start while that costs nothing.
    let listeners = if settings.check {
        Vec::new()
    } else {
        listen::bind(&settings.web.listen, &mut ListenFd::from_env())?
    };
    let watched: Vec<PathBuf> = std::iter::once(&settings.config.dir)
        .chain(&settings.plugin_dirs)
        .cloned()
        .collect();
    let before_reading = watch::Look::at(&watched);
    let machine = HostTopology::look();
    let configs = start::read(&settings)?;
    let (kallsyms, pci_ids) = (open_kallsyms(), open_pci_ids());
    let own = kallsyms.as_ref().and_then(|file| file.try_clone().ok());
    let facts = Arc::new(KernelFacts::from_descriptors(own, None));
    let first = start::load_all(&settings, configs, facts);
    let mut features = confine::confine(&settings, first.environment.pins.as_ref())?;
    features.push(split(starter.is_some(), keep_bpf));
    for feature in &features {
        feature.log();
    }
    // As whom it will be written.
    let cache = match &settings.plugin_cache {
        Some(directory) => Some(CompileCache::open(directory)?),
        None => None,
    };
    drop(end_at_once);
    // From here on there may be threads.
    let settings = Arc::new(settings);
    let addresses: Vec<_> = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()
        .context("cannot ask a listening socket for its address")?;
    let tasks = Arc::new(Tasks::default());
    let welcome = welcome(listeners, kallsyms, pci_ids, features);
    let plugin_files = PluginFiles::new(watched.clone(), cache);
    let granted = server::Granted::default();
    let (spawner, compile): (_, Box<dyn Compile + Send>) = match starter {
        Some(starter) => {
            let starter = Arc::new(starter);
            starter
                .reap_orphans()
                .context("cannot reap processes as PID 1")?;
            let ends =
                Ends::follow(&starter, Arc::clone(&tasks)).context("cannot start a thread")?;
            let compilers = Compilers::new(Arc::clone(&starter), Arc::clone(&ends));
            (Spawner::Processes(starter, ends), Box::new(compilers))
        }
        None => {
            let spawner = Spawner::Threads(Arc::clone(&settings), mains.server_thread);
            (spawner, Box::new(InProcess))
        }
    };
    let paths = confine::server_paths(&confine::granted(&watched), &settings.readable);
    let link = ServerLink::start(
        spawner,
        welcome,
        paths,
        Arc::clone(&tasks),
        Arc::clone(&granted),
    )
    .context("cannot start the threads that see to the server")?;
    let kernel = Kernel {
        units: Units::new(Arc::clone(&link) as _, settings.keepalive),
        environment: first.environment.clone(),
        directories: Directories {
            config: settings.config.dir.clone(),
            names: settings.config.names.clone(),
            strict: settings.strictness(),
        },
        plugin_files,
        compile,
        granted,
        readable: settings.readable.clone(),
        plugin_versions: std::collections::BTreeMap::new(),
        link: Arc::clone(&link),
        tasks: Arc::clone(&tasks),
        numbers: first.numbers(),
    };
    let watch = Watch {
        watched,
        before_reading,
        machine,
        addresses,
    };
    let (thread, ended, outcome) = start_kernel(kernel, first, Arc::clone(&settings), watch)?;
    wait_for_the_end(&signals, &ended, &tasks);
    let early = match outcome.try_recv() {
        // All that is attached ends with the process, and the other processes do.
        Ok(Err(error)) => return Err(error),
        early => early.ok(),
    };
    // What is under way ends; clients get their answers meanwhile.
    tasks.stop();
    link.stop(DRAIN);
    let late = join(thread, &ended)?;
    let outcome = early.or_else(|| outcome.try_recv().ok().filter(|_| late));
    let outcome = outcome.unwrap_or(Ok(ExitCode::SUCCESS));
    if !settings.check {
        tracing::info!("stopped: every program is detached");
    }
    outcome
}

/// What begins to be watched once everything is loaded.
struct Watch {
    watched: Vec<PathBuf>,
    before_reading: watch::Look,
    machine: HostTopology,
    addresses: Vec<std::net::SocketAddr>,
}

/// None: the server is a part of this process.
fn start_starter(
    settings: &Settings,
    keep_bpf: bool,
    entries: Entries,
) -> anyhow::Result<Option<Starter>> {
    if !settings.split {
        return Ok(None);
    }
    let user = ServerUser::choose();
    let starter = starter::start(settings, user, keep_bpf, entries)?;
    if let Err(error) = privileges::hide_process() {
        tracing::warn!(%error, "other processes of this user can look into this one");
    }
    Ok(Some(starter))
}

/// What became of the split.
fn split(there: bool, keep_bpf: bool) -> Feature {
    let name = "split";
    if !there {
        return Feature::off(name, "off by --server.split: one process does everything");
    }
    if keep_bpf {
        return Feature::failed(
            name,
            "the server is a process of its own, but keeps CAP_BPF: this kernel lets nobody read maps without it (Linux 5.19 and newer do)",
        );
    }
    Feature::on(
        name,
        "the server is a process of its own, without capabilities",
    )
}

/// So that people tell the processes apart; the name that it was started by stays in its arguments.
fn name_process() {
    // Nothing depends on it.
    let _ = rustix::thread::set_name(c"exporter-load");
}

fn welcome(
    listeners: Vec<TcpListener>,
    kallsyms: Option<File>,
    pci_ids: Option<File>,
    features: Vec<Feature>,
) -> Welcome {
    let count = listeners.len();
    let mut descriptors: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();
    let (has_kallsyms, has_pci_ids) = (kallsyms.is_some(), pci_ids.is_some());
    descriptors.extend(kallsyms.map(OwnedFd::from));
    descriptors.extend(pci_ids.map(OwnedFd::from));
    Welcome {
        listeners: count,
        kallsyms: has_kallsyms,
        pci_ids: has_pci_ids,
        features,
        descriptors: Arc::new(descriptors),
    }
}

type Outcome = anyhow::Result<ExitCode>;

/// Starts the kernel thread. The descriptor is closed at its other end once there is an outcome;
/// after that the thread lets go of all units.
fn start_kernel(
    mut kernel: Kernel,
    first: FirstLoad,
    settings: Arc<Settings>,
    watch: Watch,
) -> anyhow::Result<(JoinHandle<()>, OwnedFd, Receiver<Outcome>)> {
    let (ended, running) = std::io::pipe().context("cannot make a pipe")?;
    let (sender, outcome) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("kernel".into())
        .spawn(move || {
            // Whoever waits for it may have gone.
            let _ = sender.send(live(&mut kernel, first, &settings, watch));
            drop(running);
        })
        .context("cannot start the kernel thread")?;
    Ok((thread, ended.into(), outcome))
}

/// The kernel thread from start to end.
fn live(
    kernel: &mut Kernel,
    first: FirstLoad,
    settings: &Settings,
    watch: Watch,
) -> anyhow::Result<ExitCode> {
    let started = match kernel.link.wait_started() {
        Ok(started) => started,
        Err(_) if kernel.tasks.is_stopping() => {
            return kernel
                .run()
                .map_or_else(|why| Err(anyhow!(why)), |()| Ok(ExitCode::SUCCESS));
        }
        Err(error) => return Err(anyhow!("the server does not start: {error}")),
    };
    if settings.hardening_check {
        let process = match settings.split {
            true => Process::Loader,
            false => Process::Whole,
        };
        confine::check(process, &started.allowed)?;
    }
    let opened = kernel.open_all(settings, first);
    if kernel.tasks.is_stopping() {
        return Ok(ExitCode::SUCCESS);
    }
    let (summary, failed) = opened?;
    if settings.check {
        let counts = kernel.units.count();
        tracing::info!(
            units = counts.running,
            skipped = counts.skipped,
            failed,
            "check complete: all units that could be loaded were attached and released"
        );
        let by_kernel = kernel.units.degraded(Cause::Kernel);
        if !by_kernel.is_empty() {
            tracing::warn!(
                units = by_kernel.join(","),
                "check: these units are degraded by this kernel, see the warnings above"
            );
        }
        let by_config = kernel.units.degraded(Cause::Config);
        if !by_config.is_empty() {
            tracing::error!(
                units = by_config.join(","),
                "check: these units are degraded by their config, see the warnings above"
            );
        }
        let degraded = !by_config.is_empty() || (settings.strict && !by_kernel.is_empty());
        return Ok(if failed == 0 && !degraded {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    // Before anybody sees the host listen: what is changed then is noticed as it is being changed.
    let Watch {
        watched,
        before_reading,
        machine,
        addresses,
    } = watch;
    let tasks = Arc::clone(&kernel.tasks);
    let link = Arc::clone(&kernel.link);
    watch::start(
        watched,
        before_reading,
        settings.config.watch,
        settings.config.quiet,
        move |mode| link.watching(mode),
        move || tasks.reload(None),
    )
    .context("cannot watch the directories")?;
    machine::follow(Arc::clone(&kernel.tasks), machine)
        .context("cannot watch CPUs and interfaces")?;
    kernel.link.ready(&summary);
    for address in addresses {
        tracing::info!(
            %address,
            path = settings.web.options.telemetry_path,
            "listening"
        );
    }
    notify::ready(&summary);
    kernel.run().map_err(|why| anyhow!(why))?;
    Ok(ExitCode::SUCCESS)
}

/// Until a signal says so, or the kernel thread ends.
fn wait_for_the_end(signals: &Signals, ended: &OwnedFd, tasks: &Tasks) {
    loop {
        match signals.take() {
            Some(Signal::Hangup) => tasks.reload(None),
            Some(signal) => {
                tracing::info!(signal = signal.name(), "stopping");
                notify::stopping();
                return;
            }
            None => {
                let mut both = [
                    PollFd::new(signals, PollFlags::IN),
                    PollFd::new(ended, PollFlags::IN),
                ];
                // Interrupted: looked at again.
                let _ = poll(&mut both, None);
                if !both[1].revents().is_empty() {
                    return;
                }
            }
        }
    }
}

/// Waits for the kernel thread; false: what it is in the middle of takes too long.
fn join(thread: JoinHandle<()>, ended: &OwnedFd) -> anyhow::Result<bool> {
    let end = Instant::now() + LAST_LOAD;
    while !thread.is_finished() && Instant::now() < end {
        // Closed once there is an outcome: from then on it is only a matter of letting go.
        let mut ended = [PollFd::new(ended, PollFlags::IN)];
        if poll(&mut ended, Some(&LOOK)).is_ok_and(|ready| ready > 0) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if !thread.is_finished() {
        tracing::info!("what was being loaded is left behind");
        return Ok(false);
    }
    match thread.join() {
        Ok(()) => Ok(true),
        Err(_) => Err(anyhow!("the kernel thread ended unexpectedly, see the log")),
    }
}
