//! Buffers of bodies, used again: a scrape of 100,000 series is megabytes, and the next one is as large.

use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// Buffers kept while nobody needs them: one body and its compressed form, for two scrapers.
const MAX_KEPT: usize = 4;
/// A larger one is given back to the allocator.
const MAX_CAPACITY: usize = 64 << 20;

#[derive(Debug, Default)]
pub(super) struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut kept = self.0.lock();
        if kept.len() < MAX_KEPT && buffer.capacity() <= MAX_CAPACITY {
            kept.push(buffer);
        }
    }
}

/// A body being sent: its buffer and its place among the concurrent scrapes are free again once it is dropped.
pub(super) struct Lease {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    pub(super) fn body(
        bytes: Vec<u8>,
        pool: Arc<BufferPool>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Bytes {
        Bytes::from_owner(Self {
            bytes,
            pool,
            _permit: permit,
        })
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}
