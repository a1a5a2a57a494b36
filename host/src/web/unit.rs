//! `GET /metrics/NAME`: one unit's families and nothing else. A unit on demand is started by it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::exporter::Unavailable;
use super::scrape;

/// The path of a unit's own metrics: slashes of its name are slashes of the path.
pub(super) fn path(telemetry_path: &str, unit: &str) -> String {
    let mut path = telemetry_path.trim_end_matches('/').to_owned();
    for part in unit.split('/') {
        path.push('/');
        for byte in part.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    path.push(char::from(byte));
                }
                other => path.push_str(&format!("%{other:02X}")),
            }
        }
    }
    path
}

pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Path(unit): Path<String>,
    headers: HeaderMap,
) -> Response {
    let families = move |exporter: Arc<dyn super::Exporter>, deadline| async move {
        let families = exporter.scrape_unit(&unit, deadline).await;
        families.map_err(refuse)
    };
    scrape::answer_with("unit", &app, &headers, families).await
}

pub(super) fn refuse(unavailable: Unavailable) -> Response {
    match unavailable {
        Unavailable::Unknown => (
            StatusCode::NOT_FOUND,
            "there is no such unit: see / for those there are\n",
        )
            .into_response(),
        Unavailable::NotNow { why, retry_after } => {
            // One line, whatever is in a kernel's or a plugin's message.
            let lines: Vec<&str> = why.split_whitespace().collect();
            let seconds = retry_after.as_secs_f64().ceil() as u64;
            let text = format!("{}\n", lines.join(" "));
            let headers = [(RETRY_AFTER, HeaderValue::from(seconds.max(1)))];
            (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
        }
    }
}

/// `GET /-/units`
pub(super) async fn list(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 2], String) {
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, app.exporter.units())
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn paths() {
        assert_eq!(path("/metrics", "net/drops"), "/metrics/net/drops");
        assert_eq!(path("/m/", "a b?c#%"), "/m/a%20b%3Fc%23%25");
    }
}
