//! The serving process from start to end, in the order that its privileges ask for: read the config, open what needs privilege, load and
//! attach, drop, and only then run components and listen.

mod account;
mod backoff;
mod confine;
mod demand;
mod exporter;
mod host;
mod machine;
mod notify;
mod probe;
mod reload;
mod report;
mod start;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use listenfd::ListenFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::bpf::Machine;
use crate::cli::settings::Settings;
use crate::telemetry::{BuildInfo, Telemetry};
use crate::unit::keep_polling;
use crate::web;
use exporter::HostExporter;

/// Runs until SIGTERM or SIGINT. An error is for stderr and exit code 1.
pub(crate) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    settings.log.install().context("cannot set up the log")?;
    for remark in &settings.remarks {
        tracing::info!("{remark}");
    }
    let telemetry = Telemetry::new(BuildInfo::THIS);
    let watched: Vec<PathBuf> = std::iter::once(&settings.config.dir)
        .chain(&settings.plugin_dirs)
        .cloned()
        .collect();
    let before_reading = watch::look_at(&watched);
    let machine = Machine::look();
    let start::Started {
        host,
        running,
        waiting,
        skipped,
        failed,
        hardening,
    } = start::start(&settings, &telemetry)?;
    let host = Arc::new(host);
    if settings.hardening_check {
        confine::check()?;
    }
    if settings.check {
        tracing::info!(
            units = running,
            skipped,
            failed,
            "checked: every unit that could be was loaded and attached, and is let go now"
        );
        host.fleet.stop();
        let code = if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
        return Ok(code);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4)))
        // Map walks and plugin calls: more at once than a few per core only wait for each other.
        .max_blocking_threads(32)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    // From here on signals are ours: whoever sees us listen may stop us in order.
    let (stop, hangup) = {
        let _inside = runtime.enter();
        let hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        (stop_signal()?, hangup)
    };
    // Before anybody sees us listen, too: what is changed then is noticed as it is being changed.
    let reloader = Arc::clone(&host);
    watch::start(
        watched,
        before_reading,
        settings.config.watch,
        settings.config.quiet,
        move || {
            reloader.reload();
        },
    )
    .context("cannot watch the directories")?;
    machine::follow(Arc::clone(&host), machine).context("cannot watch CPUs and interfaces")?;
    let listeners = web::bind(&settings.web.listen, &mut ListenFd::from_env())?;
    for listener in &listeners {
        let address = listener
            .local_addr()
            .context("cannot ask a listening socket for its address")?;
        tracing::info!(%address, path = settings.web.options.telemetry_path, "listening");
    }
    let options = web::WebOptions {
        hardening,
        ..settings.web.options
    };
    let summary = format!(
        "{running} units running, {waiting} on demand, {skipped} not for this kernel, {failed} failed"
    );
    let exporter = HostExporter::new(Arc::clone(&host), settings.web.exporter_metrics);
    let exporter: Arc<dyn web::Exporter> = Arc::new(exporter);
    let served = runtime.block_on(async {
        let router = web::router(options, Arc::clone(&exporter), telemetry);
        tokio::spawn(reload_at_hangup(exporter, hangup));
        tokio::spawn(keep_polling(Arc::clone(&host.environment.collectors)));
        tokio::spawn(demand::keep_alive(Arc::clone(&host)));
        tokio::spawn(backoff::keep_trying(Arc::clone(&host)));
        notify::ready(&summary);
        let stop = async {
            stop.await;
            notify::stopping();
        };
        web::serve(listeners, router, stop)
            .await
            .context("cannot serve")
    });
    // A scrape that is still walking a map ends within this, or is left behind.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    host.fleet.stop();
    tracing::info!("stopped: every program is detached");
    served.map(|()| ExitCode::SUCCESS)
}

/// Reloads at each SIGHUP.
async fn reload_at_hangup(exporter: Arc<dyn web::Exporter>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        // What came of it is in the log.
        let _ = exporter.reload().await;
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    })
}
