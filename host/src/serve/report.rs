//! What the host says of its units, to people and to `exporter-host plan`.

use super::host::Host;
use crate::telemetry::UnitState;
use crate::unit::{Make, UnitReport};
use crate::web::UnitStatus;

/// For the page at `/`.
pub(super) fn status(host: &Host) -> Vec<UnitStatus> {
    let status = |unit: crate::unit::UnitView| UnitStatus {
        state: unit.state,
        reasons: unit.notes,
        on_demand: host.demand.has(&unit.name),
        next_try: host.retries.next_of(&unit.name),
        name: unit.name.to_string(),
    };
    host.fleet.view().into_iter().map(status).collect()
}

/// JSON, sorted by name.
pub(super) fn units(host: &Host) -> String {
    let report = |name: &str| {
        let running = host.fleet.with_running(name, |unit| {
            let plugins = unit.plugins();
            let plugins = plugins.map(|(plugin, digest)| (plugin.to_owned(), digest));
            (Make::of(unit), plugins.collect())
        });
        let on_demand = host.demand.config(name);
        let state = host.fleet.phase(name).unwrap_or(UnitState::Stopped);
        let (make, plugins) = running.unzip();
        UnitReport {
            name: name.to_owned(),
            state: state.as_str().to_owned(),
            on_demand: on_demand.is_some(),
            config: make
                .map(|make| make.config)
                .or(on_demand)
                .or(host.fleet.skipped(name)),
            object: make.and_then(|make| make.object),
            preparation: make.map(|make| make.preparation),
            plugins: plugins.unwrap_or_default(),
        }
    };
    let names = host.fleet.names();
    let units: Vec<UnitReport> = names.iter().map(|name| report(name)).collect();
    // Names and digests are text: there is nothing in them that JSON does not have.
    serde_json::to_string_pretty(&units).unwrap_or_default()
}
