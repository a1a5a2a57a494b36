//! What is logged of a version that runs, or cannot be served.

use std::time::Instant;

use super::units::Exclusive;

/// Bytes of a refusal in the log.
const MAX_LOGGED: usize = 2048;

/// Says that a version cannot be served. `already_reported`: it is known already.
pub(super) fn refuse(unit: &mut Exclusive<'_>, why: &str, began: Instant, already_reported: bool) {
    unit.refuse(why, began.elapsed());
    let name = unit.name();
    let why = bounded(why);
    if already_reported {
        tracing::debug!(config = name, "tried again in vain: {why}");
    } else if unit.is_running() {
        tracing::error!(
            config = name,
            "keeping the previous version, the new one failed: {why}"
        );
    } else {
        tracing::error!(config = name, "unit failed: {why}");
    }
}

/// What a verifier says may have no end: all of it is on `/`.
fn bounded(why: &str) -> std::borrow::Cow<'_, str> {
    let end = why.floor_char_boundary(MAX_LOGGED);
    match why.get(end..).map_or(0, str::len) {
        0 => why.into(),
        more => format!("{} … ({more} more bytes, see /)", &why[..end]).into(),
    }
}

pub(super) fn report_running(unit: &Exclusive<'_>) {
    let (name, Some(version)) = (unit.name(), unit.serving()) else {
        return;
    };
    for diagnostic in &version.left_out.diagnostics {
        tracing::warn!(config = name, "a metric is left out: {diagnostic}");
    }
    let mut programs = 0;
    if let Some(kernel) = &version.kernel {
        programs = kernel.programs().len();
        for (program, why) in kernel.unattached() {
            tracing::warn!(
                config = name,
                program = program.name,
                section = program.section,
                "program not attached: {why}"
            );
        }
        for (program, why) in kernel.partial() {
            tracing::warn!(config = name, program = program.name, "program {why}");
        }
        for remark in kernel.remarks() {
            tracing::warn!(config = name, "{remark}");
        }
    }
    tracing::info!(
        config = name,
        programs,
        metrics = version.metrics.len(),
        collectors = version.config.collectors.len(),
        "unit running"
    );
    if let Some(cause) = version.degraded() {
        let by = cause.as_str();
        tracing::warn!(
            config = name,
            by,
            "unit degraded: not all of it runs, see the warnings above"
        );
    }
}
