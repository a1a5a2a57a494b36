//! What a unit is between its attaching and its service.

use std::os::fd::OwnedFd;

use super::units::Loaded;
use crate::link::ServedUnit;

/// An attached version, and what the server is to read of it.
pub(super) struct Ready {
    pub(super) loaded: Loaded,
    pub(super) message: ServedUnit,
    pub(super) descriptors: Vec<OwnedFd>,
}
