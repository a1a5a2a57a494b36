//! What the server says of the units, to people and to `exporter-host plan`.

use std::sync::Arc;

use super::units::{UnitEntry, Units};
use crate::bpf::Attached;
use crate::link::{UnitPhase, UnitStatus};
use crate::web::{self, UnitReport};

/// For the page at `/`.
pub(super) fn status(units: &Units) -> Vec<web::UnitStatus> {
    let status = |unit: &Arc<UnitEntry>| web::UnitStatus {
        name: unit.name().to_string(),
        phase: unit.phase().unwrap_or(UnitPhase::Starting),
        reasons: unit.with_status(reasons).unwrap_or_default(),
        on_demand: unit.with_status(|status| status.on_demand.is_some()) == Some(true),
        next_try: unit.next_try(),
    };
    units.all().iter().map(status).collect()
}

/// Why a unit does not run, why its newest version does not, which of its programs do not.
fn reasons(status: &UnitStatus) -> Vec<String> {
    let runs = status.phase.runs();
    let diagnostic = status.diagnostic.as_ref().map(|diagnostic| {
        if runs {
            format!("keeping the previous version, the new one failed: {diagnostic}")
        } else {
            diagnostic.clone()
        }
    });
    let programs = status.programs.iter().filter(|_| runs);
    let unattached = programs.filter_map(|program| match &program.attached {
        Attached::Failed(why) => Some(format!("program {}: {why}", program.name)),
        _ => program
            .partial
            .as_ref()
            .map(|why| format!("program {} is {why}", program.name)),
    });
    let remarks = status.remarks.iter().filter(|_| runs).cloned();
    diagnostic
        .into_iter()
        .chain(unattached)
        .chain(remarks)
        .collect()
}

/// Why nothing of any unit can be had: there is none, or none runs. One on demand is there when
/// somebody asks, and one that is not for this kernel is as it should be.
pub(super) fn ready(units: &Units) -> Result<(), String> {
    let all = units.all();
    let serves = |unit: &Arc<UnitEntry>| {
        let phase = unit.phase().unwrap_or(UnitPhase::Starting);
        !matches!(phase, UnitPhase::Starting | UnitPhase::Failed)
    };
    if all.iter().any(serves) {
        return Ok(());
    }
    let Some(first) = all.first() else {
        return Err("there is no unit yet: the config directory has no NAME.yaml".to_owned());
    };
    let why = first.diagnostic();
    Err(format!(
        "none of {} units runs, see / for all of them; {}: {}",
        all.len(),
        first.name(),
        why.as_deref().unwrap_or("it is being started")
    ))
}

/// JSON, sorted by name.
pub(super) fn units(units: &Units) -> String {
    let report = |unit: &Arc<UnitEntry>| {
        let life = unit.life.lock();
        let status = life.status.as_ref().map(|(status, _)| status);
        let phase = status.map_or(UnitPhase::Starting, |status| status.phase);
        UnitReport {
            name: unit.name().to_string(),
            state: phase.as_str().to_owned(),
            degraded: phase.cause().map(|cause| cause.as_str().to_owned()),
            on_demand: status.is_some_and(|status| status.on_demand.is_some()),
            config: status.and_then(|status| status.config),
            object: status.and_then(|status| status.object),
            preparation: status.and_then(|status| status.preparation),
            maps: status.map(|status| status.maps.clone()).unwrap_or_default(),
            plugins: life
                .served
                .as_ref()
                .map(|served| served.plugins.clone())
                .unwrap_or_default(),
        }
    };
    let units: Vec<UnitReport> = units.all().iter().map(report).collect();
    // Names and digests are text: there is nothing in them that JSON does not have.
    serde_json::to_string_pretty(&units).unwrap_or_default()
}
