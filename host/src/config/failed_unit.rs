//! A unit of the config directory that cannot be started.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::UnitConfig;
use crate::config::yaml::Diagnostic;

/// A unit that can't be started, and why.
#[derive(Debug, Clone)]
pub(crate) struct FailedUnit {
    pub(crate) name: String,
    pub(crate) file: Arc<PathBuf>,
    /// At least one of them an error.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// As much of the unit as could be read, for whoever can find more problems in it.
    pub(crate) partial: Option<Box<UnitConfig>>,
}
