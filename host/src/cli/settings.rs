//! What was meant: the flags of a serving process, checked and grouped by the room that they concern.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use super::flags::LogFormat;
pub(crate) use super::flags::LogLevel;
use super::flags::ServeFlags;
use super::values::KeepCapabilities;
use super::values::ListenAddress;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: ConfigSettings,
    pub(crate) web: WebSettings,
    pub(crate) log: LogSettings,
    /// Besides the config directory.
    pub(crate) plugin_dirs: Vec<PathBuf>,
    pub(crate) keep_capabilities: KeepCapabilities,
    /// A file that exists.
    pub(crate) btf_path: Option<PathBuf>,
    /// libbpf's messages, and `/maps`.
    pub(crate) debug: bool,
    /// Load and attach, say how it went, exit.
    pub(crate) check: bool,
    /// A program that cannot be attached ends the process.
    pub(crate) strict: bool,
    /// For the log, once there is one.
    pub(crate) remarks: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct ConfigSettings {
    pub(crate) dir: PathBuf,
    /// A comma list; None: all units.
    pub(crate) names: Option<String>,
    pub(crate) strict_keys: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct WebSettings {
    /// At least one, no two alike.
    pub(crate) listen: Vec<ListenAddress>,
    pub(crate) telemetry_path: String,
    /// Scrapes at a time; None: any number.
    pub(crate) max_requests: Option<NonZeroUsize>,
    pub(crate) exporter_metrics: bool,
    /// The longest a scrape may take when Prometheus sends no `X-Prometheus-Scrape-Timeout-Seconds`.
    pub(crate) scrape_timeout: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
    pub(crate) timestamps: bool,
}

/// Flags that are well-formed one by one, but cannot be meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("expected a directory in --config.dir")]
    NoConfigDir,
    #[error("--web.listen-address {0} is given twice")]
    DuplicateAddress(ListenAddress),
    #[error("--btf.path: there is no file {}", .0.display())]
    NoBtf(PathBuf),
}

// === impl Settings ===

impl Settings {
    pub(super) fn from_flags(flags: ServeFlags) -> Result<Self, SettingsError> {
        let mut remarks = Vec::new();
        if flags.config_skip_cache_size > 0 {
            remarks.push("--config.skip-cache-size is not needed any more and has no effect: dropped rows are remembered anyway".to_owned());
        }
        let mut listen: Vec<ListenAddress> = Vec::new();
        for address in flags.web_listen_address {
            // Port 0 is another port each time.
            if listen.contains(&address) && !matches!(address, ListenAddress::Tcp { port: 0, .. }) {
                return Err(SettingsError::DuplicateAddress(address));
            }
            listen.push(address);
        }
        if let Some(path) = &flags.btf_path
            && !path.is_file()
        {
            return Err(SettingsError::NoBtf(path.clone()));
        }
        let dir = flags
            .config_dir
            .filter(|dir| !dir.as_os_str().is_empty())
            .ok_or(SettingsError::NoConfigDir)?;
        Ok(Self {
            config: ConfigSettings {
                dir,
                names: flags.config_names,
                strict_keys: flags.config_strict_keys,
            },
            web: WebSettings {
                listen,
                telemetry_path: flags.web_telemetry_path,
                max_requests: NonZeroUsize::new(flags.web_max_requests),
                exporter_metrics: !flags.web_disable_exporter_metrics,
                scrape_timeout: flags.web_scrape_timeout,
            },
            log: LogSettings {
                level: flags.log_level,
                format: flags.log_format,
                timestamps: !flags.log_no_timestamps,
            },
            plugin_dirs: flags.plugin_dir,
            keep_capabilities: flags.capabilities_keep,
            btf_path: flags.btf_path,
            debug: flags.debug,
            check: flags.config_check,
            strict: flags.config_strict,
            remarks,
        })
    }
}
