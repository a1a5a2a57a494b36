//! `metrics.shaped`: maps whose families a plugin's shaper declares.

use super::metric::MetricConfig;
use super::plugin_use::{PluginUse, read_options};
use super::samples::MetricSource;
use super::{bounds, label, names};
use crate::config::yaml::{Diagnostics, Fields, Node, Schema, shorten};

pub(super) const SHAPED: Schema = Schema {
    what: "a shaped metric",
    known: &[
        "name",
        "help",
        "map",
        "shaper",
        "options",
        "labels",
        bounds::MAX_SERIES,
        bounds::EXPIRE,
        bounds::DEPARTED,
    ],
    later: &[],
};

/// None: it could not be read, which has been said.
pub(super) fn read_shaped(node: &Node, diagnostics: &mut Diagnostics) -> Option<MetricConfig> {
    let fields = Fields::of(node, &SHAPED, diagnostics)?;
    let text = |name: &str, diagnostics: &mut Diagnostics| match fields.get(name) {
        Some(_) => fields.text(name, diagnostics),
        None => Some(""),
    };
    let (name, map, help) = (
        text("name", diagnostics),
        text("map", diagnostics),
        text("help", diagnostics),
    );
    let shaper = fields.required_text(
        "shaper",
        "a shaped metric needs a `shaper`: a plugin's, by name",
        diagnostics,
    );
    let options = read_options(&fields, diagnostics);
    let labels = label::read_labels(&fields, diagnostics);
    let bounds = bounds::read(&fields, diagnostics);
    let (name, map) = match (name?, map?) {
        ("", "") => {
            diagnostics.error(
                fields.at,
                "a shaped metric needs a `name`, or the `map` that it is called after",
            );
            return None;
        }
        ("", map) => (map, map),
        (name, "") => (name, name),
        both => both,
    };
    if let Err(why) = names::check_metric_name(name) {
        diagnostics.error(
            fields.at,
            format!("the metric name `{}` {why}", shorten(name)),
        );
        return None;
    }
    let at = diagnostics.position(fields.at);
    Some(MetricConfig {
        name: name.to_owned(),
        help: help?.to_owned(),
        map: map.to_owned(),
        source: MetricSource::Map,
        labels: labels?,
        shape: PluginUse {
            name: shaper?.to_owned(),
            options,
            at: at.clone(),
        },
        any_value: true,
        value: None,
        bounds,
        at,
    })
}
