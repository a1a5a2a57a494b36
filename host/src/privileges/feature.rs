//! What became of each part of the hardening: for the log, the status page and `exporter_host_hardening`.

/// One part of the hardening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feature {
    /// The value of the label `feature`.
    pub(crate) name: &'static str,
    pub(crate) active: bool,
    /// What is in force, or why nothing is.
    pub(crate) detail: String,
    /// Wanted and not to be had: a warning, not a remark.
    pub(crate) failed: bool,
}

// === impl Feature ===

impl Feature {
    pub(super) fn on(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            active: true,
            detail: detail.into(),
            failed: false,
        }
    }

    /// The operator's choice.
    pub(super) fn off(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            active: false,
            ..Self::on(name, detail)
        }
    }

    pub(super) fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            failed: true,
            ..Self::off(name, detail)
        }
    }

    pub(crate) fn log(&self) {
        let Self {
            name,
            active,
            detail,
            failed,
        } = self;
        if *failed {
            tracing::warn!(feature = name, active, "hardening: {detail}");
        } else {
            tracing::info!(feature = name, active, "hardening: {detail}");
        }
    }
}
