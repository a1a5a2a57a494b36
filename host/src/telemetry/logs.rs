//! Logs: one line per event on stderr, as logfmt or JSON, with the keys that the Prometheus family
//! uses (`time`, `level`, `msg`).

mod line;
mod stderr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use line::LineFormat;
use stderr::Stderr;
pub(crate) use stderr::{flush, lines_dropped};

/// The value of `--log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Logfmt,
    Json,
}

/// The value of `--log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LogOptions {
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
    /// False with `--log.no-timestamps`: who reads the log has times of its own, e.g. the journal.
    pub(crate) timestamps: bool,
}

impl LogOptions {
    /// Sends the events of this process, and of those that it forks, to stderr. No event waits for
    /// whoever reads them. Fails if that was done before.
    pub(crate) fn install(self) -> Result<(), TryInitError> {
        let level = self.level.filter();
        // The libraries' own chatter is of use to nobody here; their warnings are.
        let filter = Targets::new()
            .with_target("exporter_host", level)
            // Lines of its own only with `--debug`; what fails is in an error anyway.
            .with_target("libbpf", level)
            .with_default(level.min(LevelFilter::WARN));
        let lines = tracing_subscriber::fmt::layer()
            .event_format(LineFormat {
                format: self.format,
                timestamps: self.timestamps,
            })
            .with_ansi(false)
            .log_internal_errors(false)
            .with_writer(|| Stderr)
            .with_filter(filter);
        tracing_subscriber::registry().with(lines).try_init()?;
        stderr::prepare();
        Ok(())
    }
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}
