//! Walks over maps in the kernel.

use std::hint::black_box;
use std::os::fd::OwnedFd;

use crate::bpf::{Map, MapReader};

/// A reader and its buffers.
pub struct Walk(MapReader);

impl Walk {
    /// Of a map, with at most `batch` entries a call.
    pub fn new(map: OwnedFd, batch: usize) -> anyhow::Result<Self> {
        let map = Map::new(map, "bench", false)?;
        Ok(Self(MapReader::with_batch(map, batch)?))
    }

    /// Walks over all entries. Gives their number.
    pub fn walk(&mut self) -> anyhow::Result<usize> {
        let stats = self.0.walk(|batch| {
            black_box(batch);
        })?;
        Ok(stats.entries)
    }
}
