//! The serving process from start to end, in the order that its privileges ask for: read the config, open what needs privilege, load and
//! attach, drop, and only then run components and listen.

mod account;
mod exporter;
mod notify;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use listenfd::ListenFd;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::settings::Settings;
use crate::telemetry::{BuildInfo, Telemetry};
use crate::web;
use exporter::HostExporter;

/// Runs until SIGTERM or SIGINT. An error is for stderr and exit code 1.
pub(crate) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    settings.log.install().context("cannot set up the log")?;
    for remark in &settings.remarks {
        tracing::info!("{remark}");
    }
    let telemetry = Telemetry::new(BuildInfo::THIS);
    let started = start::start(&settings, &telemetry)?;
    if settings.check {
        tracing::info!(
            units = started.running,
            failed = started.failed,
            "checked: every unit that could be was loaded and attached, and is let go now"
        );
        started.fleet.stop();
        let code = if started.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
        return Ok(code);
    }
    let listeners = web::bind(&settings.web.listen, &mut ListenFd::from_env())?;
    for listener in &listeners {
        let address = listener
            .local_addr()
            .context("cannot ask a listening socket for its address")?;
        tracing::info!(%address, path = settings.web.options.telemetry_path, "listening");
    }
    let summary = format!(
        "{} units running, {} failed",
        started.running, started.failed
    );
    let exporter = Arc::new(HostExporter::new(
        started,
        Arc::clone(&telemetry),
        settings.web.exporter_metrics,
    ));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().min(4)))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let stop = stop_signal()?;
        let router = web::router(
            settings.web.options,
            Arc::clone(&exporter) as Arc<dyn web::Exporter>,
            telemetry,
        );
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
    exporter.stop();
    tracing::info!("stopped: every program is detached");
    served.map(|()| ExitCode::SUCCESS)
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
