//! Which path leads where, and what every answer has in common.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use super::buffers::BufferPool;
use super::exporter::Exporter;
use super::landing;
use super::options::{HEALTHY, MAPS, PROBE, READY, RELOAD, UNITS, WebOptions};
use super::probe;
use super::scrape;
use super::unit;
use crate::telemetry::Telemetry;

/// What the handlers share.
pub(super) struct App {
    pub(super) options: WebOptions,
    pub(super) exporter: Arc<dyn Exporter>,
    pub(super) telemetry: Arc<Telemetry>,
    /// A permit for each scrape that may run at once.
    pub(super) scrapes: Option<Arc<Semaphore>>,
    pub(super) buffers: Arc<BufferPool>,
}

/// All pages. Unknown paths are 404, other methods than GET and HEAD 405.
pub(crate) fn router(
    options: WebOptions,
    exporter: Arc<dyn Exporter>,
    telemetry: Arc<Telemetry>,
) -> Router {
    let scrapes = options
        .max_requests
        .map(|bound| Arc::new(Semaphore::new(bound.get().min(Semaphore::MAX_PERMITS))));
    let mut router = Router::new()
        .route(&options.telemetry_path, get(scrape::metrics))
        .route(&unit::route(&options.telemetry_path), get(unit::metrics))
        .route(HEALTHY, get(healthy))
        .route(UNITS, get(unit::list))
        .route(READY, get(ready))
        .route(PROBE, get(probe::by_module))
        .route("/", get(landing::page));
    if options.debug {
        router = router.route(MAPS, get(maps));
    }
    if options.lifecycle {
        router = router.route(RELOAD, post(reload));
    }
    let buffers = Arc::default();
    let app = Arc::new(App {
        options,
        exporter,
        telemetry,
        scrapes,
        buffers,
    });
    router
        .fallback(probe::by_path)
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

async fn reload(State(app): State<Arc<App>>) -> Response {
    match app.exporter.reload().await {
        Ok(text) => text.into_response(),
        Err(text) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
    }
}

async fn healthy() -> &'static str {
    "Healthy\n"
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    if app.exporter.ready() {
        return "Ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Not ready: units are being loaded\n",
    )
        .into_response()
}

async fn maps(State(app): State<Arc<App>>) -> Response {
    let exporter = Arc::clone(&app.exporter);
    match tokio::task::spawn_blocking(move || exporter.dump_maps()).await {
        Ok(text) => text.into_response(),
        Err(error) => {
            tracing::error!(%error, "reading the maps failed");
            let text = "Reading the maps failed; see the log.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

pub(super) async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Whether a path is below the telemetry path.
fn is_unit(path: &str, telemetry_path: &str) -> bool {
    let below = path.strip_prefix(telemetry_path.trim_end_matches('/'));
    below.is_some_and(|rest| rest.starts_with('/'))
}

/// Counts the request and adds what all answers carry.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let scrape = path == app.options.telemetry_path;
    // Fixed words: a label taken from the request could grow without end.
    let handler = match path {
        _ if scrape => "metrics",
        "/" => "landing",
        HEALTHY => "healthy",
        READY => "ready",
        PROBE => "probe",
        UNITS => "units",
        MAPS if app.options.debug => "maps",
        _ if is_unit(path, &app.options.telemetry_path) => "unit",
        _ => "other",
    };
    let http = app.telemetry.http();
    let _in_flight = http.started(scrape);
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    // A body without a length counts what it sends itself.
    let bytes = if head {
        0
    } else {
        response.body().size_hint().exact().unwrap_or(0)
    };
    http.answered(handler, scrape, response.status().as_u16(), bytes);
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
