//! What the handlers share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::buffers::BufferPool;
use super::exporter::Exporter;
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
}
