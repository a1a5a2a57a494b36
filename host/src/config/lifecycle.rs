//! When a unit runs: `lifecycle` and `keepalive`.

use std::time::Duration;

use super::duration;
use super::fields::Fields;
use super::model::Lifecycle;
use super::near;
use super::node::shorten;
use super::problem::Problems;

const LIFECYCLES: [&str; 2] = ["autostart", "on-demand"];
/// Anywhere in the file's name it means what `lifecycle: autostart` says, as in the exporter whose service this is.
const AUTOSTART: &str = "autostart";

pub(super) struct Life {
    pub(super) lifecycle: Lifecycle,
    pub(super) keepalive: Option<Duration>,
}

/// `name`: the unit's.
pub(super) fn read(name: &str, fields: &Fields<'_>, problems: &mut Problems) -> Life {
    let file = name.rsplit('/').next().unwrap_or(name);
    let wanted = read_lifecycle(fields, problems);
    let lifecycle = if file.contains(AUTOSTART) {
        if let (Some(Lifecycle::OnDemand), Some(node)) = (wanted, fields.get("lifecycle")) {
            problems.warning(
                node.at,
                "the file's name has `autostart` in it, which wins: the unit runs all the time",
            );
        }
        Lifecycle::Autostart
    } else {
        wanted.unwrap_or_default()
    };
    let keepalive = read_keepalive(fields, problems);
    if let (Lifecycle::Autostart, Some(node)) = (lifecycle, fields.get("keepalive")) {
        problems.warning(
            node.at,
            "`keepalive` is of no effect without `lifecycle: on-demand`: the unit runs all the time",
        );
    }
    Life {
        lifecycle,
        keepalive,
    }
}

fn read_lifecycle(fields: &Fields<'_>, problems: &mut Problems) -> Option<Lifecycle> {
    let node = fields.get("lifecycle")?;
    match fields.text("lifecycle", problems)? {
        "" | "autostart" => Some(Lifecycle::Autostart),
        "on-demand" => Some(Lifecycle::OnDemand),
        other => {
            let hint = near::suggestion(other, &LIFECYCLES);
            problems.error(
                node.at,
                format!("unknown `lifecycle`: `{}`{hint}", shorten(other)),
            );
            None
        }
    }
}

/// 0: the unit is never stopped.
fn read_keepalive(fields: &Fields<'_>, problems: &mut Problems) -> Option<Duration> {
    let node = fields.get("keepalive")?;
    match duration::parse_duration(fields.text("keepalive", problems)?) {
        Ok(keepalive) => Some(keepalive),
        Err(error) => {
            problems.error(node.at, format!("`keepalive`: {error}"));
            None
        }
    }
}
