//! When a unit runs: `lifecycle` and `keepalive`.

use std::time::Duration;

use crate::config::yaml::{Diagnostics, Fields, shorten};
use crate::near;

/// When a unit runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) enum Lifecycle {
    /// All the time.
    #[default]
    Autostart,
    /// From the first request for its own metrics until nobody has asked for a while.
    OnDemand,
}

const LIFECYCLES: [&str; 2] = ["autostart", "on-demand"];
/// Anywhere in the file's name it means what `lifecycle: autostart` says, as in the exporter whose
/// service this is.
const AUTOSTART: &str = "autostart";

pub(super) struct Life {
    pub(super) lifecycle: Lifecycle,
    pub(super) keepalive: Option<Duration>,
}

/// `name`: the unit's.
pub(super) fn read(name: &str, fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Life {
    let file = name.rsplit('/').next().unwrap_or(name);
    let wanted = read_lifecycle(fields, diagnostics);
    let lifecycle = if file.contains(AUTOSTART) {
        if let (Some(Lifecycle::OnDemand), Some(node)) = (wanted, fields.get("lifecycle")) {
            diagnostics.warning(
                node.at,
                "the file's name has `autostart` in it, which wins: the unit runs all the time",
            );
        }
        Lifecycle::Autostart
    } else {
        wanted.unwrap_or_default()
    };
    let keepalive = fields.duration("keepalive", diagnostics);
    if let (Lifecycle::Autostart, Some(node)) = (lifecycle, fields.get("keepalive")) {
        diagnostics.warning(
            node.at,
            "`keepalive` is of no effect without `lifecycle: on-demand`: the unit runs all the time",
        );
    }
    Life {
        lifecycle,
        keepalive,
    }
}

fn read_lifecycle(fields: &Fields<'_>, diagnostics: &mut Diagnostics) -> Option<Lifecycle> {
    let node = fields.get("lifecycle")?;
    match fields.text("lifecycle", diagnostics)? {
        "" | "autostart" => Some(Lifecycle::Autostart),
        "on-demand" => Some(Lifecycle::OnDemand),
        other => {
            let hint = near::suggestion(other, &LIFECYCLES);
            diagnostics.error(
                node.at,
                format!("unknown `lifecycle`: `{}`{hint}", shorten(other)),
            );
            None
        }
    }
}
