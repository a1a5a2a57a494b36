//! The interface between host and plugins: wit/plugin.wit.

/// The version of exporter:plugin that this host speaks.
pub(super) const INTERFACE_VERSION: &str = "0.1.0";
