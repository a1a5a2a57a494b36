//! `exporter-host plugin list` and `plugin inspect FILE`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::report::{Detail, Report};
use super::{Format, Workbench, exit_code};
use crate::loader::plugins::plugin_files;
use crate::plugin::{Location, STANDARD_NAME};
use crate::telemetry::LogLevel;

/// Show the standard plugin and those of directories: what they offer, and what is wrong with them
#[derive(Debug, Args)]
pub(super) struct ListFlags {
    /// Directory of the units, which may contain plugins too
    #[arg(long = "config.dir", value_name = "DIR")]
    config_dir: Option<PathBuf>,

    /// Additional directory of plugins (*.wasm); repeatable
    #[arg(long = "plugin.dir", value_name = "DIR")]
    plugin_dir: Vec<PathBuf>,

    /// Directory for compiled plugins, as of the host
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    plugin_cache_dir: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Show everything about one plugin file: exports with their options, imports and what is granted
/// of them
#[derive(Debug, Args)]
pub(super) struct InspectFlags {
    /// The component, or `standard` for the one inside this binary
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Directory for compiled plugins, as of the host
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    plugin_cache_dir: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Listing {
    ok: bool,
    plugins: Vec<Report>,
}

pub(super) fn list(flags: &ListFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bench = Workbench::new(flags.plugin_cache_dir.as_ref(), LogLevel::Warn)?;
    let mut plugins = vec![Report::of(&bench, Location::Standard)];
    for directory in flags.config_dir.iter().chain(&flags.plugin_dir) {
        let files = plugin_files(directory)
            .with_context(|| format!("cannot read the directory {}", directory.display()))?;
        for file in files {
            let mut report = Report::of(&bench, Location::File(&file));
            if plugins.iter().any(|other| other.name == report.name) {
                report.name_is_taken();
            }
            plugins.push(report);
        }
    }
    let listing = Listing {
        ok: plugins.iter().all(|plugin| plugin.ok),
        plugins,
    };
    match flags.format {
        Format::Text => {
            for plugin in &listing.plugins {
                plugin.write_text(out, Detail::Brief)?;
            }
        }
        Format::Json => write_json(out, &listing)?,
    }
    Ok(exit_code(!listing.ok))
}

pub(super) fn inspect(flags: &InspectFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bench = Workbench::new(flags.plugin_cache_dir.as_ref(), LogLevel::Warn)?;
    let report = Report::of(&bench, location(&flags.file));
    match flags.format {
        Format::Text => report.write_text(out, Detail::Full)?,
        Format::Json => write_json(out, &report)?,
    }
    Ok(exit_code(!report.ok))
}

/// A file, unless there is none and it is called as the standard plugin is.
pub(super) fn location(file: &Path) -> Location<'_> {
    if file.as_os_str() == STANDARD_NAME && !file.exists() {
        Location::Standard
    } else {
        Location::File(file)
    }
}

pub(super) fn write_json(out: &mut impl Write, report: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    Ok(writeln!(out)?)
}
