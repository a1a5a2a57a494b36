//! `exporter-host doctor`: says what this kernel and these privileges allow.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::check::Format;
use crate::doctor::{self, Finding, Status};

/// Report what this kernel and these privileges allow, what does not work and how to fix it; run it
/// as the exporter will run
#[derive(Debug, Args)]
pub(crate) struct DoctorFlags {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    /// Nothing that every BPF unit needs is missing.
    ok: bool,
    checks: Vec<Finding>,
}

/// The exit code is 1 where no BPF unit will work. `Err`: `out` could not be written to.
pub(crate) fn run(flags: &DoctorFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let checks = doctor::examine();
    let ok = checks.iter().all(|one| one.status != Status::Missing);
    let report = Report { ok, checks };
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
