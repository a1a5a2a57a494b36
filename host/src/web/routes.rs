//! Which path leads where, and what every answer has in common.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::http::{Method, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::app::App;
use super::exporter::{Exporter, ReloadAnswer};
use super::landing;
use super::options::WebOptions;
use super::probe;
use super::scrape;
use super::unit;
use crate::paths::{Methods, Page, PageId};
use crate::telemetry::Telemetry;

/// All pages. Unknown paths are 404, other methods than GET and HEAD 405. `threads`: where scrapes
/// run.
pub(crate) fn router(
    options: WebOptions,
    exporter: Arc<dyn Exporter>,
    telemetry: Arc<Telemetry>,
    threads: Handle,
) -> Router {
    let scrapes = options
        .max_requests
        .map(|bound| Arc::new(Semaphore::new(bound.get().min(Semaphore::MAX_PERMITS))));
    let router = options.pages().fold(Router::new(), |router, page| {
        router.route(&options.path(page), handler(page))
    });
    let (buffers, held) = (Arc::default(), Arc::default());
    let app = Arc::new(App {
        options,
        exporter,
        telemetry,
        scrapes,
        buffers,
        held,
        threads,
    });
    router
        .fallback(probe::by_path)
        .layer(from_fn_with_state(Arc::clone(&app), observe))
        .with_state(app)
}

fn handler(page: &Page) -> MethodRouter<Arc<App>> {
    let methods = match page.methods {
        // HEAD is answered by the same handler.
        Methods::Read => MethodFilter::GET,
        Methods::Post => MethodFilter::POST,
    };
    match page.id {
        PageId::Metrics => on(methods, scrape::metrics),
        PageId::Unit => on(methods, unit::metrics),
        PageId::Maps => on(methods, maps),
        PageId::Healthy => on(methods, healthy),
        PageId::Ready => on(methods, ready),
        PageId::Units => on(methods, unit::list),
        PageId::Reload => on(methods, reload),
        PageId::Probe => on(methods, probe::by_module),
        PageId::Landing => on(methods, landing::page),
    }
}

async fn reload(State(app): State<Arc<App>>) -> Response {
    match app.exporter.reload().await {
        ReloadAnswer::Done(text) => text.into_response(),
        ReloadAnswer::Failed(text) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        ReloadAnswer::NotYet(text) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
    }
}

async fn healthy() -> &'static str {
    "Healthy\n"
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.exporter.ready() {
        Ok(()) => "Ready\n".into_response(),
        Err(why) => {
            let text = format!("Not ready: {why}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn maps(State(app): State<Arc<App>>) -> Response {
    let exporter = Arc::clone(&app.exporter);
    let dumped = app.threads.spawn_blocking(move || exporter.dump_maps());
    match dumped.await {
        Ok(text) => text.into_response(),
        Err(error) => {
            tracing::error!(%error, "reading the maps failed");
            let text = "Reading the maps failed; see the log.\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// RFC 9112, 3.2.
fn names_its_host(request: &Request) -> bool {
    request.version() != Version::HTTP_11 || request.headers().get_all(HOST).iter().count() == 1
}

/// Counts the request and adds what all answers carry.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let telemetry_path = &app.options.telemetry_path;
    let mut pages = app.options.pages();
    let page = pages.find(|page| page.is_at(path, telemetry_path));
    let scrape = page.is_some_and(|page| page.id == PageId::Metrics);
    // Fixed words: a label taken from the request could grow without end.
    let handler = page.map_or("other", |page| page.handler);
    let http = app.telemetry.http();
    let _in_flight = http.started(scrape);
    let head = request.method() == Method::HEAD;
    let mut response = if names_its_host(&request) {
        next.run(request).await
    } else {
        let text = "A request of HTTP/1.1 has exactly one Host header.\n";
        (StatusCode::BAD_REQUEST, text).into_response()
    };
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
