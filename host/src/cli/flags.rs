//! What can be typed: ebpf_exporter's flags with their meaning, and our own. The doc comments are
//! the help text.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

use super::check::CheckFlags;
use super::doctor::DoctorFlags;
use super::healthcheck::HealthcheckFlags;
use super::plan::PlanFlags;
use super::plugin::PluginFlags;
use super::values;
use super::version;
use crate::listen::Address;
use crate::paths::DEFAULT_TELEMETRY;
use crate::privileges::{Keep, Mode, User};
use crate::telemetry::{LogFormat, LogLevel};

/// Prometheus exporter for one Linux node: BPF objects count in the kernel, sandboxed WebAssembly
/// components decode and shape
#[derive(Debug, Parser)]
#[command(
    name = "exporter-host",
    version = version::line(),
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Switches can be turned off with --no-FLAG. An argument @FILE stands for the lines of FILE, one argument each."
)]
pub(super) struct Flags {
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    #[command(flatten)]
    pub(super) serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Check(CheckFlags),
    Plan(PlanFlags),
    Plugin(PluginFlags),
    Doctor(DoctorFlags),
    Healthcheck(HealthcheckFlags),
}

#[derive(Debug, Args)]
pub(super) struct ServeFlags {
    /// Directory of the units: NAME.yaml and NAME.bpf.o
    #[arg(long = "config.dir", value_name = "DIR", required = true)]
    pub(super) config_dir: Option<PathBuf>,

    /// Comma-separated names of the units to run [default: all of the directory]
    #[arg(long = "config.names", value_name = "NAMES")]
    pub(super) config_names: Option<String>,

    /// Load and attach all units, report the result and exit
    #[arg(long = "config.check")]
    pub(super) config_check: bool,

    /// Exit with an error if a program cannot be attached or a metric is wrong
    #[arg(long = "config.strict")]
    pub(super) config_strict: bool,

    /// Reject a YAML file with an unknown or duplicate key instead of warning
    #[arg(long = "config.strict-keys")]
    pub(super) config_strict_keys: bool,

    /// How changes in the directories are detected
    #[arg(long = "config.watch", value_name = "HOW", value_enum, default_value_t = Watch::Events)]
    pub(super) config_watch: Watch,

    /// How long the directories must be unchanged before they are read again
    #[arg(long = "config.quiet", value_name = "DURATION", default_value = "250ms", value_parser = values::timeout)]
    pub(super) config_quiet: Duration,

    /// How long an on-demand unit runs after the last request for it, 0 for ever; a unit's YAML may
    /// override it
    #[arg(long = "keepalive", value_name = "DURATION", default_value = "0", value_parser = values::duration)]
    pub(super) keepalive: Duration,

    /// Ignored, for compatibility with ebpf_exporter: rows that a decoder drops are always cached,
    /// within bounds
    #[arg(
        long = "config.skip-cache-size",
        value_name = "ROWS",
        default_value_t = 0
    )]
    pub(super) config_skip_cache_size: u64,

    /// Additional directory of plugins (*.wasm), besides the config directory; repeatable
    #[arg(long = "plugin.dir", value_name = "DIR")]
    pub(super) plugin_dir: Vec<PathBuf>,

    /// Directory for compiled plugins, writable by this user alone; makes later starts faster
    /// [default: none]
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    pub(super) plugin_cache_dir: Option<PathBuf>,

    /// Address to listen on: :port, host:port, [ipv6]:port, or fd://N for the N-th socket from
    /// systemd; repeatable
    #[arg(long = "web.listen-address", value_name = "ADDRESS", default_value = ":9435", value_parser = values::listen_address)]
    pub(super) web_listen_address: Vec<Address>,

    /// Path under which the metrics are served
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = DEFAULT_TELEMETRY, value_parser = values::telemetry_path)]
    pub(super) web_telemetry_path: String,

    /// Maximum number of concurrent scrapes, 0 for no limit
    #[arg(long = "web.max-requests", value_name = "N", default_value_t = 40)]
    pub(super) web_max_requests: usize,

    /// Exclude the exporter's metrics about itself
    #[arg(long = "web.disable-exporter-metrics")]
    pub(super) web_disable_exporter_metrics: bool,

    /// Include what units and plugins cost, and details by map, stage and kind, in the exporter's
    /// metrics about itself
    #[arg(long = "web.detailed-exporter-metrics")]
    pub(super) web_detailed_exporter_metrics: bool,

    /// Enable POST /-/reload, which reads the directories again
    #[arg(long = "web.enable-lifecycle", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true",
        action = clap::ArgAction::Set, overrides_with = "web_enable_lifecycle", hide_possible_values = true, hide_default_value = true, value_name = "BOOL")]
    pub(super) web_enable_lifecycle: bool,

    /// Maximum duration of a scrape; a shorter timeout sent by Prometheus takes precedence
    #[arg(long = "web.scrape-timeout", value_name = "DURATION", default_value = "10s", value_parser = values::timeout)]
    pub(super) web_scrape_timeout: Duration,

    /// Write when counters and histograms were 0 as `_created` series, in OpenMetrics 1.0
    #[arg(long = "web.openmetrics-created")]
    pub(super) web_openmetrics_created: bool,

    /// Capabilities to keep after startup: all, none, or a comma-separated list
    #[arg(
        long = "capabilities.keep",
        value_name = "CAPS",
        default_value = "cap_bpf,cap_perfmon"
    )]
    pub(super) capabilities_keep: Keep,

    /// Switch to this user[:group] after attaching; kept capabilities are retained
    #[arg(long = "user", value_name = "USER[:GROUP]")]
    pub(super) user: Option<User>,

    /// Whether a separate process without capabilities runs plugins and serves HTTP; off is for
    /// debugging
    #[arg(long = "server.split", value_name = "WHETHER", value_enum, default_value_t = Split::On)]
    pub(super) server_split: Split,

    /// Whether to set no_new_privs, which landlock and seccomp require
    #[arg(long = "hardening.no-new-privs", value_name = "MODE", value_enum, default_value_t = Mode::Auto)]
    pub(super) hardening_no_new_privs: Mode,

    /// Whether to deny access to files that are not needed, with landlock
    #[arg(long = "hardening.landlock", value_name = "MODE", value_enum, default_value_t = Mode::Auto)]
    pub(super) hardening_landlock: Mode,

    /// Whether to deny system calls that are not needed, with seccomp
    #[arg(long = "hardening.seccomp", value_name = "MODE", value_enum, default_value_t = Mode::Auto)]
    pub(super) hardening_seccomp: Mode,

    /// Additional file or directory that the server may read; repeatable
    #[arg(long = "hardening.read", value_name = "PATH")]
    pub(super) hardening_read: Vec<PathBuf>,

    /// Before serving, try what the hardening must deny, report the result, and exit if anything is
    /// allowed
    #[arg(long = "hardening.check")]
    pub(super) hardening_check: bool,

    /// BTF file of the kernel for CO-RE, if the kernel provides none
    #[arg(long = "btf.path", value_name = "FILE", value_parser = values::path())]
    pub(super) btf_path: Option<PathBuf>,

    /// Directory in a bpffs for the maps that units pin (`maps: {NAME: {pin: true}}`)
    #[arg(
        long = "bpf.pin-dir",
        value_name = "DIR",
        default_value = "/sys/fs/bpf/exporter-host"
    )]
    pub(super) bpf_pin_dir: PathBuf,

    /// Log at level debug with libbpf's messages, among them the whole verifier log of a program
    /// that is refused; serve /maps
    #[arg(long = "debug")]
    pub(super) debug: bool,

    /// Minimum level of log lines
    #[arg(long = "log.level", value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub(super) log_level: LogLevel,

    /// Format of log lines
    #[arg(long = "log.format", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Logfmt)]
    pub(super) log_format: LogFormat,

    /// Omit the time in log lines
    #[arg(long = "log.no-timestamps")]
    pub(super) log_no_timestamps: bool,
}

/// Whether the host is split in two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Split {
    /// Two processes: one has access to the kernel, one to the network
    On,
    /// One process, without hardening of the server
    Off,
}

/// How changes in the directories are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Watch {
    /// Notified by the kernel (inotify)
    Events,
    /// Checked every two seconds, for file systems without notifications
    Poll,
    /// Not at all: send SIGHUP or POST /-/reload
    Off,
}
