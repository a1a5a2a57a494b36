//! Where metrics get their entries: maps, or counted samples.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::error::OpenError;
use crate::bpf::{
    Map, MapReader, ReadError, SampleChannel, SampleCounter, SampleOptions, SampleStats, WalkStats,
};
use crate::exposition::StartTime;
use crate::link::ServedSource;
use crate::map_batch::MapBatch;
use crate::object_input::SampleMap;
use crate::rows::MetricSpec;

/// What a source reads; two of one key are the same source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SourceKey {
    /// One walk of a map serves all metrics made from it.
    Map(Arc<str>),
    /// Samples are counted for each metric on its own: their keys differ.
    Samples {
        map: Arc<str>,
        through: SampleMap,
        metric: Arc<str>,
        /// Bytes.
        key_size: usize,
        flush_interval: Duration,
    },
}

/// A source that has come and is not open yet.
pub(super) struct Channel {
    pub(super) key: SourceKey,
    /// Indexes in the unit's config.
    pub(super) metrics: Vec<usize>,
    /// When all its numbers were 0.
    pub(super) created: StartTime,
    input: Input,
}

enum Input {
    Map(OwnedFd),
    Samples(SampleChannel),
}

pub(super) enum EntrySource {
    Map(Box<MapReader>),
    Samples(SampleCounter),
}

impl SourceKey {
    pub(super) fn map(&self) -> &Arc<str> {
        match self {
            Self::Map(map) | Self::Samples { map, .. } => map,
        }
    }

    /// The metric whose samples are counted. None: it is a map.
    pub(super) fn counted(&self) -> Option<&Arc<str>> {
        match self {
            Self::Map(_) => None,
            Self::Samples { metric, .. } => Some(metric),
        }
    }
}

impl Channel {
    /// `descriptors`: as many as the source says.
    pub(super) fn new(
        source: ServedSource,
        specs: &[MetricSpec],
        descriptors: Vec<OwnedFd>,
    ) -> Result<Self, OpenError> {
        let mut descriptors = descriptors.into_iter();
        let mut only = || descriptors.next().ok_or(OpenError::Descriptors);
        let metric = |index: usize| {
            let metric = specs.get(index);
            let name = metric.map(|metric| metric.name.as_str().into());
            name.ok_or(OpenError::NoMetric(index))
        };
        Ok(match source {
            ServedSource::Map {
                map,
                metrics,
                created,
            } => Self {
                key: SourceKey::Map(map.into()),
                metrics,
                created: created.map_or_else(StartTime::default, StartTime::of),
                input: Input::Map(only()?),
            },
            ServedSource::Ring {
                map,
                metric: index,
                key_size,
                flush_interval,
            } => Self {
                key: SourceKey::Samples {
                    map: map.into(),
                    through: SampleMap::Ringbuf,
                    metric: metric(index)?,
                    key_size,
                    flush_interval,
                },
                metrics: vec![index],
                created: StartTime::now(),
                input: Input::Samples(SampleChannel::Ring(only()?)),
            },
            ServedSource::Perf {
                map,
                metric: index,
                key_size,
                flush_interval,
                pages,
                cpus,
            } => {
                let cpus: Vec<(u32, OwnedFd)> = cpus.into_iter().zip(descriptors).collect();
                Self {
                    key: SourceKey::Samples {
                        map: map.into(),
                        through: SampleMap::PerfEventArray,
                        metric: metric(index)?,
                        key_size,
                        flush_interval,
                    },
                    metrics: vec![index],
                    created: StartTime::now(),
                    input: Input::Samples(SampleChannel::Perf { pages, cpus }),
                }
            }
        })
    }

    /// Opens the source and starts what runs beside the scrapes.
    pub(super) fn open(self) -> Result<EntrySource, OpenError> {
        match (self.input, self.key) {
            (Input::Map(map), key) => {
                let name = key.map();
                let map = Map::new(map, name, false).map_err(|source| OpenError::Map {
                    map: name.to_string(),
                    source,
                })?;
                Ok(EntrySource::Map(Box::new(MapReader::new(map)?)))
            }
            (
                Input::Samples(channel),
                SourceKey::Samples {
                    map,
                    key_size,
                    flush_interval,
                    ..
                },
            ) => {
                let options = SampleOptions::new(key_size, flush_interval);
                let mut counter = SampleCounter::open(&map, channel, &options)?;
                counter.run()?;
                Ok(EntrySource::Samples(counter))
            }
            (Input::Samples(_), SourceKey::Map(_)) => Err(OpenError::Descriptors),
        }
    }
}

impl EntrySource {
    /// Visits every entry in batches.
    pub(super) fn walk(&mut self, visit: impl FnMut(MapBatch<'_>)) -> Result<WalkStats, ReadError> {
        match self {
            Self::Map(reader) => reader.walk(visit),
            Self::Samples(samples) => Ok(samples.walk(visit)),
        }
    }

    /// Whether both read the same map, which another version may have named otherwise.
    pub(super) fn is_same_map(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map(one), Self::Map(other)) => one.map().id() == other.map().id(),
            _ => false,
        }
    }

    /// Entries that there is room for. None where there is no such bound.
    pub(super) fn max_entries(&self) -> Option<usize> {
        match self {
            Self::Map(reader) => Some(reader.map().info().max_entries),
            Self::Samples(_) => None,
        }
    }

    /// What became of the samples so far. None for a map.
    pub(super) fn samples(&self) -> Option<SampleStats> {
        match self {
            Self::Map(_) => None,
            Self::Samples(samples) => Some(samples.stats()),
        }
    }
}
