//! What a unit's YAML wants of its maps: their size, and that they outlive the process.

use crate::bpf::{LoadedObject, OpenObject, Pins, UnitPins, unpinnable_reason};
use crate::config::{Diagnostic, UnitConfig};
use crate::near::nearest;

/// The pins of a unit, as they should be while it runs.
pub(super) struct PinnedMaps {
    pins: UnitPins,
    /// Empty: what is pinned from before is not wanted any more.
    maps: Vec<String>,
}

/// Checks the section `maps` against the object and does what has to be done before it is loaded;
/// everything that is wrong is reported.
pub(super) fn prepare(config: &UnitConfig, object: &mut OpenObject) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for wanted in &config.maps {
        let name = wanted.name.as_str();
        let found = object.map(name).map(|map| (map.internal, map.kind));
        let diagnostic = match found {
            Err(error) => {
                let near = nearest(name, object.map_names());
                let hint = near.map(|near| format!(", did you mean `{near}`?"));
                Some(format!("{error}{}", hint.unwrap_or_default()))
            }
            Ok((true, _)) => Some(format!(
                "`{name}` holds global variables: only maps can be in `maps`"
            )),
            Ok((false, kind)) => unpinnable_reason(kind)
                .filter(|_| wanted.pin)
                .map(|why| format!("the map `{name}` cannot be pinned: {why}")),
        };
        if let Some(diagnostic) = diagnostic {
            diagnostics.push(Diagnostic::error(wanted.at.clone(), diagnostic));
        } else if let Some(entries) = wanted.max_entries
            && let Err(error) = object.set_max_entries(name, entries)
        {
            diagnostics.push(Diagnostic::error(wanted.at.clone(), error.to_string()));
        }
    }
    diagnostics
}

/// Takes up pinned maps, so that their entries go on. `taken`: whether a map is another version's
/// already.
pub(super) fn take_up(
    config: &UnitConfig,
    object: &mut OpenObject,
    pins: Option<&Pins>,
    taken: impl Fn(&str) -> bool,
) -> Option<PinnedMaps> {
    let pins = pins?.of_unit(&config.name);
    let wanted = config.maps.iter().filter(|map| map.pin);
    let maps: Vec<String> = wanted.map(|map| map.name.clone()).collect();
    if !maps.is_empty() {
        pins.note();
    }
    for map in maps.iter().filter(|map| !taken(map)) {
        let reused = match pins.get(map) {
            Ok(None) => continue,
            Ok(Some(pinned)) => object.reuse_pinned(map, &pinned, pins.layout(&pinned)),
            Err(error) => Err(error.to_string()),
        };
        match reused {
            Ok(None) => tracing::info!(
                config = config.name,
                map,
                "pinned map taken up: its counts go on"
            ),
            Ok(Some(unknown)) => tracing::warn!(
                config = config.name,
                map,
                "pinned map taken up by the sizes of its keys and values alone: {unknown}"
            ),
            Err(why) => tracing::warn!(
                config = config.name,
                map,
                "the pinned map cannot be taken up and is replaced, its counts start at 0: {why}"
            ),
        }
    }
    Some(PinnedMaps { pins, maps })
}

impl PinnedMaps {
    /// Pins what is to be pinned and removes what is not. Gives what did not go well.
    pub(super) fn settle(&self, object: &LoadedObject) -> Vec<String> {
        let mut remarks = Vec::new();
        for map in &self.maps {
            let handle = object.map_handle(map).map_err(|error| error.to_string());
            let pinned = handle.and_then(|handle| {
                let layout = object.layout(map).map_err(|error| error.to_string())?;
                let pinned = self.pins.pin(map, handle, layout);
                pinned.map_err(|error| error.to_string())
            });
            if let Err(why) = pinned {
                remarks.push(format!(
                    "the map {map} is not pinned, its counts end with this process: {why} (pinning takes a bpffs, CAP_BPF and write permission in --bpf.pin-dir)"
                ));
            }
        }
        let keep: Vec<&str> = self.maps.iter().map(String::as_str).collect();
        if let Err(error) = self.pins.keep_only(&keep) {
            remarks.push(format!("pins that are not wanted any more stay: {error}"));
        }
        remarks
    }
}
