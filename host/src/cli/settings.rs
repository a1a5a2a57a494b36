//! What was meant: the flags of a serving process, checked and grouped by the room that they
//! concern.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use super::flags::Watch;
use super::flags::{ServeFlags, Split};
use crate::config::Strictness;
use crate::listen::Address;
use crate::privileges::{Hardening, Mode};
use crate::telemetry::{BuildInfo, LogLevel, LogOptions};
use crate::web::WebOptions;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) config: ConfigSettings,
    pub(crate) web: WebSettings,
    pub(crate) log: LogOptions,
    /// Besides the config directory.
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// For compiled plugins.
    pub(crate) plugin_cache: Option<PathBuf>,
    pub(crate) hardening: Hardening,
    /// Plugins run and the network is answered in a process of their own.
    pub(crate) split: bool,
    /// `--hardening.read`
    pub(crate) readable: Vec<PathBuf>,
    /// Try what the hardening has to refuse.
    pub(crate) hardening_check: bool,
    /// Of units on demand whose YAML does not say; zero: they are never stopped.
    pub(crate) keepalive: Duration,
    /// A file that exists.
    pub(crate) btf_path: Option<PathBuf>,
    /// For the maps that units pin.
    pub(crate) pin_dir: PathBuf,
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
    pub(crate) watch: Watch,
    /// How long the directory has to be quiet before it is read.
    pub(crate) quiet: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct WebSettings {
    /// At least one, no two alike.
    pub(crate) listen: Vec<Address>,
    pub(crate) exporter_metrics: bool,
    pub(crate) detailed_exporter_metrics: bool,
    pub(crate) options: WebOptions,
}

/// Flags that are well-formed one by one, but cannot be meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("expected a directory in --config.dir")]
    NoConfigDir,
    #[error("--web.listen-address {0} is given twice")]
    DuplicateAddress(Address),
    #[error(
        "--hardening.no-new-privs=off needs --hardening.landlock=off and --hardening.seccomp=off, which rest on it"
    )]
    NoNewPrivs,
    #[error("--btf.path: there is no file {}", .0.display())]
    NoBtf(PathBuf),
}

// === impl Settings ===

impl Settings {
    /// What of a config is an error that need not be one.
    pub(crate) fn strictness(&self) -> Strictness {
        Strictness {
            keys: self.config.strict_keys,
            metrics: self.strict,
        }
    }

    pub(super) fn from_flags(flags: ServeFlags) -> Result<Self, SettingsError> {
        let mut remarks = Vec::new();
        if flags.config_skip_cache_size > 0 {
            remarks.push("--config.skip-cache-size is not needed any more and has no effect: dropped rows are remembered anyway".to_owned());
        }
        let mut listen: Vec<Address> = Vec::new();
        for address in flags.web_listen_address {
            // Port 0 is another port each time.
            if listen.contains(&address)
                && !matches!(
                    address,
                    Address::Any { port: 0 } | Address::Host { port: 0, .. }
                )
            {
                return Err(SettingsError::DuplicateAddress(address));
            }
            listen.push(address);
        }
        // An empty one is none, as in ebpf_exporter.
        let btf_path = flags.btf_path.filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = btf_path.as_ref().filter(|path| !path.is_file()) {
            return Err(SettingsError::NoBtf(path.clone()));
        }
        let hardening = Hardening {
            keep: flags.capabilities_keep,
            user: flags.user,
            no_new_privs: flags.hardening_no_new_privs,
            landlock: flags.hardening_landlock,
            seccomp: flags.hardening_seccomp,
        };
        let on = |mode| mode != Mode::Off;
        if !on(hardening.no_new_privs) && (on(hardening.landlock) || on(hardening.seccomp)) {
            return Err(SettingsError::NoNewPrivs);
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
                watch: flags.config_watch,
                quiet: flags.config_quiet,
            },
            web: WebSettings {
                listen,
                exporter_metrics: !flags.web_disable_exporter_metrics,
                detailed_exporter_metrics: flags.web_detailed_exporter_metrics,
                options: WebOptions {
                    telemetry_path: flags.web_telemetry_path,
                    max_requests: NonZeroUsize::new(flags.web_max_requests),
                    scrape_timeout: flags.web_scrape_timeout,
                    openmetrics_created: flags.web_openmetrics_created,
                    debug: flags.debug,
                    lifecycle: flags.web_enable_lifecycle,
                    build: BuildInfo::THIS,
                    hardening: Vec::new(),
                },
            },
            log: LogOptions {
                level: if flags.debug {
                    LogLevel::Debug
                } else {
                    flags.log_level
                },
                format: flags.log_format,
                timestamps: !flags.log_no_timestamps,
            },
            plugin_dirs: flags.plugin_dir,
            plugin_cache: flags.plugin_cache_dir,
            hardening,
            split: flags.server_split == Split::On,
            readable: flags.hardening_read,
            hardening_check: flags.hardening_check,
            keepalive: flags.keepalive,
            btf_path,
            pin_dir: flags.bpf_pin_dir,
            debug: flags.debug,
            check: flags.config_check,
            strict: flags.config_strict,
            remarks,
        })
    }
}
