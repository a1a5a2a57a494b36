//! Buffers of chunks of bodies, used again: each is still in the cache.

use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;

/// Buffers kept while nobody needs them: a chunk and its compressed form, for some scrapers at
/// once.
const MAX_KEPT: usize = 16;
/// A larger one is given back to the allocator.
const MAX_CAPACITY: usize = 1 << 20;

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

/// A chunk being sent: its buffer is free again once it is dropped.
pub(super) struct PooledBuf {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl PooledBuf {
    pub(super) fn bytes(bytes: Vec<u8>, pool: Arc<BufferPool>) -> Bytes {
        Bytes::from_owner(Self { bytes, pool })
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuf {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}
