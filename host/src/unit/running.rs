//! A running unit: plugins opened, ready to be scraped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::error::UnitError;
use super::prepare::{KernelSide, Prepared};
use super::source::Group;
use crate::bpf::{Attached, Batch, ProgramStatus, ReadError, RunStats, SampleStats};
use crate::config::{MetricConfig, PluginUse, Problem, UnitConfig};
use crate::exposition::{Family, label_name, metric_name};
use crate::plugin::{Offer, Registry};
use crate::rows::{Entries, Label, Metric, MetricParts, Plugins, SessionId, Shaper, Step, Walked};

pub(crate) struct Running {
    pub(super) config: UnitConfig,
    pub(super) groups: Vec<Group<Metric>>,
    plugins: Plugins,
    kernel: Option<KernelSide>,
}

/// What one scrape of a unit gave.
#[derive(Default)]
pub(crate) struct UnitScrape {
    /// Updates of the cgroup id map that the kernel refused, since the start.
    pub(crate) cgroup_errors: u64,
    pub(crate) families: Vec<Family>,
    pub(crate) metrics: Vec<MetricScrape>,
    /// Maps that could not be read.
    pub(crate) read_errors: Vec<(Arc<str>, ReadError)>,
    pub(crate) maps: Vec<MapFill>,
    /// Time in the kernel's map walk, in plugins, and in making families.
    pub(crate) read: Duration,
    pub(crate) decode: Duration,
    pub(crate) render: Duration,
}

pub(crate) struct MetricScrape {
    pub(crate) metric: Arc<str>,
    /// Keys in memory.
    pub(crate) remembered: usize,
    pub(crate) walked: Walked,
}

/// How full a map was found.
pub(crate) struct MapFill {
    pub(crate) map: Arc<str>,
    pub(crate) entries: usize,
    /// False: the map changed faster than it could be walked.
    pub(crate) complete: bool,
    pub(crate) max_entries: Option<usize>,
    /// Of a perf event array: totals since the start.
    pub(crate) samples: Option<SampleStats>,
}

impl Running {
    /// Opens the unit's decoders and shapers; every one that cannot be opened is reported. Runs plugin code.
    pub(crate) fn open(prepared: Prepared, registry: &Registry) -> Result<Self, UnitError> {
        let Prepared {
            config,
            mut kernel,
            groups,
        } = prepared;
        let mut opener = Opener {
            registry,
            plugins: Plugins::default(),
            problems: Vec::new(),
        };
        let mut opened = Vec::with_capacity(groups.len());
        for group in groups {
            let mut metrics = Vec::with_capacity(group.metrics.len());
            for (index, layout) in group.metrics {
                let Some(metric) = config.metrics.get(index) else {
                    continue;
                };
                if let Some((labels, shaper)) = opener.metric(metric, &config.namespace) {
                    let namespace = config.namespace.clone();
                    metrics.push(Metric::new(MetricParts {
                        name: metric.name.as_str().into(),
                        namespace,
                        layout,
                        labels,
                        shaper,
                    }));
                }
            }
            opened.push(Group {
                map: group.map,
                source: group.source,
                metrics,
            });
        }
        if !opener.problems.is_empty() {
            return Err(UnitError::Config(opener.problems));
        }
        for group in &mut opened {
            group.source.run()?;
        }
        if let Some(keeper) = kernel.as_mut().and_then(|kernel| kernel.keeper.as_mut()) {
            keeper.run()?;
        }
        Ok(Self {
            config,
            groups: opened,
            plugins: opener.plugins,
            kernel,
        })
    }

    pub(crate) fn programs(&self) -> &[ProgramStatus] {
        self.kernel
            .as_ref()
            .map(|kernel| kernel.programs.as_slice())
            .unwrap_or_default()
    }

    pub(crate) fn metrics(&self) -> usize {
        self.config.metrics.len()
    }

    /// Run counts of the programs, as the kernel keeps them.
    pub(crate) fn run_stats(&self) -> Vec<RunStats> {
        self.kernel
            .as_ref()
            .map(|kernel| kernel.object.run_stats())
            .unwrap_or_default()
    }

    /// Programs that should be attached and are not.
    pub(crate) fn unattached(&self) -> impl Iterator<Item = (&ProgramStatus, &str)> {
        self.programs()
            .iter()
            .filter_map(|program| match &program.attached {
                Attached::Failed(why) => Some((program, why.as_str())),
                _ => None,
            })
    }

    /// Walks every map once and gives its metrics' families. Rows that cannot be decoded are left out and reported; so are the metrics of a
    /// map that cannot be read to its end, since half a map would look like counters that went back.
    pub(crate) fn scrape(&mut self) -> UnitScrape {
        let mut scrape = UnitScrape::default();
        let keeper = self
            .kernel
            .as_ref()
            .and_then(|kernel| kernel.keeper.as_ref());
        scrape.cgroup_errors = keeper.map_or(0, |keeper| keeper.stats().errors);
        for group in &mut self.groups {
            for metric in &mut group.metrics {
                metric.begin();
            }
            let started = Instant::now();
            let Group {
                source, metrics, ..
            } = group;
            let walked = source.walk(|batch| {
                for metric in &mut *metrics {
                    metric.take(&mut self.plugins, as_entries(batch));
                }
            });
            let took = started.elapsed();
            let complete = walked.is_ok();
            match walked {
                Ok(stats) => scrape.maps.push(MapFill {
                    map: Arc::clone(&group.map),
                    entries: stats.entries,
                    complete: stats.complete,
                    max_entries: group.source.max_entries(),
                    samples: group.source.samples(),
                }),
                Err(error) => scrape.read_errors.push((Arc::clone(&group.map), error)),
            }
            let started = Instant::now();
            let mut decode = Duration::ZERO;
            for metric in &mut group.metrics {
                let (families, walked) = metric.finish();
                decode += walked.decode_time;
                if complete {
                    scrape.families.extend(families);
                }
                scrape.metrics.push(MetricScrape {
                    metric: Arc::clone(metric.name()),
                    remembered: metric.remembered(),
                    walked,
                });
            }
            scrape.render += started.elapsed();
            scrape.decode += decode;
            scrape.read += took.saturating_sub(decode);
        }
        scrape
    }
}

fn as_entries(batch: Batch<'_>) -> Entries<'_> {
    Entries {
        keys: batch.keys,
        key_size: batch.key_size,
        values: batch.values,
        value_stride: batch.value_stride,
        cpu_stride: batch.cpu_stride,
    }
}

/// Opens decoders and shapers and collects what cannot be opened.
struct Opener<'a> {
    registry: &'a Registry,
    plugins: Plugins,
    problems: Vec<Problem>,
}

impl Opener<'_> {
    fn metric(&mut self, metric: &MetricConfig, namespace: &str) -> Option<(Vec<Label>, Shaper)> {
        let before = self.problems.len();
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
            self.check_families(metric, shaper, namespace);
        }
        (self.problems.len() == before)
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
            Err(error) => self.problem(wanted, format!("decoder `{}`: {error}", wanted.name)),
        }
    }

    fn shaper(&mut self, metric: &MetricConfig) -> Option<Shaper> {
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
        }
        let opened = self
            .plugins
            .get(session)?
            .open_shaper(bare, &options.to_string(), &labels);
        match opened {
            Ok((id, families, numbers)) => Some(Shaper {
                name: wanted.name.as_str().into(),
                session,
                id,
                families,
                numbers,
            }),
            Err(error) => self.problem(
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
                self.problem(wanted, message)
            }
        }
    }

    /// Names come from a plugin: they are checked like any other input.
    fn check_families(&mut self, metric: &MetricConfig, shaper: &Shaper, namespace: &str) {
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
            if let Err(error) = names {
                let _: Option<()> = self.problem(
                    &metric.shape,
                    format!("family `{name}` of shape `{}`: {error}", shaper.name),
                );
            }
        }
    }

    fn problem<T>(&mut self, wanted: &PluginUse, message: String) -> Option<T> {
        self.problems
            .push(Problem::error(wanted.at.clone(), message));
        None
    }
}
