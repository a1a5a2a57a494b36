//! `exporter-host plan DIR`: what a reload with this directory would do, to a running host or to an
//! empty one. Needs no privileges; what would start or change is looked at as `check` does.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::check::Format;
use super::http;
use super::inspect::Inspector;
use crate::config::{Strictness, joined, load, sidecar};
use crate::digest::Digest;
use crate::link::UnitPhase;
use crate::loader::plugins::plugin_files;
use crate::loader::units::{
    Action, BegunMap, Current, Desired, Fingerprint, begun_maps, plan_unit,
};
use crate::paths::UNITS;
use crate::plugin::{STANDARD_NAME, read_component};
use crate::web::UnitReport;

/// Print what a reload with a directory would do; needs no privileges
#[derive(Debug, Args)]
pub(crate) struct PlanFlags {
    /// Directory of the units, as --config.dir
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// A running host, e.g. http://127.0.0.1:9435 [default: one without units]
    #[arg(long, value_name = "URL")]
    host: Option<String>,

    /// As the host's --config.names
    #[arg(long = "config.names", value_name = "NAMES")]
    names: Option<String>,

    /// As the host's --config.strict-keys
    #[arg(long = "config.strict-keys")]
    strict_keys: bool,

    /// As the host's --plugin.dir; repeatable
    #[arg(long = "plugin.dir", value_name = "DIR")]
    plugins: Vec<PathBuf>,

    /// Directory for compiled plugins, as of the host [default: one below $XDG_CACHE_HOME or
    /// ~/.cache]
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    cache: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The exit code is 1 where something of the directory could not be used. `Err`: `out` could not be
/// written to.
pub(crate) fn run(flags: &PlanFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let plan = match plan(flags) {
        Ok(plan) => plan,
        Err(error) => Plan {
            error: Some(error),
            ..Plan::default()
        },
    };
    match flags.format {
        Format::Text => plan.write_text(out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &plan)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if plan.error.is_none() && plan.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Debug, Default, Serialize)]
struct Plan {
    /// Why there is no plan at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Every unit that can be read, and those that go, by name.
    units: Vec<Line>,
    /// Units whose files cannot be used: what they have goes on.
    failed: Vec<FailedLine>,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    action: &'static str,
    why: String,
}

#[derive(Debug, Serialize)]
struct FailedLine {
    name: String,
    why: String,
}

fn plan(flags: &PlanFlags) -> Result<Plan, String> {
    let strict = Strictness {
        keys: flags.strict_keys,
        metrics: false,
    };
    let loaded = load::load(&flags.dir, flags.names.as_deref(), strict)
        .map_err(|error| error.to_string())?;
    let running = match &flags.host {
        None => Vec::new(),
        Some(url) => ask(url)?,
    };
    let directories = std::iter::once(&flags.dir).chain(&flags.plugins);
    let directories: Vec<PathBuf> = directories.cloned().collect();
    let plugins = digests(directories.iter().map(PathBuf::as_path))?;
    let mut inspector = None;
    let mut plan = Plan::default();
    for failed in &loaded.failed {
        let diagnostics: Vec<String> = failed.diagnostics.iter().map(ToString::to_string).collect();
        plan.failed.push(FailedLine {
            name: failed.name.clone(),
            why: diagnostics.join("; "),
        });
    }
    let below = |unit: &str| {
        let mut unreadable = loaded.unreadable.iter();
        unreadable.any(|directory| unit.starts_with(&directory.prefix))
    };
    for directory in &loaded.unreadable {
        let known = running
            .iter()
            .any(|report| report.name.starts_with(&directory.prefix));
        if known || !directory.is_dangling {
            plan.failed.push(FailedLine {
                name: directory.prefix.clone(),
                why: directory.diagnostic.to_string(),
            });
        }
    }
    for config in &loaded.units {
        let mut wanted = Desired::of(config);
        let report = running.iter().find(|report| report.name == config.name);
        let now = report.map_or(Current::Absent, now_of);
        // The host, which may be on another machine, knows its kernel: what was found here counts
        // only for what it has not seen.
        match now {
            Current::Running(fingerprint) if fingerprint.config == config.digest => {
                wanted.skip = None
            }
            Current::Waiting(digest) if digest == config.digest => wanted.skip = None,
            Current::Skipped(digest) if digest == config.digest => {
                wanted.skip.get_or_insert_default();
            }
            _ => {}
        }
        let step = plan_unit(now, &wanted, || stale(report?, &plugins));
        if let (Some(object), None) = (&config.object, wanted.fingerprint.object)
            && !matches!(step.action, Action::Wait | Action::Skip)
            && !(step.action == Action::Keep
                && matches!(now, Current::Waiting(_) | Current::Skipped(_)))
        {
            plan.failed.push(FailedLine {
                name: config.name.clone(),
                why: format!("cannot read the BPF object {}", object.display()),
            });
            continue;
        }
        let mut why = step.why.into_owned();
        if let Action::Start | Action::Replace | Action::Reshape = step.action {
            let (inspector, _) = match inspector.take() {
                Some(opened) => &*inspector.insert(opened),
                None => {
                    let opened = Inspector::open(&directories, flags.cache.as_deref());
                    let opened =
                        opened.map_err(|error| format!("plugins cannot be opened: {error}"))?;
                    &*inspector.insert(opened)
                }
            };
            let findings = inspector.unit(config);
            // A running unit is not replaced by a version with less metrics.
            let fails = !findings.fatal.is_empty()
                || (step.action != Action::Start && !findings.left_out.is_empty())
                || findings.nothing_left(config);
            if fails {
                plan.failed.push(FailedLine {
                    name: config.name.clone(),
                    why: joined(findings.errors()),
                });
                continue;
            }
            if !findings.left_out.is_empty() {
                why = format!(
                    "{why}; metrics are left out: {}",
                    joined(&findings.left_out)
                );
            }
        }
        if let (Action::Replace, Some(report)) = (step.action, report) {
            for BegunMap { name, why: reason } in begun_maps(config, &report.maps) {
                why.push_str(&format!(
                    "; the map `{name}` begins anew, its counts start at 0: {reason}"
                ));
            }
        }
        plan.units.push(Line {
            name: config.name.clone(),
            action: step.action.as_str(),
            why,
        });
    }
    for report in running {
        let wanted = loaded.units.iter().any(|unit| unit.name == report.name)
            || loaded.failed.iter().any(|unit| unit.name == report.name)
            || below(&report.name);
        if !wanted {
            plan.units.push(Line {
                name: report.name,
                action: Action::Stop.as_str(),
                why: "its YAML is gone".to_owned(),
            });
        }
    }
    plan.units.sort_by(|a, b| a.name.cmp(&b.name));
    plan.failed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plan)
}

fn ask(url: &str) -> Result<Vec<UnitReport>, String> {
    let body = http::get(url, UNITS).map_err(|error| format!("cannot ask {url}: {error}"))?;
    serde_json::from_str(&body).map_err(|error| {
        format!("{url}{UNITS} does not answer as this version of exporter-host does: {error}")
    })
}

/// What there is of a unit.
fn now_of(report: &UnitReport) -> Current {
    match (report.config, report.preparation) {
        (Some(config), _) if report.state == UnitPhase::Skipped.as_str() => {
            Current::Skipped(config)
        }
        (Some(config), Some(preparation)) => Current::Running(Fingerprint {
            config,
            object: report.object,
            preparation,
        }),
        (Some(config), None) if report.on_demand => Current::Waiting(config),
        _ => Current::Absent,
    }
}

/// Of every plugin with its sidecar, by its name.
fn digests<'a>(
    directories: impl Iterator<Item = &'a Path>,
) -> Result<BTreeMap<String, Digest>, String> {
    let mut digests = BTreeMap::new();
    for directory in directories {
        let files = plugin_files(directory)
            .map_err(|error| format!("cannot read {}: {error}", directory.display()))?;
        for path in files {
            let cannot_read = |path: &Path, error: &dyn std::fmt::Display| {
                format!("cannot read {}: {error}", path.display())
            };
            let bytes = read_component(&path).map_err(|error| cannot_read(&path, &error))?;
            let terms = sidecar::path_of(&path);
            let terms = match sidecar::read_text(&path) {
                Ok(text) => text.map(|text| Digest::of(&text)),
                Err(why) => {
                    let why: Vec<String> = why.iter().map(ToString::to_string).collect();
                    return Err(cannot_read(&terms, &why.join("; ")));
                }
            };
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            digests.insert(name.into_owned(), Digest::of(&bytes).with(terms));
        }
    }
    Ok(digests)
}

/// A plugin that the unit uses and that is another one now.
fn stale(report: &UnitReport, plugins: &BTreeMap<String, Digest>) -> Option<String> {
    let mut used = report.plugins.iter();
    // The standard plugin is part of the host: its file is no directory's.
    let stale =
        used.find(|(name, digest)| *name != STANDARD_NAME && plugins.get(*name) != Some(digest));
    stale.map(|(name, _)| name.clone())
}

impl Plan {
    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(error) = &self.error {
            return writeln!(out, "error: {error}");
        }
        let keep = Action::Keep.as_str();
        let kept = self.units.iter().filter(|unit| unit.action == keep).count();
        writeln!(
            out,
            "{} to change, {kept} to keep, {} failed",
            self.units.len() - kept,
            self.failed.len()
        )?;
        for unit in self.units.iter().filter(|unit| unit.action != keep) {
            writeln!(out, "{}: {}: {}", unit.name, unit.action, unit.why)?;
        }
        for unit in &self.failed {
            writeln!(out, "{}: failed: {}", unit.name, unit.why)?;
        }
        Ok(())
    }
}
