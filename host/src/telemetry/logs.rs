//! Logs: one line per event on stderr, as logfmt or JSON, with the keys that the Prometheus family
//! uses (`time`, `level`, `msg`).

mod line;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use line::LineFormat;

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
    /// Sends this process's events to stderr. Fails if that was done before.
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
            .with_writer(std::io::stderr)
            .with_filter(filter);
        tracing_subscriber::registry().with(lines).try_init()
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
