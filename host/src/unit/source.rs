//! Where metrics get their entries: maps, or counted samples.

use std::sync::Arc;
use std::time::Duration;

use super::error::UnitError;
use crate::bpf::{
    Batch, LoadedObject, MapReader, ReadError, SampleCounter, SampleError, SampleOptions,
    SampleStats, WalkStats,
};
use crate::config::{MetricConfig, MetricSource, SampleMap};
use crate::rows::Layout;

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
        key_size: usize,
        flush_interval: Duration,
    },
}

pub(super) enum EntrySource {
    Map(Box<MapReader>),
    Samples(SampleCounter),
}

/// A source and what is made from it.
pub(super) struct Group<M> {
    pub(super) key: SourceKey,
    pub(super) source: EntrySource,
    pub(super) metrics: Vec<M>,
}

/// The sources that metrics need, in the order of the YAML, each with the indexes of its metrics.
pub(super) fn wanted(metrics: &[MetricConfig], layouts: &[Layout]) -> Vec<(SourceKey, Vec<usize>)> {
    let mut wanted: Vec<(SourceKey, Vec<usize>)> = Vec::new();
    for (index, (metric, layout)) in metrics.iter().zip(layouts).enumerate() {
        let key = SourceKey::of(metric, layout);
        match wanted.iter_mut().find(|(known, _)| *known == key) {
            Some((_, indexes)) => indexes.push(index),
            None => wanted.push((key, vec![index])),
        }
    }
    wanted
}

impl SourceKey {
    fn of(metric: &MetricConfig, layout: &Layout) -> Self {
        let map = metric.map.as_str().into();
        match metric.source {
            MetricSource::Map => Self::Map(map),
            MetricSource::Samples {
                through,
                flush_interval,
            } => Self::Samples {
                map,
                through,
                metric: metric.name.as_str().into(),
                key_size: layout.row_key_size,
                flush_interval,
            },
        }
    }

    pub(super) fn map(&self) -> &Arc<str> {
        match self {
            Self::Map(map) | Self::Samples { map, .. } => map,
        }
    }

    /// Opens the source; see `EntrySource::run`.
    pub(super) fn open(&self, object: &LoadedObject) -> Result<EntrySource, UnitError> {
        Ok(match self {
            Self::Map(map) => EntrySource::Map(Box::new(MapReader::new(object.map(map)?)?)),
            Self::Samples {
                map,
                through,
                key_size,
                flush_interval,
                ..
            } => {
                let options = SampleOptions::new(*through, *key_size, *flush_interval);
                EntrySource::Samples(SampleCounter::open(object, map, &options)?)
            }
        })
    }
}

impl EntrySource {
    /// Starts what runs beside the scrapes.
    pub(super) fn run(&mut self) -> Result<(), SampleError> {
        match self {
            Self::Map(_) => Ok(()),
            Self::Samples(samples) => samples.run(),
        }
    }

    /// Visits every entry in batches.
    pub(super) fn walk(&mut self, visit: impl FnMut(Batch<'_>)) -> Result<WalkStats, ReadError> {
        match self {
            Self::Map(reader) => reader.walk(visit),
            Self::Samples(samples) => Ok(samples.walk(visit)),
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
