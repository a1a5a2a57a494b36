//! What this kernel and these privileges allow, and what to do about what they don't.
//!
//! Owns the checks and their sentences. Does not own the command (`cli::doctor`) nor the ways to
//! find out (`bpf::probe`, `privileges`, `kernel`). Changes nothing: programs are loaded and let go
//! at once.

mod kernel;
mod needs;
mod privilege;
mod programs;
mod units;

pub(crate) use needs::unmet;
use serde::Serialize;
pub(crate) use units::unit_lacks;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Ok,
    /// Some units will not work, or not at run time.
    Limited,
    /// No BPF unit will work.
    Missing,
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) status: Status,
    /// What is there.
    pub(crate) found: String,
    /// What will not work; none if all does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consequence: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

/// Runs all checks.
pub(crate) fn examine() -> Vec<Finding> {
    // As a start does it. What cannot be raised is found missing.
    let _ = crate::privileges::raise();
    let privileges = privilege::Held::now();
    let version = crate::kernel::Release::running();
    let mut findings = kernel::examine(version.as_ref());
    findings.extend(privilege::examine(&privileges, version.as_ref()));
    findings.extend(programs::examine(&privileges));
    findings
}

// === impl Finding ===

impl Finding {
    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            status: Status::Ok,
            found: found.into(),
            consequence: None,
            remedy: None,
        }
    }

    fn but(self, status: Status, consequence: &str, remedy: impl Into<String>) -> Self {
        Self {
            status,
            consequence: Some(consequence.to_owned()),
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// Fine if `ok`, and otherwise what it says.
    fn unless(self, ok: bool, status: Status, consequence: &str, remedy: &str) -> Self {
        if ok {
            self
        } else {
            self.but(status, consequence, remedy)
        }
    }
}
