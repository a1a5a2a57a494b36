//! `exporter-host check DIR`: says what is wrong with the YAML files of a directory, units' and
//! plugins' sidecars, without a kernel and without privileges. Objects that are there are looked
//! into, as far as that takes no kernel; plugins are opened and asked.

use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use super::inspect::Inspector;
use crate::config::Diagnostic;
use crate::config::Strictness;
use crate::config::load;
use crate::config::load::Loaded;

/// Validate the units and plugins of a directory; needs no privileges and no kernel support
#[derive(Debug, Args)]
pub(crate) struct CheckFlags {
    /// Directory of the units
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// Treat unknown and duplicate keys and missing objects as errors
    #[arg(long)]
    strict: bool,

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line each: file:line:column: error: message
    Text,
    /// One object
    Json,
}

/// The exit code is 1 where there is an error. `Err`: `out` could not be written to.
pub(crate) fn run(flags: &CheckFlags, out: &mut impl Write) -> io::Result<ExitCode> {
    let report = report(flags).unwrap_or_else(|error| Report {
        ok: false,
        error: Some(error),
        units: Vec::new(),
        diagnostics: Vec::new(),
    });
    match flags.format {
        Format::Text => report.write_text(out)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(flags: &CheckFlags) -> Result<Report, String> {
    let strict = Strictness {
        keys: flags.strict,
        metrics: false,
    };
    let loaded = load::load(&flags.dir, None, strict).map_err(|error| error.to_string())?;
    let directories = std::iter::once(&flags.dir).chain(&flags.plugins);
    let directories: Vec<PathBuf> = directories.cloned().collect();
    let (inspector, of_plugins) = Inspector::open(&directories, flags.cache.as_deref())
        .map_err(|error| format!("plugins cannot be opened: {error}"))?;
    Ok(Report::of(loaded, &inspector, of_plugins, flags.strict))
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    /// Why there are no units at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    units: Vec<UnitLine>,
    #[serde(rename = "problems")]
    diagnostics: Vec<ProblemLine>,
}

#[derive(Serialize)]
struct UnitLine {
    name: String,
    file: String,
    ok: bool,
}

#[derive(Serialize)]
struct ProblemLine {
    file: String,
    /// None: the file as a whole.
    line: Option<usize>,
    column: Option<usize>,
    severity: &'static str,
    message: String,
    #[serde(skip)]
    text: String,
}

// === impl Report ===

impl Report {
    /// What could be read of a unit is looked at too where it cannot be used.
    fn of(
        loaded: Loaded,
        inspector: &Inspector,
        mut diagnostics: Vec<Diagnostic>,
        strict: bool,
    ) -> Self {
        let mut units = Vec::new();
        diagnostics.extend(loaded.warnings);
        let unreadable = loaded.unreadable.into_iter();
        let unreadable = unreadable.filter(|directory| !directory.is_dangling);
        diagnostics.extend(unreadable.map(|directory| directory.diagnostic));
        let failed = loaded.failed.into_iter().map(|unit| {
            let partial = unit.partial.map(|partial| *partial);
            (unit.name, unit.file, partial, unit.diagnostics)
        });
        let good = loaded.units.into_iter().map(|unit| {
            (
                unit.name.clone(),
                Arc::clone(&unit.file),
                Some(unit),
                Vec::new(),
            )
        });
        for (name, file, config, mut found) in good.chain(failed) {
            if let Some(config) = &config {
                let findings = inspector.unit(config);
                found.extend(findings.errors().cloned());
                found.extend(findings.warnings.into_iter().map(|one| one.strict(strict)));
            }
            units.push(UnitLine {
                name,
                file: file.display().to_string(),
                ok: !found.iter().any(Diagnostic::is_error),
            });
            diagnostics.append(&mut found);
        }
        units.sort_by(|a, b| a.name.cmp(&b.name));
        // What is about a whole file stands at its end.
        diagnostics.sort_by(|a, b| {
            let key = |one: &Diagnostic| (one.at.line == 0, one.at.line, one.at.column);
            (&a.at.file, key(a)).cmp(&(&b.at.file, key(b)))
        });
        diagnostics.dedup();
        Self {
            ok: !diagnostics.iter().any(Diagnostic::is_error),
            error: None,
            units,
            diagnostics: diagnostics.iter().map(ProblemLine::of).collect(),
        }
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        if let Some(error) = &self.error {
            return writeln!(out, "error: {error}");
        }
        for diagnostic in &self.diagnostics {
            writeln!(out, "{}", diagnostic.text)?;
        }
        let failed = self.units.iter().filter(|unit| !unit.ok).count();
        let warnings = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == "warning")
            .count();
        writeln!(
            out,
            "units: {}, with errors: {failed}, warnings: {warnings}",
            self.units.len()
        )
    }
}

// === impl ProblemLine ===

impl ProblemLine {
    fn of(diagnostic: &Diagnostic) -> Self {
        let at = &diagnostic.at;
        Self {
            file: at.file.display().to_string(),
            line: (at.line > 0).then_some(at.line),
            column: (at.line > 0).then_some(at.column),
            severity: diagnostic.severity.as_str(),
            message: diagnostic.message.clone(),
            text: diagnostic.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("a.yaml"),
            "metrics: {counters: [{name: c, help: h}]}\ncolour: red\n",
        )
        .unwrap();
        fs::write(
            dir.path().join("b.yaml"),
            "metrics: {counters: [{name: c}]}\n",
        )
        .unwrap();
        dir
    }

    fn output(dir: &Path, strict: bool, format: Format) -> (String, ExitCode) {
        let mut out = Vec::new();
        let code = run(
            &CheckFlags {
                dir: dir.to_owned(),
                strict,
                plugins: Vec::new(),
                cache: None,
                format,
            },
            &mut out,
        )
        .unwrap();
        (String::from_utf8(out).unwrap(), code)
    }

    #[test]
    fn text_is_a_line_a_problem() {
        let dir = directory();
        let (text, code) = output(dir.path(), false, Format::Text);
        let path = dir.path().display();
        assert_eq!(
            text,
            format!(
                "{path}/a.yaml:2:1: warning: unknown key `colour` in a unit (it is ignored)\n\
                 {path}/a.yaml: warning: there is no BPF object {path}/a.bpf.o yet: only the YAML is checked\n\
                 {path}/b.yaml:1:22: error: the counter `c` needs a `help`: one sentence for its readers\n\
                 {path}/b.yaml: warning: there is no BPF object {path}/b.bpf.o yet: only the YAML is checked\n\
                 units: 2, with errors: 1, warnings: 3\n"
            )
        );
        assert_eq!(code, ExitCode::FAILURE);
    }

    #[test]
    fn only_errors_fail_and_strict_makes_more_of_them() {
        let dir = directory();
        fs::remove_file(dir.path().join("b.yaml")).unwrap();
        assert_eq!(output(dir.path(), false, Format::Text).1, ExitCode::SUCCESS);
        assert_eq!(output(dir.path(), true, Format::Text).1, ExitCode::FAILURE);
    }

    #[test]
    fn json_is_one_object() {
        let dir = directory();
        let (text, _) = output(dir.path(), false, Format::Json);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["ok"], false);
        assert_eq!(
            report["units"][1],
            json!({"name": "b", "file": dir.path().join("b.yaml"), "ok": false})
        );
        let message = "the counter `c` needs a `help`: one sentence for its readers";
        let expected = json!({"file": dir.path().join("b.yaml"), "line": 1, "column": 22, "severity": "error", "message": message});
        assert_eq!(report["problems"][2], expected);
    }

    #[test]
    fn a_directory_that_is_none_is_an_error_in_both_formats() {
        let (text, code) = output(Path::new("/nowhere"), false, Format::Text);
        assert_eq!(
            text,
            "error: the config directory /nowhere does not exist: create it, or name another one\n"
        );
        assert_eq!(code, ExitCode::FAILURE);
        let (text, _) = output(Path::new("/nowhere"), false, Format::Json);
        assert!(
            text.contains("\"error\": \"the config directory /nowhere does not exist"),
            "{text}"
        );
    }
}
