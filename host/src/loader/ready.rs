//! What a unit is between its attaching and its service.

use std::os::fd::OwnedFd;

use super::units::{Loaded, UnitError};
use crate::config::UnitConfig;
use crate::link::{ServedConfig, ServedUnit};

/// An attached version, and what the server is to read of it.
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    pub(super) message: ServedUnit,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// What the server is to read of a version.
pub(super) fn served(
    loaded: &Loaded,
    generation: u64,
) -> Result<(ServedUnit, Vec<OwnedFd>), UnitError> {
    match &loaded.kernel {
        Some(kernel) => kernel.served(generation, &loaded.config, &loaded.metrics, Vec::new()),
        None => Ok((
            without_object(generation, generation, &loaded.config),
            Vec::new(),
        )),
    }
}

/// A unit of collectors alone.
pub(super) fn without_object(generation: u64, kernel_side: u64, config: &UnitConfig) -> ServedUnit {
    ServedUnit {
        generation,
        kernel_side,
        config: ServedConfig::from(config),
        metrics: Vec::new(),
        sources: Vec::new(),
        programs: Vec::new(),
        held: Vec::new(),
        resumed: false,
    }
}
