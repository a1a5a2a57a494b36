//! A running unit: plugins opened, ready to be scraped.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collectors::Collectors;
use super::error::UnitError;
use super::opener::{self, Opened};
use super::prepare::{self, KernelSide, Prepared};
use super::source::{self, Group};
use crate::bpf::{Attached, Batch, ProgramStatus, ReadError, RunStats, SampleStats, SharedMaps};
use crate::config::{Problem, UnitConfig};
use crate::digest::Digest;
use crate::exposition::Family;
use crate::plugin::Registry;
use crate::rows::{Entries, Metric, Plugins, Walked};

pub(crate) struct Running {
    // First: where another version takes over, this one must not count any longer than that takes.
    kernel: Option<KernelSide>,
    pub(super) config: UnitConfig,
    pub(super) groups: Vec<Group<Metric>>,
    plugins: Plugins,
    collectors: Collectors,
}

/// What one scrape of a unit gave.
pub(crate) struct UnitScrape {
    /// A unit's scrapes are one after the other: totals of one that began later contain those of all before.
    pub(crate) begun: Instant,
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

impl UnitScrape {
    pub(crate) fn new(begun: Instant) -> Self {
        Self {
            begun,
            cgroup_errors: 0,
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

impl Running {
    /// Opens the unit's decoders and shapers; every one that cannot be opened is reported. Runs plugin code.
    pub(crate) fn open(prepared: Prepared, registry: &Registry) -> Result<Self, UnitError> {
        let Prepared {
            config,
            mut kernel,
            layouts,
            groups,
            collectors,
        } = prepared;
        let wanted = groups
            .iter()
            .map(|group| (group.key.clone(), group.metrics.clone()));
        let opened = opener::open(&config, &layouts, wanted, registry);
        let (Opened { plugins, metrics }, collectors) =
            both(opened, Collectors::open(&collectors, &config, registry))?;
        let mut running = Vec::with_capacity(groups.len());
        for (group, (key, metrics)) in groups.into_iter().zip(metrics) {
            let mut source = group.source;
            source.run()?;
            running.push(Group {
                key,
                source,
                metrics,
            });
        }
        if let Some(keeper) = kernel.as_mut().and_then(|kernel| kernel.keeper.as_mut()) {
            keeper.run()?;
        }
        Ok(Self {
            config,
            groups: running,
            plugins,
            collectors,
            kernel,
        })
    }

    /// Attaches the programs of a unit that was prepared without; see `Prepared::attach`.
    pub(super) fn attach(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.attach();
        }
    }

    /// Required programs that are not attached, in a sentence.
    pub(super) fn lacks(&self) -> Option<String> {
        self.kernel.as_ref()?.lacks(&self.config)
    }

    /// Pins the maps that are to outlive the process.
    pub(super) fn pin(&mut self) {
        if let Some(kernel) = &mut self.kernel {
            kernel.pin();
        }
    }

    /// Why this version is no successor of another one that runs: programs that cannot be attached, where those of their names could.
    pub(super) fn falls_short_of(&self, before: &Self) -> Option<String> {
        let known: Vec<&str> = before
            .unattached()
            .map(|(program, _)| program.name.as_str())
            .collect();
        let missing: Vec<String> = self
            .unattached()
            .filter(|(program, _)| !known.contains(&program.name.as_str()))
            .map(|(program, why)| format!("program {} cannot be attached: {why}", program.name))
            .collect();
        (!missing.is_empty()).then(|| missing.join("; "))
    }

    /// Gives the unit another config, or its plugins' new versions, over the same object: maps, links and sample counters stay, so that
    /// counters go on. On an error the unit stays as it is.
    pub(crate) fn reshape(
        &mut self,
        mut config: UnitConfig,
        registry: &Registry,
    ) -> Result<(), UnitError> {
        let index = self.collectors.index();
        let Some(kernel) = &self.kernel else {
            self.collectors =
                Collectors::open(index, &config, registry).map_err(UnitError::Config)?;
            self.config = config;
            return Ok(());
        };
        let layouts = prepare::lay_out(&mut config, |map| {
            Ok((kernel.object.map_info(map)?, kernel.object.entry_types(map)))
        })?;
        let wanted = source::wanted(&config.metrics, &layouts);
        let opened = opener::open(&config, &layouts, wanted, registry);
        let (Opened { plugins, metrics }, collectors) =
            both(opened, Collectors::open(index, &config, registry))?;
        // Whatever can fail comes before the first source is taken from the version that is in service.
        let mut fresh = Vec::new();
        for (key, _) in &metrics {
            if !self.groups.iter().any(|group| group.key == *key) {
                let mut source = key.open(&kernel.object)?;
                source.run()?;
                fresh.push((key.clone(), source));
            }
        }
        let kept = std::mem::take(&mut self.groups);
        let mut sources: Vec<_> = kept
            .into_iter()
            .map(|group| (group.key, group.source))
            .chain(fresh)
            .collect();
        for (key, metrics) in metrics {
            if let Some(place) = sources.iter().position(|(known, _)| *known == key) {
                let (key, source) = sources.swap_remove(place);
                self.groups.push(Group {
                    key,
                    source,
                    metrics,
                });
            }
        }
        self.plugins = plugins;
        self.collectors = collectors;
        self.config = config;
        Ok(())
    }

    pub(crate) fn config(&self) -> &UnitConfig {
        &self.config
    }

    /// Of the object's file; none without an object.
    pub(crate) fn object(&self) -> Option<Digest> {
        self.kernel.as_ref().map(|kernel| kernel.digest)
    }

    /// The maps for the unit's next version.
    pub(crate) fn shared_maps(&self) -> Option<SharedMaps> {
        self.kernel
            .as_ref()
            .map(|kernel| kernel.object.shared_maps())
    }

    /// A plugin that the unit uses and that is not the registry's.
    pub(crate) fn stale_plugin(&self, registry: &Registry) -> Option<String> {
        let mut sessions = self.plugins.iter();
        let stale = sessions.find(|session| !registry.has(session));
        stale
            .map(|session| session.plugin_name().to_owned())
            .or_else(|| self.collectors.stale_plugin(registry))
    }

    /// The plugins that the unit uses, by the contents of their files and sidecars.
    pub(crate) fn plugins(&self) -> impl Iterator<Item = (&str, Digest)> {
        let sessions = self.plugins.iter();
        sessions
            .map(|session| (session.plugin_name(), session.plugin_version()))
            .chain(self.collectors.plugins())
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

    pub(crate) fn collectors(&self) -> usize {
        self.collectors.len()
    }

    /// Run counts of the programs, as the kernel keeps them.
    pub(crate) fn run_stats(&self) -> Vec<RunStats> {
        self.kernel
            .as_ref()
            .map(|kernel| kernel.object.run_stats())
            .unwrap_or_default()
    }

    /// Tries again to attach what is not. Gives the names of those that are now.
    pub(crate) fn attach_missing(&mut self) -> Vec<String> {
        let missing: Vec<String> = self
            .unattached()
            .map(|(program, _)| program.name.clone())
            .collect();
        self.attach();
        let attached = |name: &String| !self.unattached().any(|(program, _)| program.name == *name);
        missing
            .iter()
            .filter(|name| attached(name))
            .cloned()
            .collect()
    }

    /// Attaches its programs to CPUs and interfaces that have come since. Gives what cannot be attached, by program.
    pub(crate) fn follow_machine(&mut self) -> Vec<(String, String)> {
        let Some(kernel) = &mut self.kernel else {
            return Vec::new();
        };
        let failed = kernel.object.follow_machine();
        kernel.programs = kernel.object.programs();
        failed
    }

    /// What does not keep the unit from running, but should be known.
    pub(crate) fn remarks(&self) -> impl Iterator<Item = &str> {
        let kernel = self.kernel.iter();
        kernel.flat_map(|kernel| kernel.remarks.iter().map(String::as_str))
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
    ///
    /// Plugins are asked about new keys for three quarters of the time until `deadline`, so that what is known is served in time; the other
    /// keys wait for the next scrape.
    pub(crate) fn scrape(&mut self, deadline: Instant) -> UnitScrape {
        let now = Instant::now();
        let mut scrape = UnitScrape::new(now);
        let left = deadline.saturating_duration_since(now);
        self.plugins.ask_until(now + left * 3 / 4);
        let keeper = self
            .kernel
            .as_ref()
            .and_then(|kernel| kernel.keeper.as_ref());
        scrape.cgroup_errors = keeper.map_or(0, |keeper| keeper.stats().errors);
        for group in &mut self.groups {
            let most = group.source.max_entries().unwrap_or(0);
            for metric in &mut group.metrics {
                metric.begin(most);
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
                    map: Arc::clone(group.key.map()),
                    entries: stats.entries,
                    complete: stats.complete,
                    max_entries: group.source.max_entries(),
                    samples: group.source.samples(),
                }),
                Err(error) => scrape
                    .read_errors
                    .push((Arc::clone(group.key.map()), error)),
            }
            let started = Instant::now();
            let mut decode = Duration::ZERO;
            for metric in &mut group.metrics {
                let (families, walked) = metric.finish(now);
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

/// Both, or the problems of both.
fn both(
    opened: Result<Opened, UnitError>,
    collectors: Result<Collectors, Vec<Problem>>,
) -> Result<(Opened, Collectors), UnitError> {
    match (opened, collectors) {
        (Ok(opened), Ok(collectors)) => Ok((opened, collectors)),
        (Err(UnitError::Config(mut problems)), Err(more)) => {
            problems.extend(more);
            Err(UnitError::Config(problems))
        }
        (Err(error), _) => Err(error),
        (Ok(_), Err(problems)) => Err(UnitError::Config(problems)),
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
