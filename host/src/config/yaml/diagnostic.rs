//! What is wrong with a config file, and where. Owns the wording's frame (`file:line:column: error:
//! message`) and the list that a reader fills; does not decide what is wrong. Other rooms make
//! problems too, about things that only show once a plugin or an object is open.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A place in a config file, for messages. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Span {
    /// For people: over a socket it is text, with U+FFFD for what is not UTF-8.
    #[serde(with = "super::shown_path")]
    pub(crate) file: Arc<PathBuf>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Ordered: an error outweighs a warning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum Severity {
    /// The file is used nevertheless.
    Warning,
    /// The file's unit cannot run.
    Error,
}

/// One thing that is wrong, or probably not meant, at one place of one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) at: Span,
    /// What was expected, what was found and what to do: lower case, no full stop, one line.
    pub(crate) message: String,
}

/// A place inside the file that is being read. Lines and columns count from 1; 0 means the file as
/// a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::config) struct LineColumn {
    pub(in crate::config) line: usize,
    pub(in crate::config) column: usize,
}

/// A file that is something else altogether has a problem on every line, and nobody reads them all.
const MAX_LISTED: usize = 100;

/// The problems of one file, in the order in which they were found.
#[derive(Debug)]
pub(in crate::config) struct Diagnostics {
    file: Arc<PathBuf>,
    /// What ebpf_exporter takes although it can hardly be meant: unknown and duplicate keys.
    lenient: Severity,
    list: Vec<Diagnostic>,
    any_error: bool,
    /// Errors that cost a metric alone.
    of_metrics: Vec<Diagnostic>,
    /// Found after the list was full.
    unlisted: usize,
}

// === impl Severity ===

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Span ===

impl Span {
    /// The file as a whole.
    pub(crate) fn whole(file: &Arc<PathBuf>) -> Self {
        Self {
            file: Arc::clone(file),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    pub(crate) fn error(at: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, at, message.into())
    }

    /// An error where one is asked to be strict.
    pub(crate) fn strict(mut self, strict: bool) -> Self {
        if strict {
            self.severity = Severity::Error;
        }
        self
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub(crate) fn warning(at: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, at, message.into())
    }

    /// What it quotes from the file neither breaks the line nor tells a terminal anything.
    fn new(severity: Severity, at: Span, message: String) -> Self {
        let message = if message.contains(char::is_control) {
            message.replace(char::is_control, " ")
        } else {
            message
        };
        Self {
            severity,
            at,
            message,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.severity, self.message)
    }
}

/// All of them in one line, for a log line and a status page.
pub(crate) fn joined<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> String {
    let texts: Vec<String> = diagnostics.into_iter().map(ToString::to_string).collect();
    texts.join("; ")
}

// === impl LineColumn ===

impl From<&Span> for LineColumn {
    fn from(at: &Span) -> Self {
        Self {
            line: at.line,
            column: at.column,
        }
    }
}

impl fmt::Display for LineColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

// === impl Diagnostics ===

impl Diagnostics {
    pub(in crate::config) fn new(file: &Arc<PathBuf>, strict_keys: bool) -> Self {
        let lenient = if strict_keys {
            Severity::Error
        } else {
            Severity::Warning
        };
        Self {
            file: Arc::clone(file),
            lenient,
            list: Vec::new(),
            any_error: false,
            of_metrics: Vec::new(),
            unlisted: 0,
        }
    }

    pub(in crate::config) fn position(&self, mark: LineColumn) -> Span {
        Span {
            file: Arc::clone(&self.file),
            line: mark.line,
            column: mark.column,
        }
    }

    pub(in crate::config) fn error(&mut self, mark: LineColumn, message: impl Into<String>) {
        self.push(Severity::Error, mark, message.into());
    }

    pub(in crate::config) fn warning(&mut self, mark: LineColumn, message: impl Into<String>) {
        self.push(Severity::Warning, mark, message.into());
    }

    /// An error under `--config.strict-keys`, otherwise a warning.
    pub(in crate::config) fn lenient(&mut self, mark: LineColumn, message: impl Into<String>) {
        self.push(self.lenient, mark, message.into());
    }

    /// Reads a metric: errors in it cost this metric alone, and are kept apart. Gives also whether
    /// there was none.
    pub(in crate::config) fn metric<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> (Option<T>, bool) {
        let (before, any_error) = (self.list.len(), std::mem::take(&mut self.any_error));
        let metric = read(self);
        let failed = std::mem::replace(&mut self.any_error, any_error);
        if !failed {
            return (metric, true);
        }
        let of_metric = self.list.split_off(before.min(self.list.len()));
        for diagnostic in of_metric {
            if diagnostic.severity == Severity::Error {
                self.of_metrics.push(diagnostic);
            } else {
                self.list.push(diagnostic);
            }
        }
        (metric, false)
    }

    /// An error that costs a metric alone.
    pub(in crate::config) fn metric_error(&mut self, mark: LineColumn, message: impl Into<String>) {
        let _: (Option<()>, bool) = self.metric(|diagnostics| {
            diagnostics.error(mark, message);
            None
        });
    }

    /// What costs metrics alone becomes what costs the unit.
    pub(in crate::config) fn fail_metrics(&mut self) {
        self.any_error |= !self.of_metrics.is_empty();
        self.list.append(&mut self.of_metrics);
    }

    /// Errors that cost metrics alone, in the order of the file.
    pub(in crate::config) fn take_of_metrics(&mut self) -> Vec<Diagnostic> {
        let mut list = std::mem::take(&mut self.of_metrics);
        list.sort_by_key(|diagnostic| (diagnostic.at.line, diagnostic.at.column));
        list
    }

    fn push(&mut self, severity: Severity, mark: LineColumn, message: String) {
        self.any_error |= severity == Severity::Error;
        if self.list.len() + self.of_metrics.len() < MAX_LISTED {
            let at = self.position(mark);
            self.list.push(Diagnostic::new(severity, at, message));
        } else {
            self.unlisted += 1;
        }
    }

    pub(in crate::config) fn any_error(&self) -> bool {
        self.any_error
    }

    /// In the order of the file, which is how somebody goes through them.
    pub(in crate::config) fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list
            .sort_by_key(|diagnostic| (diagnostic.at.line, diagnostic.at.column));
        if self.unlisted > 0 {
            let severity = if self.any_error {
                Severity::Error
            } else {
                Severity::Warning
            };
            let message = format!("and {} more problems", self.unlisted);
            self.list.push(Diagnostic {
                severity,
                at: Span::whole(&self.file),
                message,
            });
        }
        self.list
    }
}
