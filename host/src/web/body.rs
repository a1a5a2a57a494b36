//! A scrape's body, rendered and compressed in chunks while it is sent.
//!
//! Each chunk is made when the connection has sent the one before: a scrape of a million series
//! needs memory for one chunk, which stays in the cache from rendering to sending, and a scraper
//! that reads slowly keeps no thread waiting. A chunk takes some 50 us to make, 0.5 ms if it is
//! compressed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::buffers::{BufferPool, PooledBuf};
use crate::exposition::{BodyWriter, Compressor, Family, Negotiated};
use crate::telemetry::Telemetry;

/// Bytes of text that are rendered at once. Measured: from 32 to 128 KiB there is no difference.
const CHUNK: usize = 64 << 10;
/// Compressed bytes that are worth a write of their own.
const COMPRESSED_CHUNK: usize = 16 << 10;

/// What is not sent yet.
pub(super) struct MetricsBody {
    handler: &'static str,
    families: Vec<Family>,
    writer: BodyWriter,
    compressor: Option<Compressor>,
    done: bool,
    first: Option<Bytes>,
    pool: Arc<BufferPool>,
    telemetry: Arc<Telemetry>,
    /// Its permit to be one of the concurrent scrapes.
    _permit: Option<OwnedSemaphorePermit>,
}

impl MetricsBody {
    /// `handler`: who counts the bytes. `created`: `--web.openmetrics-created`.
    pub(super) fn new(
        handler: &'static str,
        families: Vec<Family>,
        negotiated: Negotiated,
        created: bool,
        pool: Arc<BufferPool>,
        telemetry: Arc<Telemetry>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
        let compressor = Compressor::new(negotiated.encoding, || pool.take())?;
        let writer = BodyWriter::new(&families, negotiated.format);
        let writer = if created {
            writer.with_created(negotiated.format)
        } else {
            writer
        };
        Ok(Self {
            handler,
            writer,
            families,
            compressor,
            done: false,
            first: None,
            pool,
            telemetry,
            _permit: permit,
        })
    }

    /// The body. One of a single chunk has its length before it; others are sent chunked.
    pub(super) fn into_body(mut self) -> io::Result<Body> {
        let first = self.chunk()?;
        if self.done {
            return Ok(Body::from(first));
        }
        self.first = Some(first);
        Ok(Body::new(self))
    }

    fn chunk(&mut self) -> io::Result<Bytes> {
        // An empty vector is valid UTF-8: no byte is checked or copied.
        let mut text = String::from_utf8(self.pool.take()).unwrap_or_default();
        let chunk = loop {
            self.done = self.writer.write(&self.families, &mut text, CHUNK);
            let Some(compressor) = &mut self.compressor else {
                break text.into_bytes();
            };
            compressor.write(text.as_bytes())?;
            if self.done || compressor.buffered() >= COMPRESSED_CHUNK {
                self.pool.give_back(text.into_bytes());
                break if self.done {
                    compressor.finish()?
                } else {
                    compressor.take(self.pool.take())
                };
            }
            text.clear();
        };
        Ok(PooledBuf::bytes(chunk, Arc::clone(&self.pool)))
    }
}

impl axum::body::HttpBody for MetricsBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match self.first.take() {
            Some(first) => Ok(first),
            None if self.done => return Poll::Ready(None),
            None => self.chunk(),
        };
        if let Ok(bytes) = &chunk {
            self.telemetry.http().sent(self.handler, bytes.len() as u64);
        }
        Poll::Ready(Some(chunk.map(Frame::data)))
    }
}
