//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body;
use super::buffers::BufferPool;
use super::exporter::Exporter;
use super::held::HeldBodies;
use super::options::WebOptions;
use crate::telemetry::Telemetry;

/// The state of the router.
pub(super) struct App {
    pub(super) options: WebOptions,
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) telemetry: Arc<Telemetry>,
    /// A permit for each scrape that may run at once.
    pub(super) scrapes: Option<Arc<Semaphore>>,
    pub(super) buffers: Arc<BufferPool>,
    pub(super) held: Arc<HeldBodies>,
    /// Where scrapes run. The threads of connections make none.
    pub(super) threads: Handle,
}

impl App {
    /// The right to be one of the scrapes at a time. If there is none left, the slowest reader
    /// loses his.
    pub(super) async fn scrape_permit(&self) -> Result<Option<OwnedSemaphorePermit>, TooMany> {
        let Some(scrapes) = &self.scrapes else {
            return Ok(None);
        };
        if let Ok(permit) = Arc::clone(scrapes).try_acquire_owned() {
            return Ok(Some(permit));
        }
        if !self.held.cut_slowest() {
            return Err(TooMany);
        }
        let permit = Arc::clone(scrapes).acquire_owned();
        match tokio::time::timeout(PERMIT_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(TooMany),
        }
    }

    pub(super) fn body(&self) -> body::Shared<'_> {
        body::Shared {
            pool: &self.buffers,
            telemetry: &self.telemetry,
            held: &self.held,
        }
    }
}

/// As many scrapes as there may be are being answered.
pub(super) struct TooMany;

/// How long a reader that is cut may take to let go of its permit.
const PERMIT_WAIT: Duration = Duration::from_secs(1);

pub(super) fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}
