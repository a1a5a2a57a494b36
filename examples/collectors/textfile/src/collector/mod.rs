//! Reads the files, and tells how it went.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use exporter_guest_sdk::files::{FileError, FileKind, FileProblem, Metadata};
use exporter_guest_sdk::options::Text;
use exporter_guest_sdk::{Collector, Error, Failure, Families, Files, Host, Request, log};
use serde::Deserialize;

use crate::age;
use crate::merge::Merged;
use crate::parse::{self, Content};
use crate::paths::PathPattern;

/// As node_exporter calls them.
const SCRAPE_ERROR: &str = "node_textfile_scrape_error";
const MTIME: &str = "node_textfile_mtime_seconds";
/// Ours.
const LEFT_OUT: &str = "textfile_left_out";
const CONFLICTS: &str = "textfile_conflicts";
const SKIPPED_LINES: &str = "textfile_skipped_lines";
const OWN: [&str; 5] = [SCRAPE_ERROR, MTIME, LEFT_OUT, CONFLICTS, SKIPPED_LINES];

/// A clock that shows a time before this one is none: 2020-01-01 UTC.
const CLOCK_BEGINS: Duration = Duration::from_secs(1_577_836_800);

/// Serves what is in files.
#[derive(Debug)]
pub(crate) struct Textfile {
    /// Strict ones first: a file that is named twice is read as such.
    paths: Vec<(PathPattern, Reading)>,
    max_age: Option<Duration>,
    max_series: usize,
}

/// Below the 20,000 that a plugin may have unless its sidecar says otherwise.
const MAX_SERIES: usize = 19_000;
/// Bytes of files for each series that there may be.
const BYTES_A_SERIES: usize = 320;
/// Lines of the collector's own about one file.
const OWN_LINES: usize = 3;

#[derive(Debug, Deserialize)]
pub(crate) struct Options {
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    lenient_paths: Vec<String>,
    #[serde(default)]
    max_age: Option<Text>,
    #[serde(default)]
    max_series: Option<usize>,
}

/// What becomes of a file with something wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing of it is served.
    Strict,
    /// All other lines are.
    Lenient,
}

/// Why nothing of a file is served; the label `reason`.
#[derive(Debug, Clone, Copy)]
enum Reason {
    Denied,
    Invalid,
    Missing,
    Stale,
    TooLarge,
    TooManySeries,
    Unreadable,
}

/// Lines and bytes.
#[derive(Debug, Clone, Copy)]
struct Room {
    lines: usize,
    bytes: usize,
}

/// One answer in the making.
struct Answer<'a, F> {
    files: &'a F,
    /// With max_age: now, and the age.
    stale: Option<(SystemTime, Duration)>,
    merged: Merged,
    is_error: bool,
    /// What the files after the last one may have.
    room: Room,
    mtimes: Vec<(String, f64)>,
    left_out: Vec<(String, Reason)>,
    conflicts: Vec<(String, usize)>,
    skipped: Vec<(String, u64)>,
}

impl Collector for Textfile {
    const NAME: &'static str = "textfile";
    const SUMMARY: &'static str =
        "metrics from files in the text format, as node_exporter's textfile collector";
    const OPTIONS_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false, "properties": {
        "paths": {"type": "array", "items": {"type": "string"}, "description": "files, with *, ? and [...] in names; nothing of one with an error is served"},
        "lenient_paths": {"type": "array", "items": {"type": "string"}, "description": "files of which the lines without errors are served"},
        "max_series": {"type": "integer", "minimum": 1, "description": "series of all files together; a file that goes beyond is left out"},
        "max_age": {"type": "string", "description": "files that were changed longer ago are left out, e.g. 1h30m; needs the clock"}}}"#;
    type Options = Options;

    fn open(options: Options) -> Result<Self, Error> {
        let strict = options.paths.iter().map(|path| (path, Reading::Strict));
        let lenient = options
            .lenient_paths
            .iter()
            .map(|path| (path, Reading::Lenient));
        let paths = strict
            .chain(lenient)
            .map(|(path, reading)| Ok((PathPattern::parse(path)?, reading)));
        let paths = paths.collect::<Result<Vec<_>, String>>()?;
        if paths.is_empty() {
            return Err("textfile reads nothing: give `paths`, e.g. [\"/var/lib/prometheus/node-exporter/*.prom\"]".into());
        }
        let max_age = options.max_age.map(|text| {
            age::parse(text.as_str()).ok_or_else(|| {
                format!(
                    "option `max_age` of textfile: expected a time as 90s or 1h30m, found `{}`",
                    text.as_str()
                )
            })
        });
        Ok(Self {
            paths,
            max_age: max_age.transpose()?,
            max_series: options.max_series.unwrap_or(MAX_SERIES),
        })
    }

    fn collect(
        &self,
        host: &impl Host,
        _: &Request,
        families: &mut Families,
    ) -> Result<(), Failure> {
        let stale = match self.max_age {
            None => None,
            Some(age) => Some((now()?, age)),
        };
        self.answer(host, stale).write(families);
        Ok(())
    }
}

impl Textfile {
    fn answer<'a, F: Files>(
        &self,
        files: &'a F,
        stale: Option<(SystemTime, Duration)>,
    ) -> Answer<'a, F> {
        let mut answer = Answer {
            files,
            stale,
            merged: Merged::reserving(&OWN),
            is_error: false,
            room: Room {
                lines: self.max_series,
                bytes: self.max_series.saturating_mul(BYTES_A_SERIES),
            },
            mtimes: Vec::new(),
            left_out: Vec::new(),
            conflicts: Vec::new(),
            skipped: Vec::new(),
        };
        let mut read = BTreeSet::new();
        for (pattern, reading) in &self.paths {
            let mut errors = Vec::new();
            for path in pattern.expand(files, &mut errors) {
                if read.insert(path.clone()) {
                    answer.file(path, *reading, pattern.is_literal());
                }
            }
            for error in errors {
                answer.leave_out(error.path.clone(), reason(&error), &error.to_string());
            }
        }
        answer
    }
}

/// Lines that are neither empty nor comments: at most one series each.
fn sample_lines(bytes: &[u8]) -> usize {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !matches!(line.trim_ascii_start().first(), None | Some(b'#')))
        .count()
}

/// The time of day; a plugin without that grant sees none.
fn now() -> Result<SystemTime, Failure> {
    let now = SystemTime::now();
    if now < SystemTime::UNIX_EPOCH + CLOCK_BEGINS {
        return Err(Failure::Denied(
            "max_age needs to know the time: add `clock: true` to the grants in textfile.plugin.yaml".to_owned(),
        ));
    }
    Ok(now)
}

fn reason(error: &FileError) -> Reason {
    match error.problem {
        FileProblem::Denied(_) => Reason::Denied,
        FileProblem::NotFound => Reason::Missing,
        FileProblem::TooLarge(_) => Reason::TooLarge,
        FileProblem::Io(_) => Reason::Unreadable,
    }
}

// === impl Answer ===

impl<F: Files> Answer<'_, F> {
    /// `must_be` there: it was not found by a pattern.
    fn file(&mut self, path: String, reading: Reading, must_be: bool) {
        let (metadata, bytes) = match self.read(&path) {
            Ok(Some(read)) => read,
            // A directory, say, that is called like one of the files.
            Ok(None) if !must_be => return,
            Ok(None) => {
                let problem = format!("{path}: it is no regular file");
                return self.leave_out(path, Reason::Unreadable, &problem);
            }
            Err(error) if error.is_not_found() && !must_be => return,
            Err(error) => return self.leave_out(path, reason(&error), &error.to_string()),
        };
        let lines = OWN_LINES + sample_lines(&bytes);
        if lines > self.room.lines {
            let (found, room) = (lines - OWN_LINES, self.room.lines);
            let problem = format!(
                "{path}: nothing of it is served: it has {found} series, there is room for {room}: raise `max_series` of textfile, and with it `limits` in its sidecar"
            );
            return self.leave_out(path, Reason::TooManySeries, &problem);
        }
        let size = bytes.len();
        let content = match reading {
            Reading::Strict => match parse::strict(&bytes) {
                Ok(content) => content,
                Err(problem) => {
                    let problem = format!("{path}: nothing of it is served: {problem}");
                    return self.leave_out(path, Reason::Invalid, &problem);
                }
            },
            Reading::Lenient => self.lenient(&path, &bytes),
        };
        self.mtimes
            .push((path.clone(), metadata.modified_seconds()));
        let is_stale = self.stale.is_some_and(|(now, age)| {
            now.duration_since(metadata.modified)
                .is_ok_and(|old| old > age)
        });
        if is_stale {
            log::debug(&format!("{path} was last changed longer ago than max_age"));
            self.left_out.push((path, Reason::Stale));
            return;
        }
        self.room.lines -= lines;
        self.room.bytes = self.room.bytes.saturating_sub(size);
        self.join(path, content);
    }

    fn read(&self, path: &str) -> Result<Option<(Metadata, Vec<u8>)>, FileError> {
        let metadata = self.files.metadata(path)?;
        if metadata.kind != FileKind::File {
            return Ok(None);
        }
        let room = self.room.bytes as u64;
        if metadata.size > room {
            return Err(FileError {
                path: path.to_owned(),
                problem: FileProblem::TooLarge(room),
            });
        }
        Ok(Some((metadata, self.files.read(path)?)))
    }

    fn lenient(&mut self, path: &str, bytes: &[u8]) -> Content {
        let content = parse::lenient(bytes);
        if let Some(problem) = &content.first_problem {
            let skipped = content.skipped;
            log::warn(&format!(
                "{path}: {skipped} lines are not served; the first one: {problem}"
            ));
        }
        self.skipped.push((path.to_owned(), content.skipped));
        content
    }

    fn join(&mut self, path: String, content: Content) {
        let conflicts = self.merged.add(&path, content.families);
        let mut left_out = 0;
        for conflict in conflicts {
            log::warn(&format!("{path}: {conflict}"));
            self.is_error = true;
            left_out += conflict.left_out;
        }
        self.conflicts.push((path, left_out));
    }

    fn leave_out(&mut self, path: String, reason: Reason, problem: &str) {
        log::warn(problem);
        self.is_error = true;
        self.left_out.push((path, reason));
    }

    fn write(self, families: &mut Families) {
        self.merged.write(families);
        families
            .gauge(
                SCRAPE_ERROR,
                "1 if there was an error opening or reading a file, 0 otherwise",
            )
            .sample(&[], u64::from(self.is_error));
        for (file, mtime) in &self.mtimes {
            families
                .gauge(MTIME, "Unixtime mtime of textfiles successfully read.")
                .sample(&[("file", file)], *mtime);
        }
        for (file, reason) in &self.left_out {
            families
                .gauge(
                    LEFT_OUT,
                    "1 for each file of which nothing is served, by the reason.",
                )
                .sample(&[("file", file), ("reason", reason.name())], 1_u64);
        }
        for (file, left_out) in &self.conflicts {
            families
                .gauge(CONFLICTS, "Series of a file that are left out since an earlier file has their name for something else.")
                .sample(&[("file", file)], *left_out);
        }
        for (file, skipped) in &self.skipped {
            families
                .gauge(
                    SKIPPED_LINES,
                    "Lines of a file of lenient_paths that are left out.",
                )
                .sample(&[("file", file)], *skipped);
        }
    }
}

// === impl Reason ===

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::TooLarge => "too_large",
            Self::TooManySeries => "too_many_series",
            Self::Unreadable => "unreadable",
        }
    }
}

#[cfg(test)]
mod tests;
