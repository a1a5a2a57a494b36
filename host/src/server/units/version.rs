//! A version of a unit: plugins opened, ready to be scraped.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::OpenError;
use super::source::{Channel, EntrySource, SourceKey};
use crate::bpf::{ReadError, SampleStats};
use crate::config::Diagnostic;
use crate::digest::Digest;
use crate::exposition::{Family, StartTime};
use crate::link::{ServedProgram, ServedUnit};
use crate::plugin::Registry;
use crate::rows::{Metric, MetricScrapeStats, OpenedMetrics, Plugins, WalkEnd, open_metrics};
use crate::server::collectors::{self, Collectors};

pub(in crate::server) struct Version {
    pub(super) generation: u64,
    /// Versions of one number share maps, links and buffers.
    pub(super) kernel_side: u64,
    pub(super) groups: Vec<Group>,
    /// Samples that the version before counts: its counters are taken over with `take_over`.
    shared: Vec<(Channel, Vec<Metric>)>,
    plugins: Plugins,
    collectors: Collectors,
    programs: Arc<[Program]>,
    /// Metrics of which the loader knows that their numbers need this server.
    held: Vec<Arc<str>>,
    /// Of all its metrics, in the order of the YAML.
    names: Vec<Arc<str>>,
}

/// A source and what is made from it.
pub(super) struct Group {
    pub(super) key: SourceKey,
    pub(super) source: EntrySource,
    pub(super) metrics: Vec<Metric>,
}

/// A program of a unit that is in the kernel.
#[derive(Debug)]
pub(in crate::server) struct Program {
    pub(in crate::server) name: String,
    /// The kernel's number of it.
    pub(in crate::server) id: u32,
    pub(in crate::server) descriptor: OwnedFd,
}

/// What one scrape of a unit gave.
pub(in crate::server) struct UnitScrape {
    /// A unit's scrapes are one after the other: totals of one that began later contain those of
    /// all before.
    pub(in crate::server) begun: Instant,
    pub(in crate::server) families: Vec<Family>,
    pub(in crate::server) metrics: Vec<MetricScrape>,
    /// Maps that could not be read.
    pub(in crate::server) read_errors: Vec<(Arc<str>, ReadError)>,
    pub(in crate::server) maps: Vec<MapFill>,
    /// Time in the kernel's map walk, in plugins, and in making families.
    pub(in crate::server) read: Duration,
    pub(in crate::server) decode: Duration,
    pub(in crate::server) render: Duration,
}

pub(in crate::server) struct MetricScrape {
    pub(in crate::server) metric: Arc<str>,
    /// Keys in memory.
    pub(in crate::server) remembered: usize,
    pub(in crate::server) walked: MetricScrapeStats,
}

/// How full a map was found.
pub(in crate::server) struct MapFill {
    pub(in crate::server) map: Arc<str>,
    pub(in crate::server) entries: usize,
    /// False: the map changed faster than it could be walked.
    pub(in crate::server) complete: bool,
    pub(in crate::server) max_entries: Option<usize>,
    /// Of a perf event array: totals since the start.
    pub(in crate::server) samples: Option<SampleStats>,
}

impl UnitScrape {
    pub(in crate::server) fn new(begun: Instant) -> Self {
        Self {
            begun,
            families: Vec::new(),
            metrics: Vec::new(),
            read_errors: Vec::new(),
            maps: Vec::new(),
            read: Duration::ZERO,
            decode: Duration::ZERO,
            render: Duration::ZERO,
        }
    }
}

impl Version {
    /// Opens the unit's decoders, shapers and collectors; every one that cannot be opened is
    /// reported. Nothing that is in service is disturbed. Runs plugin code.
    ///
    /// `served`: the version that is in service, by its `kernel_side`.
    pub(super) fn open(
        unit: ServedUnit,
        descriptors: Vec<OwnedFd>,
        served: Option<u64>,
        registry: &Registry,
        index: &Arc<collectors::Index>,
    ) -> Result<Self, OpenError> {
        let ServedUnit {
            generation,
            kernel_side,
            config,
            metrics: specs,
            sources,
            programs,
            held,
            resumed,
        } = unit;
        let mut descriptors = Descriptors(descriptors.into_iter());
        let mut channels = Vec::with_capacity(sources.len());
        for source in sources {
            let own = descriptors.take(source.descriptors())?;
            channels.push(Channel::new(source, &specs, own)?);
        }
        let programs = descriptors.programs(programs)?;
        let names = specs.iter();
        let names = names.map(|metric| metric.name.as_str().into()).collect();
        let mut created = vec![StartTime::default(); specs.len()];
        for channel in &channels {
            for &metric in &channel.metrics {
                if let Some(created) = created.get_mut(metric) {
                    *created = channel.created;
                }
            }
        }
        let opened = open_metrics(
            &config.namespace,
            &config.config_labels,
            &specs,
            &created,
            registry,
        );
        let OpenedMetrics { plugins, metrics } = opened;
        let collectors = Collectors::open(index, &config, registry);
        let (mut metrics, collectors) = join_problems(metrics, collectors)?;
        let mut version = Self {
            generation,
            kernel_side,
            groups: Vec::with_capacity(channels.len()),
            shared: Vec::new(),
            plugins,
            collectors,
            programs: programs.into(),
            held: Vec::new(),
            names,
        };
        for channel in channels {
            let mut of_source = Vec::with_capacity(channel.metrics.len());
            for &index in &channel.metrics {
                let metric = metrics.get_mut(index).and_then(Option::take);
                of_source.push(metric.ok_or(OpenError::NoMetric(index))?);
            }
            let counted = channel.key.counted().is_some();
            // One that was there before the loader was shown by somebody, too.
            let resumed = resumed || channel.created == StartTime::default();
            for metric in of_source.iter_mut().filter(|_| !counted) {
                if resumed {
                    metric.resume();
                }
                if held.iter().any(|held| **held == **metric.name()) {
                    metric.show_from_zero();
                }
            }
            if counted && served == Some(kernel_side) {
                version.shared.push((channel, of_source));
            } else {
                version.add(channel, of_source)?;
            }
        }
        Ok(version)
    }

    fn add(&mut self, channel: Channel, metrics: Vec<Metric>) -> Result<(), OpenError> {
        let key = channel.key.clone();
        let source = channel.open()?;
        self.groups.push(Group {
            key,
            source,
            metrics,
        });
        Ok(())
    }

    /// Goes on with the version before, which ends with this: with what it knows of the maps that
    /// both read, and with its counted samples. What it does not have is counted from now on.
    pub(super) fn take_over(&mut self, before: Option<&mut Self>) -> Result<(), OpenError> {
        let same_side = before
            .as_ref()
            .is_some_and(|before| before.kernel_side == self.kernel_side);
        let mut known = before.map_or_else(Vec::new, |before| std::mem::take(&mut before.groups));
        for group in &mut self.groups {
            let mut known = known.iter_mut();
            if let Some(other) = known.find(|other| group.source.is_same_map(&other.source)) {
                follow(&mut group.metrics, &mut other.metrics);
            }
        }
        known.retain(|_| same_side);
        for (channel, mut metrics) in std::mem::take(&mut self.shared) {
            match known.iter().position(|group| group.key == channel.key) {
                Some(index) => {
                    let Group {
                        key,
                        source,
                        metrics: mut others,
                    } = known.swap_remove(index);
                    follow(&mut metrics, &mut others);
                    self.groups.push(Group {
                        key,
                        source,
                        metrics,
                    });
                }
                None => self.add(channel, metrics)?,
            }
        }
        Ok(())
    }

    /// From now on its collectors are the unit's.
    pub(super) fn publish(&self) {
        self.collectors.publish();
    }

    /// The plugins that the unit uses, by the contents of their files and sidecars.
    pub(super) fn plugins(&self) -> BTreeMap<String, Digest> {
        let sessions = self.plugins.iter();
        sessions
            .map(|session| (session.plugin_name(), session.plugin_version()))
            .chain(self.collectors.plugins())
            .map(|(name, version)| (name.to_owned(), version))
            .collect()
    }

    pub(super) fn programs(&self) -> Arc<[Program]> {
        Arc::clone(&self.programs)
    }

    /// Metrics whose numbers need what only this process knows, each given once: samples that are
    /// counted here, and after a scrape series that stand for those over a limit, or keep what keys
    /// that are gone had.
    pub(super) fn newly_held(&mut self, scrape: Option<&UnitScrape>) -> Vec<Arc<str>> {
        let counted = self.groups.iter().filter_map(|group| group.key.counted());
        let shared = self.shared.iter();
        let shared = shared.filter_map(|(channel, _)| channel.key.counted());
        let metrics = scrape.map(|scrape| scrape.metrics.iter());
        let over = metrics.into_iter().flatten();
        let over = over.filter(|metric| metric.walked.over_limit > 0 || metric.walked.holds);
        let mut held: Vec<Arc<str>> = counted
            .chain(shared)
            .chain(over.map(|metric| &metric.metric))
            .filter(|metric| !self.held.contains(metric))
            .map(Arc::clone)
            .collect();
        held.sort_unstable();
        held.dedup();
        self.held.extend(held.iter().map(Arc::clone));
        held
    }

    /// A CPU has come: one more buffer of samples that are counted for a metric.
    /// `metric`: its index.
    pub(super) fn add_cpu(&self, map: &str, metric: usize, cpu: u32, buffer: OwnedFd) {
        let metric = self.names.get(metric);
        let group = self.groups.iter().find(|group| {
            **group.key.map() == *map && metric.is_some() && group.key.counted() == metric
        });
        let Some(EntrySource::Samples(samples)) = group.map(|group| &group.source) else {
            return;
        };
        if let Err(error) = samples.add_cpu(cpu, buffer) {
            tracing::warn!(map, cpu, "samples of this CPU are not seen: {error}");
        }
    }

    /// Walks every map once and gives its metrics' families. Rows that cannot be decoded are left
    /// out and reported. So are the metrics of a map that cannot be read to its end, unless all of
    /// it is known from a walk before, since half a map would look like counters that went back.
    ///
    /// Plugins are asked about new keys for three quarters of the time until `deadline`, so that
    /// what is known is served in time; the other keys wait for the next scrape.
    pub(super) fn scrape(&mut self, deadline: Instant) -> UnitScrape {
        let now = Instant::now();
        let mut scrape = UnitScrape::new(now);
        let left = deadline.saturating_duration_since(now);
        self.plugins.ask_until(now + left * 3 / 4);
        for group in &mut self.groups {
            group.scrape(&mut self.plugins, now, &mut scrape);
        }
        scrape
    }
}

impl Group {
    fn scrape(&mut self, plugins: &mut Plugins, now: Instant, scrape: &mut UnitScrape) {
        let Self {
            key,
            source,
            metrics,
        } = self;
        let max_entries = source.max_entries().unwrap_or(0);
        let begun = StartTime::now();
        for metric in &mut *metrics {
            metric.begin(max_entries, begun);
        }
        let started = Instant::now();
        let walked = source.walk(|batch| {
            for metric in &mut *metrics {
                metric.take(plugins, batch);
            }
        });
        let took = started.elapsed();
        let end = match &walked {
            Ok(stats) if stats.complete => WalkEnd::Complete {
                by_key: stats.by_key,
            },
            Ok(_) => WalkEnd::GivenUp,
            Err(_) => WalkEnd::Failed,
        };
        match walked {
            Ok(stats) => scrape.maps.push(MapFill {
                map: Arc::clone(key.map()),
                entries: stats.entries,
                complete: stats.complete,
                max_entries: source.max_entries(),
                samples: source.samples(),
            }),
            Err(error) => scrape.read_errors.push((Arc::clone(key.map()), error)),
        }
        let started = Instant::now();
        let mut decode = Duration::ZERO;
        for metric in metrics {
            let (families, walked) = metric.finish(end, now);
            decode += walked.decode_time;
            scrape.families.extend(families);
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
}

/// Metrics go on where others of their names are.
fn follow(metrics: &mut [Metric], others: &mut Vec<Metric>) {
    for metric in metrics {
        if let Some(index) = others
            .iter()
            .position(|other| other.name() == metric.name())
        {
            metric.follow(others.swap_remove(index));
        }
    }
}

/// What came with a unit, handed out in order.
struct Descriptors(std::vec::IntoIter<OwnedFd>);

impl Descriptors {
    fn take(&mut self, count: usize) -> Result<Vec<OwnedFd>, OpenError> {
        let taken: Vec<OwnedFd> = self.0.by_ref().take(count).collect();
        if taken.len() == count {
            Ok(taken)
        } else {
            Err(OpenError::Descriptors)
        }
    }

    fn programs(&mut self, programs: Vec<ServedProgram>) -> Result<Vec<Program>, OpenError> {
        let loaded = programs
            .into_iter()
            .filter_map(|program| Some((program.name, program.id?)));
        loaded
            .map(|(name, id)| {
                let descriptor = self.0.next().ok_or(OpenError::Descriptors)?;
                Ok(Program {
                    name,
                    id,
                    descriptor,
                })
            })
            .collect()
    }
}

/// Both, or the problems of both.
fn join_problems(
    opened: Vec<Result<Metric, Vec<Diagnostic>>>,
    collectors: Result<Collectors, Vec<Diagnostic>>,
) -> Result<(Vec<Option<Metric>>, Collectors), OpenError> {
    let mut wrong = Vec::new();
    let mut metrics = Vec::with_capacity(opened.len());
    for (index, metric) in opened.into_iter().enumerate() {
        match metric {
            Ok(metric) => metrics.push(Some(metric)),
            Err(diagnostics) => {
                wrong.extend(
                    diagnostics
                        .into_iter()
                        .map(|diagnostic| (index, diagnostic)),
                );
            }
        }
    }
    match collectors {
        Ok(collectors) if wrong.is_empty() => Ok((metrics, collectors)),
        Ok(_) => Err(OpenError::Metrics(wrong)),
        Err(of_collectors) => {
            let mut diagnostics: Vec<Diagnostic> = wrong.into_iter().map(|(_, one)| one).collect();
            diagnostics.extend(of_collectors);
            Err(OpenError::Config(diagnostics))
        }
    }
}
