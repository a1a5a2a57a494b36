//! Where a group of metrics gets its entries: a map, or counted samples.

use std::sync::Arc;

use crate::bpf::{Batch, MapReader, ReadError, SampleCounter, SampleError, SampleStats, WalkStats};

pub(super) enum EntrySource {
    Map(Box<MapReader>),
    Samples(SampleCounter),
}

/// A map and all metrics made from it: one walk serves them all.
pub(super) struct Group<M> {
    pub(super) map: Arc<str>,
    pub(super) source: EntrySource,
    pub(super) metrics: Vec<M>,
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
