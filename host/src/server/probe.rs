//! Probes: from what was asked over HTTP to a call of a collector, and back to families.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::Server;
use super::collectors::{Collector, Index};
use super::demand::Request;
use super::units::UnitEntry;
use crate::config::CollectorConfig;
use crate::exposition::{Family, FamilyMeta, Kind, Number, Sample, Source, Value, merge};
use crate::plugin::{CollectError, FailureKind, LogCapture};
use crate::web::{Module, ProbeRequest, ProbeResult, ProbeView, Probed, Refused};

/// Names of options whose values are nobody's to see, by what they contain.
const SECRET: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
];

pub(super) fn views(server: &Server) -> Vec<ProbeView> {
    let view = |config: &CollectorConfig| ProbeView {
        module: config.name.clone(),
        path: config.probe_path.clone(),
        needs_target: config.needs_target(),
    };
    let running = server.collectors.probes();
    let mut views: Vec<ProbeView> = running.iter().map(|one| view(one.config())).collect();
    server.units.for_each_waiting(|_, config| {
        if config.mode.probed() {
            views.push(view(config));
        }
    });
    views
}

/// A unit on demand is started for it.
pub(super) async fn probe(server: &Server, request: ProbeRequest) -> Probed {
    // Kept to the end: the unit is not stopped meanwhile.
    let (collector, _unit) = match find(server, &request).await {
        Ok(found) => found,
        Err(none) => return none,
    };
    if request.target.is_none() && collector.config().needs_target() {
        return Probed::Bad("Target parameter is missing".to_owned());
    }
    let capture = request.debug.then(Arc::<LogCapture>::default);
    let ProbeRequest {
        target,
        params,
        deadline,
        ..
    } = request;
    let log = capture.clone();
    let outcome = collector
        .probe(target.as_deref(), params, deadline, capture)
        .await;
    let (families, error) = match &outcome.result {
        Ok(answer) => (answer.families.clone(), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let about = about_the_probe(error.is_none(), outcome.took);
    let sources = [("the probe", about), (collector.name(), families)];
    let (families, clashes) = merge(
        sources
            .map(|(name, families)| Source {
                name: name.into(),
                families,
            })
            .into(),
    );
    let mut log = log.map(|log| log.lines()).unwrap_or_default();
    let clashes = clashes.iter().filter(|clash| clash.dropped > 0);
    log.extend(clashes.map(|clash| {
        format!(
            "level=warn msg=\"{} series of {} are left out: {} has {}\"",
            clash.dropped, clash.family, clash.earlier, clash.reason
        )
    }));
    Probed::Done(ProbeResult {
        families,
        refused: error.and_then(refused),
        error: error.map(ToString::to_string),
        log,
        config: if request.debug {
            yaml(collector.config())
        } else {
            String::new()
        },
    })
}

fn refused(error: &CollectError) -> Option<Refused> {
    match error {
        CollectError::Failed { kind, .. } => match kind {
            FailureKind::Denied => Some(Refused::ByOperator),
            FailureKind::Request => Some(Refused::AsWrong),
            FailureKind::Unreachable | FailureKind::Timeout | FailureKind::Invalid => None,
        },
        _ => None,
    }
}

/// The collector that is asked for, and the request for its unit if that is on demand. Its unit
/// runs.
async fn find(
    server: &Server,
    request: &ProbeRequest,
) -> Result<(Arc<Collector>, Option<Request>), Probed> {
    let index = &server.collectors;
    let unit = match running(index, &request.module) {
        Ok(collector) => Arc::clone(collector.unit()),
        Err(none) => match waiting(server, &request.module).as_slice() {
            [] => return Err(none),
            [unit] => Arc::clone(unit),
            units => {
                let units = units.join(", ");
                let text = format!("Several units on demand have this module: {units}");
                return Err(Probed::Bad(text));
            }
        },
    };
    let entry = server.units.get(&unit);
    let asked = entry.as_ref().and_then(UnitEntry::request);
    if let Some(asked) = &asked {
        let served = asked.ensure_served(request.deadline).await;
        served.map_err(|error| Probed::Unavailable(error.refusal(&unit)))?;
    }
    Ok((running(index, &request.module)?, asked))
}

fn running(index: &Index, module: &Module) -> Result<Arc<Collector>, Probed> {
    match module {
        Module::Path(path) => index.by_path(path).ok_or(Probed::NoPath),
        Module::Name(name) => index
            .probed(name)
            .map_err(|error| Probed::Bad(error.to_string())),
    }
}

/// The units on demand that have the collector once they run.
fn waiting(server: &Server, module: &Module) -> Vec<Arc<str>> {
    let mut units = Vec::new();
    server.units.for_each_waiting(|unit, config| {
        let is_it = match module {
            Module::Path(path) => config.probe_path.as_ref() == Some(path),
            Module::Name(name) => {
                config.name == *name || format!("{unit}/{}", config.name) == *name
            }
        };
        if is_it && config.mode.probed() {
            units.push(Arc::clone(unit));
        }
    });
    units
}

fn about_the_probe(success: bool, took: Duration) -> Vec<Family> {
    let gauge = |name: &str, help: &str, unit: &str, value| Family {
        meta: Arc::new(FamilyMeta {
            name: name.to_owned(),
            help: help.to_owned(),
            unit: unit.to_owned(),
            kind: Kind::Gauge,
        }),
        samples: vec![Sample::new("".into(), Value::Number(value))].into(),
    };
    vec![
        gauge(
            "probe_duration_seconds",
            "Returns how long the probe took to complete in seconds",
            "seconds",
            Number::Float(took.as_secs_f64()),
        ),
        gauge(
            "probe_success",
            "Displays whether or not the probe was a success",
            "",
            Number::Unsigned(success.into()),
        ),
    ]
}

/// The config as it could stand in a file, less what is secret.
fn yaml(config: &CollectorConfig) -> String {
    let mut fields = Map::new();
    let seconds = |duration: Duration| json!(format!("{}s", duration.as_secs_f64()));
    fields.insert("name".into(), json!(config.name));
    fields.insert("plugin".into(), json!(config.plugin.name));
    fields.insert("mode".into(), json!(config.mode.as_str()));
    fields.insert("options".into(), masked(&config.plugin.options));
    if !config.labels.is_empty() {
        let labels: Map<String, Json> = config
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        fields.insert("labels".into(), Json::Object(labels));
    }
    if let Some(timeout) = config.timeout {
        fields.insert("timeout".into(), seconds(timeout));
    }
    if let Some(path) = &config.probe_path {
        fields.insert("probe_path".into(), json!(path));
    }
    serde_yaml::to_string(&fields).unwrap_or_default()
}

fn masked(options: &Json) -> Json {
    match options {
        Json::Object(fields) => Json::Object(
            fields
                .iter()
                .map(|(name, value)| {
                    let lower = name.to_lowercase();
                    let secret = SECRET.iter().any(|word| lower.contains(word));
                    let value = if secret {
                        json!("<secret>")
                    } else {
                        masked(value)
                    };
                    (name.clone(), value)
                })
                .collect(),
        ),
        Json::Array(items) => Json::Array(items.iter().map(masked).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let options = json!({"user": "u", "api_Token": "t", "list": [{"Password": 1, "n": 2}]});
        assert_eq!(
            masked(&options),
            json!({"user": "u", "api_Token": "<secret>", "list": [{"Password": "<secret>", "n": 2}]})
        );
    }
}
