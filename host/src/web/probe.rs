//! `/probe` and the paths that collectors have of their own: one collector, one target, a body of
//! its own.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderMap};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::body::MetricsBody;
use super::exporter::{Module, ProbeRequest, ProbeResult, Probed};
use super::query::{self, Pairs};
use super::routes::{self, App};
use super::scrape::{GRACE, TIMEOUT_HEADER, answer, failed, patience, values};
use super::unit;
use crate::exposition::{Format, negotiate, write};

pub(super) async fn by_module(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let mut pairs = match query::parse(query.as_deref()) {
        Ok(pairs) => pairs,
        Err(text) => return (StatusCode::BAD_REQUEST, text).into_response(),
    };
    match take(&mut pairs, "module") {
        Some(module) => probe(&app, Module::Name(module), pairs, &headers).await,
        None => bad("Module parameter is missing"),
    }
}

/// Whatever is no page of the host's own.
pub(super) async fn by_path(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let path = uri.path();
    let known = app.exporter.probes();
    if known
        .iter()
        .all(|probe| probe.path.as_deref() != Some(path))
    {
        return routes::not_found().await.into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET,HEAD")]).into_response();
    }
    match query::parse(query.as_deref()) {
        Ok(pairs) => probe(&app, Module::Path(path.to_owned()), pairs, &headers).await,
        Err(text) => (StatusCode::BAD_REQUEST, text).into_response(),
    }
}

/// The first value; the others are dropped.
fn take(pairs: &mut Pairs, name: &str) -> Option<String> {
    let mut found = None;
    pairs.retain_mut(|(key, value)| {
        let is_it = key == name;
        if is_it && found.is_none() {
            found = Some(std::mem::take(value));
        }
        !is_it
    });
    found.filter(|value| !value.is_empty())
}

fn bad(sentence: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{sentence}\n")).into_response()
}

async fn probe(app: &Arc<App>, module: Module, mut pairs: Pairs, headers: &HeaderMap) -> Response {
    let negotiated = negotiate(values(headers, ACCEPT), values(headers, ACCEPT_ENCODING));
    let patience = patience(
        app.options.scrape_timeout,
        values(headers, TIMEOUT_HEADER).next(),
    );
    let target = take(&mut pairs, "target");
    let debug = take(&mut pairs, "debug").is_some_and(|value| value == "true");
    let request = ProbeRequest {
        module,
        target,
        params: pairs,
        deadline: Instant::now() + patience,
        debug,
    };
    let exporter = Arc::clone(&app.exporter);
    // A task of its own: a panic in it is this request's 500.
    let mut task = tokio::spawn(async move { exporter.probe(request).await });
    let result = match tokio::time::timeout(patience + GRACE, &mut task).await {
        Ok(Ok(Probed::Done(result))) => result,
        Ok(Ok(Probed::NoPath)) => return routes::not_found().await.into_response(),
        Ok(Ok(Probed::Bad(sentence))) => return bad(&sentence),
        Ok(Ok(Probed::Unavailable(why))) => return unit::refuse(why),
        Ok(Err(error)) => return failed(&error),
        Err(_) => {
            let text = format!(
                "The probe was not done within {} s.\n",
                patience.as_secs_f64()
            );
            return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        }
    };
    if debug {
        let status = if result.refused {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::OK
        };
        let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (status, kind, report(&result)).into_response();
    }
    if result.refused {
        let why = result.error.unwrap_or_default();
        return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    }
    let body = MetricsBody::new(
        "probe",
        result.families,
        negotiated,
        app.options.openmetrics_created,
        Arc::clone(&app.buffers),
        Arc::clone(&app.telemetry),
        None,
    );
    match body.and_then(MetricsBody::into_body) {
        Ok(body) => answer(negotiated, body),
        Err(error) => failed(&error),
    }
}

/// What `debug=true` shows.
fn report(result: &ProbeResult) -> String {
    let mut out = String::from("Logs for the probe:\n");
    for line in &result.log {
        out.push_str(line);
        out.push('\n');
    }
    match &result.error {
        Some(error) => out.push_str(&format!("level=error msg={error:?}\n")),
        None => out.push_str("level=info msg=\"Probe succeeded\"\n"),
    }
    out.push_str("\n\n\nMetrics that would have been returned:\n");
    write(&mut out, &result.families, Format::Text004);
    out.push_str("\n\n\nModule configuration:\n");
    out.push_str(&result.config);
    out
}
