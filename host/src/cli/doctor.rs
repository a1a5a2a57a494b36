//! `exporter-host doctor [DIR]`: says what this kernel and these privileges allow, and which units
//! of a directory will not work here.

use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::check::Format;
use super::inspect::Inspector;
use crate::config::{Strictness, load};
use crate::doctor::{self, Finding, Status};

/// Report what this kernel and these privileges allow, what does not work and how to fix it; run it
/// as the exporter will run
#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    /// Directory of units: each is looked at, too
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,

    /// As the host's --plugin.dir; repeatable
    #[arg(long = "plugin.dir", value_name = "DIR", requires = "dir")]
    plugins: Vec<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    /// Nothing that every BPF unit needs is missing.
    ok: bool,
    checks: Vec<Finding>,
    /// Of the directory.
    units: Vec<UnitLine>,
}

#[derive(Serialize)]
struct UnitLine {
    name: String,
    ok: bool,
    /// Why it, or a part of it, will not work here.
    why: Vec<String>,
}

/// The exit code is 1 where no BPF unit will work, or one of the directory does not. `Err`: `out`
/// could not be written to.
pub(crate) fn run(flags: &DoctorFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let checks = doctor::examine();
    let units = match &flags.dir {
        None => Vec::new(),
        Some(dir) => match units(dir, &flags.plugins) {
            Ok(units) => units,
            Err(error) => {
                writeln!(out, "error: {error}")?;
                return Ok(ExitCode::FAILURE);
            }
        },
    };
    let ok =
        checks.iter().all(|one| one.status != Status::Missing) && units.iter().all(|unit| unit.ok);
    let report = Report { ok, checks, units };
    match flags.format {
        Format::Text => write_text(&report, out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn units(dir: &Path, plugins: &[PathBuf]) -> Result<Vec<UnitLine>, String> {
    let loaded = load::load(dir, None, Strictness::default()).map_err(|error| error.to_string())?;
    let directories = std::iter::once(dir.to_owned()).chain(plugins.iter().cloned());
    let directories: Vec<PathBuf> = directories.collect();
    let (inspector, _) = Inspector::open(&directories, None)
        .map_err(|error| format!("plugins cannot be opened: {error}"))?;
    let failed = loaded.failed.into_iter().map(|unit| UnitLine {
        name: unit.name,
        ok: false,
        why: unit.diagnostics.iter().map(ToString::to_string).collect(),
    });
    let looked_at = loaded.units.iter().map(|unit| {
        let findings = inspector.unit(unit);
        let mut why: Vec<String> = findings.errors().map(ToString::to_string).collect();
        if let Some(object) = unit.object.as_ref().filter(|object| !object.exists()) {
            why.push(format!("there is no BPF object {}", object.display()));
        }
        why.extend(doctor::unit_lacks(unit));
        UnitLine {
            name: unit.name.clone(),
            ok: why.is_empty(),
            why,
        }
    });
    let mut units: Vec<UnitLine> = looked_at.chain(failed).collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(units)
}

fn write_text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for one in &report.checks {
        let status = match one.status {
            Status::Ok => "ok",
            Status::Limited => "limited",
            Status::Missing => "MISSING",
        };
        writeln!(out, "{status:8} {:26} {}", one.check, one.found)?;
        for line in [&one.consequence, &one.remedy].into_iter().flatten() {
            writeln!(out, "{:8} {:26} - {line}", "", "")?;
        }
    }
    for unit in &report.units {
        let (status, found) = if unit.ok {
            ("ok", "works here, as far as that can be told")
        } else {
            ("WRONG", "will not work here, or not all of it:")
        };
        writeln!(
            out,
            "{status:8} {:26} {found}",
            format!("unit {}", unit.name)
        )?;
        for why in &unit.why {
            writeln!(out, "{:8} {:26} - {why}", "", "")?;
        }
    }
    let count = |status| {
        report
            .checks
            .iter()
            .filter(|one| one.status == status)
            .count()
    };
    writeln!(
        out,
        "checks: {}, limited: {}, missing: {}",
        report.checks.len(),
        count(Status::Limited),
        count(Status::Missing)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_no_says_what_and_what_to_do() {
        let mut out = Vec::new();
        let flags = DoctorFlags {
            dir: None,
            plugins: Vec::new(),
            format: Format::Json,
        };
        run(&flags, &mut out).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.len() > 20);
        for check in checks {
            let ok = check["status"] == "ok";
            for field in ["consequence", "remedy"] {
                assert_eq!(check[field].is_string(), !ok, "{check}");
            }
        }
        let missing = checks.iter().any(|check| check["status"] == "missing");
        assert_eq!(report["ok"], !missing);
    }
}
