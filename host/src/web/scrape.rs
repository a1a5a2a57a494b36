//! The telemetry path: a deadline, the families, a body.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, AsHeaderName, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue,
    VARY,
};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinError;

use super::app::App;
use super::body::MetricsBody;
use super::exporter::Exporter;
use super::query;
use crate::exposition::{Encoding, Family, Negotiated, negotiate};

/// How long the scraper waits, in seconds; Prometheus and VictoriaMetrics send it.
pub(super) const TIMEOUT_HEADER: &str = "x-prometheus-scrape-timeout-seconds";
/// What is kept of the scraper's patience for the way of the body.
const MARGIN: Duration = Duration::from_millis(500);
/// An exporter that does not keep its deadline is given up on this much later.
pub(super) const GRACE: Duration = Duration::from_millis(250);

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let filter = match query::parse(query.as_deref()) {
        Ok(pairs) => query::filter(pairs),
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    let families = |exporter: Arc<dyn Exporter>, deadline| async move {
        let families = exporter.scrape(deadline, &filter).await;
        families.map_err(|why| (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response())
    };
    answer_with("metrics", &app, &headers, families).await
}

/// Answers with the families that `collect` gives by its deadline, or with what it gives in their
/// stead, as the request wants them. `handler`: whose bytes are counted.
pub(super) async fn answer_with<F>(
    handler: &'static str,
    app: &Arc<App>,
    headers: &HeaderMap,
    collect: impl FnOnce(Arc<dyn Exporter>, Instant) -> F,
) -> Response
where
    F: Future<Output = Result<Vec<Family>, Response>> + Send + 'static,
{
    let Ok(permit) = app.scrape_permit().await else {
        let bound = app.options.max_requests.map_or(0, NonZeroUsize::get);
        let text = format!("Limit of concurrent requests reached ({bound}), try again later.\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let negotiated = negotiate(values(headers, ACCEPT), values(headers, ACCEPT_ENCODING));
    let patience = patience(
        app.options.scrape_timeout,
        values(headers, TIMEOUT_HEADER).next(),
    );
    let deadline = Instant::now() + patience;

    let created = app.options.openmetrics_created;
    let families = collect(Arc::clone(&app.exporter), deadline);
    let shared = Arc::clone(app);
    // A task of its own: a panic in it is this request's 500, and a scraper that hangs up leaves no
    // map half walked.
    let task = app.threads.spawn(async move {
        let families = families.await.map_err(ScrapeError::refused)?;
        let body = MetricsBody::new(
            handler,
            families,
            negotiated,
            created,
            &shared.body(),
            permit,
        )?;
        Ok(body.into_body()?)
    });
    let body = match tokio::time::timeout(patience + GRACE, task).await {
        Ok(joined) => joined.unwrap_or_else(|panic| Err(ScrapeError::Panic(panic))),
        Err(_) => Err(ScrapeError::Late),
    };
    match body {
        Ok(body) => answer(negotiated, body),
        Err(ScrapeError::Refused(response)) => *response,
        Err(ScrapeError::Body(error)) => failed(&error),
        Err(ScrapeError::Panic(error)) => failed(&error),
        Err(ScrapeError::Late) => {
            let seconds = patience.as_secs_f64();
            tracing::warn!(seconds, "scrape not done at its deadline");
            let text = format!("The scrape was not done within {seconds} s.\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Why a scrape has no body.
enum ScrapeError {
    /// This is answered in its stead.
    Refused(Box<Response>),
    Body(io::Error),
    Panic(JoinError),
    /// It does not keep its deadline.
    Late,
}

impl ScrapeError {
    fn refused(response: Response) -> Self {
        Self::Refused(Box::new(response))
    }
}

impl From<io::Error> for ScrapeError {
    fn from(error: io::Error) -> Self {
        Self::Body(error)
    }
}

pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> Response {
    tracing::error!(error, "scrape failed");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "The scrape failed; see the log.\n",
    )
        .into_response()
}

pub(super) fn answer(negotiated: Negotiated, body: Body) -> Response {
    let mut response = ([(CONTENT_TYPE, negotiated.content_type())], body).into_response();
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if negotiated.encoding != Encoding::Identity {
        let name = HeaderValue::from_static(negotiated.encoding.name());
        headers.insert(CONTENT_ENCODING, name);
    }
    response
}

/// The time a scrape may take: the operator's bound or, if it is less, what the scraper's patience
/// leaves.
pub(super) fn patience(bound: Duration, header: Option<&str>) -> Duration {
    let patience = header
        .and_then(|text| text.trim().parse().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|patience| !patience.is_zero());
    // Half of a very short patience rather than nothing.
    let left = patience.map(|patience| patience.saturating_sub(MARGIN).max(patience / 2));
    left.unwrap_or(bound).min(bound)
}

pub(super) fn values(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_the_less_of_both() {
        let bound = Duration::from_secs(10);
        for (header, seconds) in [
            (None, 10.0),
            (Some("15"), 10.0),
            (Some("2"), 1.5),
            (Some(" 1.000"), 0.5),
            (Some("0.2"), 0.1),
            (Some("0"), 10.0),
            (Some("-1"), 10.0),
            (Some("nan"), 10.0),
            (Some("1e300"), 10.0),
            (Some("soon"), 10.0),
        ] {
            assert_eq!(
                patience(bound, header),
                Duration::from_secs_f64(seconds),
                "{header:?}"
            );
        }
    }
}
