//! A scrape's body, rendered and compressed in chunks while it is sent.
//!
//! A chunk is made while the connection sends the one before: a scrape of a million series needs
//! memory for two chunks, and a scraper that reads slowly keeps no thread waiting. They are made on
//! the threads of scrapes: a chunk takes some 50 us, 0.5 ms if it is compressed, and the threads of
//! connections have others to serve.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::buffers::{BufferPool, PooledBuf};
use super::held::{HeldBodies, HeldGuard};
use crate::exposition::{BodyWriter, Compressor, Family, Negotiated};
use crate::telemetry::Telemetry;

/// Bytes of text that are rendered at once. Measured: from 32 to 128 KiB there is no difference.
const CHUNK: usize = 64 << 10;
/// How often it is looked whether slow readers hold too much.
const CHECK: Duration = Duration::from_secs(1);
/// Compressed bytes that are worth a write of their own.
const COMPRESSED_CHUNK: usize = 16 << 10;

/// What is not made yet.
pub(super) struct MetricsBody {
    handler: &'static str,
    families: Vec<Family>,
    writer: BodyWriter,
    compressor: Option<Compressor>,
    done: bool,
    pool: Arc<BufferPool>,
    telemetry: Arc<Telemetry>,
    held: Arc<HeldBodies>,
    /// Its permit to be one of the concurrent scrapes.
    permit: Option<OwnedSemaphorePermit>,
}

/// What a body and its connection share.
pub(super) struct Shared<'a> {
    pub(super) pool: &'a Arc<BufferPool>,
    pub(super) telemetry: &'a Arc<Telemetry>,
    pub(super) held: &'a Arc<HeldBodies>,
}

impl MetricsBody {
    /// `handler`: who counts the bytes. `created`: `--web.openmetrics-created`.
    pub(super) fn new(
        handler: &'static str,
        families: Vec<Family>,
        negotiated: Negotiated,
        created: bool,
        shared: &Shared<'_>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
        let compressor = Compressor::new(negotiated.encoding, || shared.pool.take())?;
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
            pool: Arc::clone(shared.pool),
            telemetry: Arc::clone(shared.telemetry),
            held: Arc::clone(shared.held),
            permit,
        })
    }

    /// The body. One of a single chunk has its length before it; others are sent chunked, and made
    /// on this runtime.
    pub(super) fn into_body(mut self) -> io::Result<Body> {
        let first = self.chunk()?;
        if self.done {
            return Ok(Body::from(first));
        }
        let (sender, chunks) = mpsc::channel(1);
        let body = Chunks {
            chunks,
            handler: self.handler,
            telemetry: Arc::clone(&self.telemetry),
        };
        tokio::spawn(self.make(first, sender));
        Ok(Body::new(body))
    }

    /// Makes all chunks, until the connection is gone or is to be cut.
    async fn make(mut self, first: Bytes, chunks: mpsc::Sender<io::Result<Option<Bytes>>>) {
        let guard = self.held.add(&self.families);
        let checked = tokio::spawn(check_later(Arc::clone(&self.held)));
        let mut next = Ok(first);
        loop {
            let failed = next.is_err();
            let sent = send(&chunks, next.map(Some), &guard).await;
            if failed || !sent {
                break;
            }
            if self.done {
                // Before its client sees the end, and comes again.
                self.families.clear();
                drop(self.permit.take());
                send(&chunks, Ok(None), &guard).await;
                break;
            }
            next = self.chunk();
        }
        checked.abort();
        // Nothing is held any more when this is seen to be gone.
        self.families.clear();
        drop((self, guard));
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

/// Whoever reads slowly may be cut, as long as it reads.
async fn check_later(held: Arc<HeldBodies>) {
    loop {
        tokio::time::sleep(CHECK).await;
        held.check();
    }
}

/// False: nobody takes it any more, or shall.
async fn send(
    chunks: &mpsc::Sender<io::Result<Option<Bytes>>>,
    chunk: io::Result<Option<Bytes>>,
    guard: &HeldGuard,
) -> bool {
    let bytes = chunk
        .as_ref()
        .map_or(0, |chunk| chunk.as_ref().map_or(0, Bytes::len));
    guard.waits();
    let sent = tokio::select! {
        sent = chunks.send(chunk) => sent.is_ok(),
        () = guard.cut.notified() => false,
    };
    guard.sent(bytes);
    sent
}

/// The connection's end of a body: an end without its last word is none.
struct Chunks {
    chunks: mpsc::Receiver<io::Result<Option<Bytes>>>,
    handler: &'static str,
    telemetry: Arc<Telemetry>,
}

impl axum::body::HttpBody for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match ready!(self.chunks.poll_recv(context)) {
            Some(Ok(Some(chunk))) => Ok(chunk),
            Some(Ok(None)) => return Poll::Ready(None),
            Some(Err(error)) => Err(error),
            None => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if let Ok(bytes) = &chunk {
            self.telemetry.http().sent(self.handler, bytes.len() as u64);
        }
        Poll::Ready(Some(chunk.map(Frame::data)))
    }
}
