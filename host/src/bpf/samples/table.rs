//! Keys and their counts, in the order the keys first came, bounded in number.

use std::hash::BuildHasher;
use std::time::Duration;
use std::time::Instant;

use hashbrown::HashTable;

use super::SampleStats;

#[derive(Debug)]
pub(super) struct Table {
    key_size: usize,
    max_rows: usize,
    flush_interval: Duration,
    flushed: Instant,
    /// Row n's key begins at `n * key_size`.
    keys: Vec<u8>,
    counts: Vec<u64>,
    /// Row numbers by key.
    index: HashTable<usize>,
    hasher: foldhash::quality::RandomState,
    stats: SampleStats,
}

impl Table {
    pub(super) fn new(
        key_size: usize,
        max_rows: usize,
        flush_interval: Duration,
        now: Instant,
    ) -> Self {
        Self {
            key_size,
            max_rows,
            flush_interval,
            flushed: now,
            keys: Vec::new(),
            counts: Vec::new(),
            index: HashTable::new(),
            hasher: foldhash::quality::RandomState::default(),
            stats: SampleStats::default(),
        }
    }

    /// Adds 1 to the row that the sample begins with.
    pub(super) fn count(&mut self, sample: &[u8]) {
        let Self {
            key_size,
            keys,
            counts,
            index,
            hasher,
            stats,
            ..
        } = self;
        let size = *key_size;
        let Some(key) = sample.get(..size) else {
            stats.short += 1;
            return;
        };
        let hash = hasher.hash_one(key);
        let found = index
            .find(hash, |&row| {
                keys.get(row * size..(row + 1) * size) == Some(key)
            })
            .copied();
        if let Some(count) = found.and_then(|row| counts.get_mut(row)) {
            *count += 1;
            stats.counted += 1;
            return;
        }
        if counts.len() >= self.max_rows {
            stats.overflowed += 1;
            return;
        }
        let row = counts.len();
        keys.extend_from_slice(key);
        counts.push(1);
        let rehash = |&row: &usize| {
            hasher.hash_one(keys.get(row * size..(row + 1) * size).unwrap_or_default())
        };
        index.insert_unique(hash, row, rehash);
        stats.counted += 1;
    }

    pub(super) fn lose(&mut self, samples: u64) {
        *self.stats.lost.get_or_insert(0) += samples;
    }

    pub(super) fn damaged(&mut self) {
        self.stats.damaged += 1;
    }

    /// Empties the table if its time has come. Memory is kept: the same keys usually come back.
    pub(super) fn flush_if_due(&mut self, now: Instant) {
        if now.saturating_duration_since(self.flushed) >= self.flush_interval {
            self.flushed = now;
            self.keys.clear();
            self.counts.clear();
            self.index.clear();
        }
    }

    /// Copies all rows: keys, and counts as native bytes.
    pub(super) fn copy(&mut self, now: Instant, keys: &mut Vec<u8>, counts: &mut Vec<u8>) {
        self.flush_if_due(now);
        keys.clear();
        keys.extend_from_slice(&self.keys);
        counts.clear();
        counts.extend(self.counts.iter().flat_map(|count| count.to_ne_bytes()));
    }

    pub(super) fn stats(&self) -> SampleStats {
        SampleStats {
            rows: self.counts.len(),
            ..self.stats
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_flushed() {
        let start = Instant::now();
        let mut table = Table::new(2, 100, Duration::from_secs(10), start);
        for n in 0..1000_u16 {
            table.count(&[&n.to_ne_bytes()[..], b"ignored"].concat());
            table.count(&0_u16.to_ne_bytes());
        }
        table.count(&[1]);
        table.lose(5);
        let stats = table.stats();
        assert_eq!(
            (
                stats.rows,
                stats.counted,
                stats.overflowed,
                stats.short,
                stats.lost
            ),
            (100, 1100, 900, 1, Some(5))
        );
        let (mut keys, mut counts) = (Vec::new(), Vec::new());
        table.copy(start + Duration::from_secs(9), &mut keys, &mut counts);
        assert_eq!((keys.len(), counts.len()), (200, 800));
        assert_eq!(counts[..8], 1001_u64.to_ne_bytes());
        table.copy(start + Duration::from_secs(10), &mut keys, &mut counts);
        assert!(keys.is_empty() && counts.is_empty());
        table.count(&7_u16.to_ne_bytes());
        assert_eq!((table.stats().rows, table.stats().counted), (1, 1101));
    }
}
