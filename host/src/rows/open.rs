//! Opening the decoders and shapers that metrics name.

use serde_json::{Value as Json, json};

use super::BucketKeys;
use super::metric::{Metric, MetricParts};
use super::resolve::{Label, Plugins, SessionId, Shaper, Step};
use super::spec::MetricSpec;
use crate::config::{Diagnostic, MetricSource, PluginUse};
use crate::exposition::{StartTime, label_name, metric_name};
use crate::plugin::{Offer, Registry};

/// A unit's metrics as they will be scraped.
pub(crate) struct OpenedMetrics {
    pub(crate) plugins: Plugins,
    /// In the order of the YAML. `Err`: everything that cannot be opened of it.
    pub(crate) metrics: Vec<Result<Metric, Vec<Diagnostic>>>,
}

/// Opens what metrics name. `constants`: labels of all series, with their values. `created`: by
/// metric, when its source was made. Runs plugin code.
pub(crate) fn open_metrics(
    namespace: &str,
    constants: &[(String, String)],
    specs: &[MetricSpec],
    created: &[StartTime],
    registry: &Registry,
) -> OpenedMetrics {
    let mut builder = MetricBuilder::new(constants.to_vec(), registry);
    let metrics = specs.iter().zip(created).map(|(metric, created)| {
        let opened = builder.metric(metric, namespace, *created);
        let diagnostics = std::mem::take(&mut builder.diagnostics);
        opened.ok_or(diagnostics)
    });
    let metrics = metrics.collect();
    OpenedMetrics {
        plugins: builder.plugins,
        metrics,
    }
}

/// What is wrong with the decoders of a config that cannot be used for other reasons, so that an
/// operator hears of everything at once.
pub(crate) fn check_decoders(decoders: &[PluginUse], registry: &Registry) -> Vec<Diagnostic> {
    let mut builder = MetricBuilder::new(Vec::new(), registry);
    for decoder in decoders {
        let _ = builder.decoder(decoder);
    }
    builder.diagnostics
}

struct MetricBuilder<'a> {
    registry: &'a Registry,
    plugins: Plugins,
    /// Labels of all series, with their values.
    constants: Vec<(String, String)>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> MetricBuilder<'a> {
    fn new(constants: Vec<(String, String)>, registry: &'a Registry) -> Self {
        Self {
            registry,
            plugins: Plugins::default(),
            constants,
            diagnostics: Vec::new(),
        }
    }

    fn metric(
        &mut self,
        metric: &MetricSpec,
        namespace: &str,
        created: StartTime,
    ) -> Option<Metric> {
        let (labels, shaper) = self.parts(metric, namespace)?;
        Some(Metric::new(MetricParts {
            name: metric.name.as_str().into(),
            namespace: namespace.to_owned(),
            layout: metric.layout.clone(),
            labels,
            constants: self.constants.clone(),
            shaper,
            bounds: metric.bounds,
            bucket_keys: bucket_keys(&metric.shape),
            measure: measure(metric),
            created,
        }))
    }

    fn parts(&mut self, metric: &MetricSpec, namespace: &str) -> Option<(Vec<Label>, Shaper)> {
        let before = self.diagnostics.len();
        let mut labels = Vec::with_capacity(metric.labels.len());
        for label in &metric.labels {
            let chain = label
                .decoders
                .iter()
                .filter_map(|decoder| self.decoder(decoder))
                .collect();
            labels.push(Label {
                name: label.name.clone(),
                chain,
            });
        }
        let shaper = self.shaper(metric);
        if let Some(shaper) = &shaper {
            self.check_numbers(metric, shaper);
            self.check_families(metric, shaper, namespace);
        }
        (self.diagnostics.len() == before)
            .then_some(())
            .and(shaper)
            .map(|shaper| (labels, shaper))
    }

    fn decoder(&mut self, wanted: &PluginUse) -> Option<Step> {
        let (session, bare) = self.session(Offer::Decoder, wanted)?;
        let opened = self
            .plugins
            .get(session)?
            .open_decoder(bare, &wanted.options.to_string());
        match opened {
            Ok(decoder) => Some(Step {
                name: wanted.name.as_str().into(),
                session,
                decoder,
            }),
            Err(error) => self.diagnostic(wanted, format!("decoder `{}`: {error}", wanted.name)),
        }
    }

    fn shaper(&mut self, metric: &MetricSpec) -> Option<Shaper> {
        let wanted = &metric.shape;
        let (session, bare) = self.session(Offer::Shaper, wanted)?;
        let labels: Vec<&str> = metric
            .labels
            .iter()
            .map(|label| label.name.as_str())
            .collect();
        let mut options = wanted.options.clone();
        if let Json::Object(fields) = &mut options {
            fields.insert(
                "metric".into(),
                json!({ "name": metric.name, "help": metric.help, "labels": labels }),
            );
            if let Some(scale) = metric.scale {
                fields.insert("scale".into(), json!(scale));
            }
        }
        let plugin = self.plugins.get(session)?;
        let opened = plugin.open_shaper(bare, &options.to_string(), &labels);
        let opened = opened.and_then(|opened| Ok((plugin.uniform(opened.0)?, opened)));
        match opened {
            Ok((uniform, (id, families, numbers))) => Some(Shaper {
                name: wanted.name.as_str().into(),
                session,
                id,
                families,
                numbers: metric.layout.number.map_or(numbers, |number| vec![number]),
                uniform,
            }),
            Err(error) => self.diagnostic(
                wanted,
                format!(
                    "shape `{}` of metric `{}`: {error}",
                    wanted.name, metric.name
                ),
            ),
        }
    }

    fn session<'b>(&mut self, offer: Offer, wanted: &'b PluginUse) -> Option<(SessionId, &'b str)> {
        match self.registry.find(offer, &wanted.name) {
            Ok((plugin, bare)) => Some((
                self.plugins
                    .session(plugin.name(), || self.registry.session(plugin)),
                bare,
            )),
            Err(error) => {
                let message = error.to_string();
                self.diagnostic(wanted, message)
            }
        }
    }

    /// Numbers beyond the value would never be there.
    fn check_numbers(&mut self, metric: &MetricSpec, shaper: &Shaper) {
        if metric.source != MetricSource::Map {
            return;
        }
        for number in &shaper.numbers {
            let end = number.offset.saturating_add(number.encoding.size());
            if end > metric.layout.value_size {
                let _: Option<()> = self.diagnostic(
                    &metric.shape,
                    format!(
                        "shape `{}` of metric `{}` reads bytes {} to {end} of a value, those of map `{}` have {} bytes",
                        shaper.name, metric.name, number.offset, metric.map, metric.layout.value_size
                    ),
                );
            }
        }
    }

    /// Names come from a plugin: they are checked like any other input.
    fn check_families(&mut self, metric: &MetricSpec, shaper: &Shaper, namespace: &str) {
        for family in &shaper.families {
            let name = if namespace.is_empty() {
                family.name.clone()
            } else {
                format!("{namespace}_{}", family.name)
            };
            let names = metric_name(&name).and_then(|()| {
                family
                    .labels
                    .iter()
                    .try_for_each(|label| label_name(label, family.kind))
            });
            let mut constants = self.constants.iter().map(|(name, _)| name);
            let twice = constants.find(|name| family.labels.contains(name)).cloned();
            if let Some(label) = twice {
                let _: Option<()> = self.diagnostic(
                    &metric.shape,
                    format!("family `{name}` of shape `{}` has the label `{label}` of `config_labels` already", shaper.name),
                );
            }
            if let Err(error) = names {
                let _: Option<()> = self.diagnostic(
                    &metric.shape,
                    format!("family `{name}` of shape `{}`: {error}", shaper.name),
                );
            }
        }
    }

    fn diagnostic<T>(&mut self, wanted: &PluginUse, message: String) -> Option<T> {
        self.diagnostics
            .push(Diagnostic::error(wanted.at.clone(), message));
        None
    }
}

/// What the numbers of a metric are, to compare it with another version's.
fn measure(metric: &MetricSpec) -> String {
    let MetricSpec {
        shape,
        scale,
        layout,
        ..
    } = metric;
    let (name, options, number) = (&shape.name, &shape.options, layout.number);
    format!("{name} {options} {number:?} {scale:?}")
}

/// The buckets of a histogram of the standard plugin.
fn bucket_keys(shape: &PluginUse) -> Option<BucketKeys> {
    let option = |name| shape.options.get(name);
    match shape.name.as_str() {
        "exp2" | "exp2zero" | "linear" => Some(BucketKeys::Range {
            min: option("bucket_min").and_then(Json::as_i64).unwrap_or(0),
            max: option("bucket_max").and_then(Json::as_i64)?,
        }),
        "fixed" => {
            let keys = option("bucket_keys").and_then(Json::as_array)?;
            let last = keys.last().and_then(Json::as_f64)?;
            Some(BucketKeys::List { last })
        }
        _ => None,
    }
}
