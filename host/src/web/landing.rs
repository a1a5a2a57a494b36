//! The page at `/`: what this is, where the metrics are, how the units do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, X_FRAME_OPTIONS,
};

use super::app::App;
use super::exporter::{ProbeView, UnitStatus};
use super::options::WebOptions;
use super::unit;
use crate::paths::PROBE;
use crate::privileges::Feature;

const STYLE: &str = "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:60em;padding:0 1em}\
table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.2em 1em .2em 0;text-align:left;vertical-align:top}\
.failed{color:#b00020}.degraded{color:#9a5b00}";

pub(super) async fn page(State(app): State<Arc<App>>) -> ([(HeaderName, &'static str); 4], String) {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_FRAME_OPTIONS, "deny"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'",
        ),
    ];
    let (units, probes) = (app.exporter.status(), app.exporter.probes());
    (headers, html(&app.options, &units, &probes))
}

fn html(options: &WebOptions, units: &[UnitStatus], probes: &[ProbeView]) -> String {
    let mut out = String::with_capacity(2048);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<title>exporter-host</title><style>");
    out.push_str(STYLE);
    out.push_str("</style></head><body>\n<h1>exporter-host</h1>\n<p>Prometheus exporter for BPF maps and collectors. Version ");
    escape(&mut out, options.build.version);
    if !options.build.revision.is_empty() {
        out.push_str(", revision ");
        escape(&mut out, options.build.revision);
    }
    out.push_str(".</p>\n<ul>\n");
    for page in options.pages() {
        if let Some(text) = page.link {
            link(&mut out, &options.path(page), text);
        }
    }
    out.push_str("</ul>\n<h2>Units</h2>\n");
    if units.is_empty() {
        out.push_str("<p>None.</p>\n");
    } else {
        out.push_str("<table>\n<tr><th>Unit</th><th>State</th><th>Reason</th></tr>\n");
        for unit in units {
            row(&mut out, unit, &options.telemetry_path);
        }
        out.push_str("</table>\n");
    }
    if !probes.is_empty() {
        out.push_str("<h2>Probes</h2>\n<table>\n<tr><th>Module</th><th>Path</th><th></th></tr>\n");
        for probe in probes {
            probe_row(&mut out, probe);
        }
        out.push_str("</table>\n");
    }
    hardening(&mut out, &options.hardening);
    out.push_str("</body></html>\n");
    out
}

/// What of the hardening is in force. Nothing to show in front of a process that has not been
/// confined.
fn hardening(out: &mut String, features: &[Feature]) {
    if features.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Hardening</h2>\n<table>\n<tr><th>Feature</th><th>Active</th><th>Detail</th></tr>\n",
    );
    for feature in features {
        out.push_str("<tr><td>");
        escape(out, feature.name);
        out.push_str(match (feature.active, feature.failed) {
            (true, _) => "</td><td>yes",
            (false, false) if feature.detail.starts_with("partial") => "</td><td>partial",
            (false, true) => "</td><td class=\"failed\">no",
            (false, false) => "</td><td>no",
        });
        out.push_str("</td><td>");
        escape(out, &feature.detail);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n");
}

fn link(out: &mut String, path: &str, text: &str) {
    out.push_str("<li><a href=\"");
    escape(out, path);
    out.push_str("\">");
    escape(out, path);
    out.push_str("</a> ");
    out.push_str(text);
    out.push_str("</li>\n");
}

fn row(out: &mut String, status: &UnitStatus, telemetry_path: &str) {
    out.push_str("<tr><td><a href=\"");
    escape(out, &unit::path(telemetry_path, &status.name));
    out.push_str("\">");
    escape(out, &status.name);
    out.push_str("</a></td><td class=\"");
    out.push_str(status.phase.as_str());
    out.push_str("\">");
    out.push_str(status.phase.as_str());
    if let Some(cause) = status.phase.cause() {
        out.push_str(&format!(" ({})", cause.as_str()));
    }
    out.push_str(if status.on_demand { ", on demand" } else { "" });
    out.push_str("</td><td>");
    let next = status.next_try.map(|next| {
        let seconds = next.as_secs_f64().ceil();
        format!("tried again in {seconds} s")
    });
    for (index, reason) in status.reasons.iter().chain(&next).enumerate() {
        if index > 0 {
            out.push_str("<br>");
        }
        escape(out, reason);
    }
    out.push_str("</td></tr>\n");
}

/// A form that probes.
fn probe_row(out: &mut String, probe: &ProbeView) {
    out.push_str("<tr><td>");
    escape(out, &probe.module);
    out.push_str("</td><td>");
    escape(out, probe.path.as_deref().unwrap_or(PROBE));
    out.push_str("</td><td><form action=\"");
    escape(out, probe.path.as_deref().unwrap_or(PROBE));
    out.push_str("\">");
    if probe.path.is_none() {
        out.push_str("<input type=\"hidden\" name=\"module\" value=\"");
        escape(out, &probe.module);
        out.push_str("\">");
    }
    out.push_str("<input name=\"target\" placeholder=\"target\"");
    if probe.needs_target {
        out.push_str(" required");
    }
    out.push_str("> <label><input type=\"checkbox\" name=\"debug\" value=\"true\"> debug</label> ");
    out.push_str("<input type=\"submit\" value=\"Probe\"></form></td></tr>\n");
}

/// Safe as text and in double-quoted attributes.
fn escape(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}
