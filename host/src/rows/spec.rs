//! What a metric is made from: all that its YAML says and leaves to the object's types, resolved.

use serde::{Deserialize, Serialize};

use super::key::Layout;
use crate::config::{MetricSource, PluginUse, SeriesBounds};

/// A metric before its plugins are opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MetricSpec {
    /// Without the namespace.
    pub(crate) name: String,
    pub(crate) help: String,
    /// The BPF map's name.
    pub(crate) map: String,
    pub(crate) source: MetricSource,
    /// As many as the layout has fields.
    pub(crate) labels: Vec<LabelSpec>,
    pub(crate) layout: Layout,
    /// The shaper by name and its options.
    pub(crate) shape: PluginUse,
    /// What each number is multiplied by. None: by nothing.
    pub(crate) scale: Option<f64>,
    pub(crate) bounds: SeriesBounds,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LabelSpec {
    pub(crate) name: String,
    /// Each gets what the one before it gave; at least one.
    pub(crate) decoders: Vec<PluginUse>,
}
