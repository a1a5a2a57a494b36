//! A unit as a host tells of it, in JSON: enough to tell what a reload would do, and nothing but
//! names, digests and types.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::link::MapLayout;

/// One unit of `GET /-/units`.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct UnitReport {
    pub(crate) name: String,
    /// As `UnitPhase::as_str` has it.
    pub(crate) state: String,
    /// Why a degraded one is: `config` or `kernel`.
    #[serde(default)]
    pub(crate) degraded: Option<String>,
    pub(crate) on_demand: bool,
    /// SHA-256 of the YAML of the version that runs or, on demand, waits, or is not for the host's
    /// kernel.
    pub(crate) config: Option<Digest>,
    /// Of the object's file.
    pub(crate) object: Option<Digest>,
    /// Of what the YAML wants to be done before the object is attached. Only of a version that
    /// runs.
    pub(crate) preparation: Option<Digest>,
    /// What the entries of its maps are. Only of a version that runs.
    #[serde(default)]
    pub(crate) maps: Vec<MapLayout>,
    /// Of the components in use, each with its sidecar.
    pub(crate) plugins: BTreeMap<String, Digest>,
}
