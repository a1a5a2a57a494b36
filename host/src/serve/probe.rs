//! Probes: from what was asked over HTTP to a call of a collector, and back to families.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::config::CollectorConfig;
use crate::exposition::{Family, FamilyMeta, Kind, Number, Sample, Source, Value, merge};
use crate::plugin::{CollectError, FailureKind, LogCapture};
use crate::unit::{Collector, CollectorIndex};
use crate::web::{Module, ProbeRequest, ProbeResult, ProbeView, Probed};

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

pub(super) fn views(index: &CollectorIndex) -> Vec<ProbeView> {
    let view = |collector: &Arc<Collector>| ProbeView {
        module: collector.name().to_owned(),
        path: collector.config().probe_path.clone(),
        needs_target: collector.config().needs_target(),
    };
    index.probes().iter().map(view).collect()
}

pub(super) async fn probe(index: &CollectorIndex, request: ProbeRequest) -> Probed {
    let collector = match &request.module {
        Module::Path(path) => match index.by_path(path) {
            Some(collector) => collector,
            None => return Probed::NoPath,
        },
        Module::Name(name) => match index.probed(name) {
            Ok(collector) => collector,
            Err(error) => return Probed::Bad(error.to_string()),
        },
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
    log.extend(clashes.iter().map(|clash| {
        format!(
            "level=warn msg=\"{} series of {} are left out: {} has {}\"",
            clash.dropped, clash.family, clash.earlier, clash.reason
        )
    }));
    Probed::Done(ProbeResult {
        families,
        refused: matches!(
            error,
            Some(CollectError::Failed {
                kind: FailureKind::Denied,
                ..
            })
        ),
        error: error.map(ToString::to_string),
        log,
        config: if request.debug {
            yaml(collector.config())
        } else {
            String::new()
        },
    })
}

fn about_the_probe(success: bool, took: Duration) -> Vec<Family> {
    let gauge = |name: &str, help: &str, unit: &str, value| Family {
        meta: Arc::new(FamilyMeta {
            name: name.to_owned(),
            help: help.to_owned(),
            unit: unit.to_owned(),
            kind: Kind::Gauge,
        }),
        samples: vec![Sample {
            labels: "".into(),
            value: Value::Number(value),
        }]
        .into(),
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
