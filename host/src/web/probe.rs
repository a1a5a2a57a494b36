//! `/probe` and the paths that collectors have of their own: one collector, one target, a body of
//! its own.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderMap};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::app::{App, not_found};
use super::body::MetricsBody;
use super::exporter::{Module, ProbeRequest, ProbeResult, Probed, Refused};
use super::query::{self, Pairs};
use super::scrape::{GRACE, TIMEOUT_HEADER, answer, failed, patience, values};
use super::unit;
use crate::exposition::{Format, Negotiated, negotiate, write};

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
        return not_found().into_response();
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
    let shared = Arc::clone(app);
    // A task of its own: a panic in it is this request's 500.
    let mut task = app.threads.spawn(async move {
        match shared.exporter.probe(request).await {
            Probed::Done(result) => Ok(done(&shared, result, debug, negotiated)),
            other => Err(other),
        }
    });
    let probed = tokio::time::timeout(patience + GRACE, &mut task).await;
    match probed.map(|joined| joined.map(|result| result.unwrap_or_else(refused))) {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failed(&error),
        Err(_) => {
            let text = format!(
                "The probe was not done within {} s.\n",
                patience.as_secs_f64()
            );
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// The answer to a probe that was not made.
fn refused(probed: Probed) -> Response {
    match probed {
        Probed::NoPath => not_found().into_response(),
        Probed::Bad(sentence) => bad(&sentence),
        Probed::Unavailable(why) => unit::refuse(why),
        Probed::Done(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The answer to one that was made.
fn done(app: &App, result: ProbeResult, debug: bool, negotiated: Negotiated) -> Response {
    let refused = match result.refused {
        Some(Refused::ByOperator) => Some(StatusCode::FORBIDDEN),
        Some(Refused::AsWrong) => Some(StatusCode::BAD_REQUEST),
        None => None,
    };
    if debug {
        let status = refused.unwrap_or(StatusCode::OK);
        let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (status, kind, report(&result)).into_response();
    }
    if let Some(status) = refused {
        let why = result.error.unwrap_or_default();
        return (status, format!("{why}\n")).into_response();
    }
    let created = app.options.openmetrics_created;
    let body = MetricsBody::new(
        "probe",
        result.families,
        negotiated,
        created,
        &app.body(),
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
