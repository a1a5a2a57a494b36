//! What a plugin prints: lines for the host's log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log::{Lines, MAX_LINE};
use crate::plugin::bindings::exporter::plugin::log::Level;

/// Bytes taken at once.
const CHUNK: usize = 64 << 10;

/// Standard output or standard error of one instance. All its handles write into the same line.
#[derive(Clone)]
pub(super) struct Printed(Arc<Mutex<Line>>);

struct Line {
    lines: Lines,
    level: Level,
    /// What has come of the line so far, up to the longest that is logged.
    text: Vec<u8>,
    /// The line was longer: the rest of it is not taken.
    cut: bool,
}

impl Printed {
    pub(super) fn new(lines: Lines, level: Level) -> Self {
        Self(Arc::new(Mutex::new(Line {
            lines,
            level,
            text: Vec::new(),
            cut: false,
        })))
    }
}

impl Line {
    fn take(&mut self, bytes: &[u8]) {
        for chunk in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (chunk, ended) = match chunk.strip_suffix(b"\n") {
                Some(chunk) => (chunk, true),
                None => (chunk, false),
            };
            let room = MAX_LINE - self.text.len();
            self.cut |= chunk.len() > room;
            self.text
                .extend_from_slice(chunk.get(..room).unwrap_or(chunk));
            if ended {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.cut = false;
        let line = String::from_utf8_lossy(&text);
        let line = line.trim_end();
        if !line.is_empty() {
            self.lines.write(self.level, line);
        }
    }
}

impl Drop for Line {
    /// The last line of one that ended in the middle of it: perhaps why.
    fn drop(&mut self) {
        self.end();
    }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.lock().take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK)
    }
}

impl AsyncWrite for Printed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::budget::LogBudget;
    use crate::plugin::tests::logged;

    #[test]
    fn what_is_printed_becomes_whole_lines() {
        let lines = logged(tracing::Level::INFO, || {
            let lines = Lines {
                plugin: "p".into(),
                budget: Arc::new(LogBudget::new()),
                stats: Arc::default(),
                capture: None,
            };
            let mut printed = Printed::new(lines, Level::Warn);
            let mut other = printed.p2_stream();
            for chunk in ["one\ntw", "o \x1b[31m\r\n\n", "\u{e9}"] {
                printed.write(Bytes::from(chunk)).unwrap();
            }
            let long = "y".repeat(3 * MAX_LINE);
            for chunk in [long.as_str(), "more\nlast"] {
                other
                    .write(Bytes::copy_from_slice(chunk.as_bytes()))
                    .unwrap();
            }
        });
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains("one plugin=\"p\""),
            "{lines:?}"
        );
        assert!(lines[1].contains(r"two \x1b[31m plugin"), "{lines:?}");
        let (start, end) = ("\u{e9}y", "y plugin");
        assert!(
            lines[2].contains(start) && lines[2].contains(end),
            "{}",
            lines[2]
        );
        assert_eq!(lines[2].matches('y').count(), MAX_LINE - 2);
        assert!(lines[3].contains("last"), "{lines:?}");
    }
}
