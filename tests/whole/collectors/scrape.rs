//! Collectors in /metrics.

use std::fs;

use super::server::Server;
use super::{lab, with_lab};
use crate::harness::parser::Format;
use crate::harness::{labels, promtool};

#[test]
fn families_of_all_kinds_are_right_in_both_formats() {
    let host = with_lab("  - name: kinds\n", "").start();
    let text = host.text();
    let kinds = [
        ("kinds_bare", "counter"),
        ("kinds_build_info", "gauge"),
        ("kinds_events", "counter"),
        ("kinds_level_celsius", "gauge"),
        ("kinds_size_bytes", "histogram"),
        ("kinds_time_seconds", "summary"),
    ];
    for (name, kind) in kinds {
        let family = text.family(name);
        assert_eq!(
            family.map(|family| family.kind.as_str()),
            Some(kind),
            "{name}"
        );
    }
    let open = host.open_metrics();
    for (name, kind) in [
        // Without the suffix it is no counter there.
        ("kinds_bare", "unknown"),
        ("kinds_build", "info"),
        ("kinds_events", "counter"),
        ("kinds_time_seconds", "summary"),
    ] {
        let family = open.family(name);
        assert_eq!(
            family.map(|family| family.kind.as_str()),
            Some(kind),
            "{name}"
        );
    }
    let events = host.series("kinds_events_total");
    assert_eq!(events[&labels(&[("kind", "odd \"\\\n")])], 7.0);
    assert_eq!(events[&labels(&[("kind", "even")])], 2e6);
    let sizes = host.series("kinds_size_bytes_bucket");
    for (bound, count) in [("0.5", 1.0), ("1", 3.0), ("1000", 3.0), ("inf", 4.0)] {
        assert_eq!(
            sizes[&labels(&[("disk", "a"), ("le", bound)])],
            count,
            "{bound}"
        );
    }
    assert_eq!(
        host.series("kinds_time_seconds")[&labels(&[("quantile", "0.99")])],
        2.0
    );
    assert_eq!(host.series("kinds_time_seconds_sum")[&labels(&[])], 10.5);
    assert_eq!(host.series("kinds_time_seconds_count")[&labels(&[])], 12.0);
    let own = [("config", "unit"), ("collector", "kinds")];
    assert_eq!(
        text.value("exporter_host_collector_success", &own),
        Some(1.0)
    );
    assert_eq!(
        text.value("exporter_host_collector_samples", &own),
        Some(16.0)
    );
    let seconds = text.value("exporter_host_collector_duration_seconds", &own);
    assert!(seconds.unwrap() < 5.0, "{seconds:?}");
    // Its one complaint is about the counter that is there for it.
    let complaints = promtool(&host.fetch(Format::Text));
    let about_us: Vec<&str> = complaints
        .lines()
        .filter(|line| line.starts_with("kinds_"))
        .collect();
    assert_eq!(
        about_us,
        ["kinds_bare counter metrics should have \"_total\" suffix"]
    );
}

#[test]
fn listed_targets_are_told_apart_and_called_side_by_side() {
    let (one, two) = (Server::start(), Server::start());
    let collectors = format!(
        "  - {{name: asks, plugin: lab, options: {{does: ask}}, targets: ['{}', '{}'], labels: {{site: home}}}}\n  \
           - {{name: other, plugin: lab/lab, options: {{does: ask}}, targets: ['{}'], target_label: target}}\n",
        one.address, two.address, one.address
    );
    let grants = format!("grants: {{tcp: ['{}', '{}']}}\n", one.address, two.address);
    let host = with_lab(&collectors, &grants).start();
    let body = host.text();
    let instance = two.address.to_string();
    let labels = [("site", "home"), ("instance", &*instance), ("said", "1")];
    assert_eq!(body.value("lab_answer", &labels), Some(1.0));
    let target = one.address.to_string();
    assert_eq!(body.value("lab_answer", &[("target", &target)]), Some(1.0));
    assert_eq!(body.series("lab_answer").len(), 3);
    let own = [("collector", "asks"), ("target", &*instance)];
    assert_eq!(
        body.value("exporter_host_collector_success", &own),
        Some(1.0)
    );

    // One that does not answer costs its own series, and the time until the deadline.
    two.shut();
    let slow = host.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "2")]);
    assert_eq!(slow.status, 200);
    two.open();
    assert!(
        slow.text().contains(&format!("instance=\"{target}\"")),
        "{}",
        slow.text()
    );
    assert!(
        !slow
            .text()
            .contains(&format!("lab_answer{{instance=\"{instance}\""))
    );
    let failed = format!(
        "exporter_host_collector_success{{collector=\"asks\",config=\"unit\",target=\"{instance}\"}} 0"
    );
    assert!(slow.text().contains(&failed), "{}", slow.text());
    let why = "exporter_host_collector_failures_total{collector=\"asks\",config=\"unit\",reason=\"timeout\"} 1";
    assert!(slow.text().contains(why), "{}", slow.text());
}

#[test]
fn filters_avoid_the_work() {
    let server = Server::start();
    let collectors = format!(
        "  - {{name: asks, plugin: lab, options: {{does: ask}}, targets: ['{}']}}\n  - name: kinds\n",
        server.address
    );
    let host = with_lab(&collectors, &server.grant())
        .file(
            "other.yaml",
            "collectors: [{name: lab, options: {text: other}}]\n",
        )
        .start();
    let seen = |query: &str| {
        let response = host.get(&format!("/metrics?{query}"), &[]);
        assert_eq!(response.status, 200, "{query}: {}", response.text());
        let text = response.text();
        let has = |start: &str| text.lines().any(|line| line.starts_with(start));
        (
            has("lab_answer{instance="),
            has("kinds_unknown"),
            has("lab_answer{params=\"\",said=\"\",text=\"other\"}"),
        )
    };
    assert_eq!(seen("collect[]=kinds"), (false, true, false));
    assert_eq!(seen("collect[]=other&collect[]=kinds"), (false, true, true));
    assert_eq!(seen("collect[]=other/lab"), (false, false, true));
    assert_eq!(seen("exclude[]=asks"), (false, true, true));
    assert_eq!(seen("exclude[]=unit"), (false, false, true));
    assert_eq!(
        seen("exclude%5B%5D=unit&exclude[]=other"),
        (false, false, false)
    );
    assert_eq!(server.asked(), 0, "what is left out is not asked");
    assert_eq!(seen("collect[]=unit"), (true, true, false));
    assert_eq!(server.asked(), 1);
    for (query, text) in [
        (
            "collect[]=kinds&exclude[]=other",
            "Combined collect and exclude queries are not allowed.\n",
        ),
        (
            "collect[]=kids",
            "missing collector: kids, did you mean `kinds`?\n",
        ),
        ("exclude[]=", "missing collector: \n"),
    ] {
        let response = host.get(&format!("/metrics?{query}"), &[]);
        assert_eq!((response.status, response.text()), (400, text), "{query}");
    }
}

#[test]
fn what_cannot_be_opened_fails_its_unit_with_a_place() {
    let host = with_lab("  - name: kinds\n", "")
        .file("a.yaml", "collectors: [{name: kind}]\n")
        .file(
            "b.yaml",
            "collectors: [{name: lab, options: {colour: red}}]\n",
        )
        .file(
            "c.yaml",
            "collectors: [{name: lab, options: {does: refuse}}, {name: none}]\n",
        )
        .file("d.yaml", "collectors: [{name: lab, probe_path: /own}]\n")
        .file(
            "e.yaml",
            "collectors: [{name: lab, probe_path: /own/cpu}]\n",
        )
        .file("f.yaml", "collectors: [{name: lab, probe_path: /-/cpu}]\n")
        .argument("--web.telemetry-path=/own")
        .start();
    let log = host.log();
    for words in [
        &[
            "config=a",
            "a.yaml:1:14: error: no plugin offers the collector `kind`, did you mean `kinds`?",
        ][..],
        &[
            "config=b",
            "b.yaml:1:14: error: collector `lab`: ",
            "colour",
        ],
        &[
            "config=c",
            "c.yaml:1:14: error: collector `lab`: ",
            "`does` is refused",
            "c.yaml:1:52: error: no plugin offers the collector `none`",
        ],
        &["config=d", "`probe_path` `/own` is the path of the metrics"],
        &[
            "config=e",
            "`probe_path` `/own/cpu` is below the path of the metrics, `/own`",
        ],
        &["`probe_path` `/-/cpu`: this path is a page of the exporter's own"],
    ] {
        crate::harness::host::assert_says(&log, words);
    }
    assert_eq!(
        host.get("/own/cpu", &[]).status,
        404,
        "no unit of this name"
    );
    let body = host.get("/own", &[]);
    assert!(body.text().contains("kinds_unknown 4"), "the others go on");
}

/// The plugin is found by its file's name, too.
#[test]
fn a_plugin_and_a_name_lead_to_one_of_its_collectors() {
    let host = with_lab("  - {name: kinds, plugin: rats}\n", "")
        .file("rats.wasm", fs::read(lab()).unwrap())
        .start();
    assert!(host.fetch(Format::Text).contains("kinds_unknown 4"));
}
