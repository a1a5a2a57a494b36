//! `/probe` and `probe_path`.

use std::thread;
use std::time::{Duration, Instant};

use super::server::Server;
use super::with_lab;
use crate::harness::parser::{Body, Format};
use crate::harness::{Host, eventually, http, states};

fn asks(server: &Server) -> Host {
    let collectors = "  - {name: asks, plugin: lab, options: {does: ask, text: hello, api_token: ''}, probe_path: /lab}\n  - name: kinds\n  - {name: hidden, plugin: lab, mode: scrape}\n";
    let collectors = collectors.replace(", api_token: ''", "");
    with_lab(&collectors, &server.grant()).start()
}

#[test]
fn a_probe_is_about_one_target() {
    let server = Server::start();
    let host = asks(&server);
    assert_eq!(server.asked(), 0);
    for (number, path) in [
        (
            1,
            format!("/probe?module=asks&target={}&a=b", server.address),
        ),
        (2, format!("/lab?target={}&a=b", server.address)),
        (
            3,
            format!("/probe?module=unit/asks&target={}&a=b", server.address),
        ),
    ] {
        let response = host.get(&path, &[]);
        assert_eq!(response.status, 200, "{}", response.text());
        let body = Body::parse(Format::Text, response.text());
        assert_eq!(body.value("probe_success", &[]), Some(1.0));
        assert!(body.value("probe_duration_seconds", &[]).unwrap() > 0.0);
        let number = number.to_string();
        let labels = [("params", "a=b"), ("said", &*number), ("text", "hello")];
        assert_eq!(body.value("lab_answer", &labels), Some(1.0));
        assert_eq!(
            body.samples().count(),
            3,
            "nothing else: {}",
            response.text()
        );
    }
    // It is not in a scrape, and a probe of what needs no target is one.
    assert!(host.text().series("lab_answer").len() == 1, "hidden's only");
    assert_eq!(server.asked(), 3);
    let kinds = host.get(
        "/probe?module=kinds",
        &[("Accept", Format::OpenMetrics.accept())],
    );
    let kinds = Body::parse(Format::OpenMetrics, kinds.text());
    assert_eq!(kinds.value("kinds_unknown", &[]), Some(4.0));
    let head = http::request(host.address(), "HEAD", "/probe?module=kinds", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for path in ["/probe?module=kinds", "/lab?target=x"] {
        assert_eq!(
            http::request(host.address(), "POST", path, &[]).status,
            405,
            "{path}"
        );
    }
    let landing = host.get("/", &[]);
    assert!(
        landing.text().contains("<form action=\"/lab\">"),
        "{}",
        landing.text()
    );
}

#[test]
fn what_cannot_be_meant_says_why() {
    let server = Server::start();
    let host = asks(&server);
    for (path, status, text) in [
        ("/probe", 400, "Module parameter is missing\n"),
        (
            "/probe?module=ask",
            400,
            "Unknown module \"ask\", did you mean `asks`?\n",
        ),
        (
            "/probe?module=hidden",
            400,
            "Module \"hidden\" is not for probes: it says `mode: scrape`\n",
        ),
        ("/probe?module=asks", 400, "Target parameter is missing\n"),
        ("/lab", 400, "Target parameter is missing\n"),
        ("/lab2?target=x", 404, "404 page not found\n"),
    ] {
        let response = host.get(path, &[]);
        assert_eq!((response.status, response.text()), (status, text), "{path}");
    }
    let refused = host.get("/lab?target=127.0.0.1:1", &[]);
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().starts_with("denied: "), "{}", refused.text());
    assert!(refused.text().contains("127.0.0.1:1"), "{}", refused.text());
}

#[test]
fn a_silent_target_fails_at_the_deadline() {
    let server = Server::start();
    server.shut();
    let host = asks(&server);
    let started = Instant::now();
    let path = format!("/lab?target={}", server.address);
    let response = host.get(&path, &[("X-Prometheus-Scrape-Timeout-Seconds", "2")]);
    let took = started.elapsed();
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        took > Duration::from_millis(1000) && took < Duration::from_secs(8),
        "{took:?}"
    );
    let body = Body::parse(Format::Text, response.text());
    assert_eq!(body.value("probe_success", &[]), Some(0.0));
    assert_eq!(body.samples().count(), 2);
    server.open();
}

#[test]
fn debug_tells_the_log_the_result_and_the_config() {
    let server = Server::start();
    let host = asks(&server);
    let path = format!("/lab?target={}&debug=true", server.address);
    let response = host.get(&path, &[]);
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    for part in [
        "level=debug msg=\"asked about Some(",
        "level=info msg=\"Probe succeeded\"\n",
        "Metrics that would have been returned:\n",
        "\nprobe_success 1\n",
        "Module configuration:\nmode: probe\nname: asks\noptions:\n  does: ask\n",
    ] {
        assert!(
            response.text().contains(part),
            "{part}:\n{}",
            response.text()
        );
    }
    let refused = host.get("/lab?target=127.0.0.1:1&debug=true", &[]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("level=error msg=\"denied: "),
        "{}",
        refused.text()
    );
}

#[test]
fn probes_of_one_target_at_once_are_one_call() {
    let server = Server::start();
    server.shut();
    let host = asks(&server);
    let path = format!("/lab?target={}", server.address);
    let ask = |path: String| {
        let address = host.address();
        thread::spawn(move || http::request(address, "GET", &path, &[]))
    };
    let same: Vec<_> = (0..8).map(|_| ask(path.clone())).collect();
    let other = ask(format!("{path}&other=1"));
    eventually("both calls are on their way", || {
        (server.asked() == 2).then_some(())
    });
    // All are in flight by now, as far as one can tell from outside.
    eventually("all are asked", || {
        let body = host.text();
        let flying = body.value("exporter_host_http_requests_in_flight", &[]);
        (flying == Some(10.0)).then_some(())
    });
    server.open();
    for answer in same {
        let answer = answer.join().unwrap();
        assert!(
            answer.text().contains("probe_success 1"),
            "{}",
            answer.text()
        );
    }
    assert!(other.join().unwrap().text().contains("params=\"other=1\""));
    assert_eq!(server.asked(), 2);
}

#[test]
fn a_probe_starts_its_unit_and_keeps_it_up() {
    let server = Server::start();
    let asleep = "lifecycle: on-demand\nkeepalive: 1s\ncollectors:\n";
    let host = with_lab("  - {name: kinds, plugin: lab}\n", &server.grant())
        .file(
            "sleeper.yaml",
            format!("{asleep}  - {{name: asks, plugin: lab, options: {{does: ask, text: hello}}, mode: probe, probe_path: /lab}}\n"),
        )
        .file("broken.yaml", format!("{asleep}  - {{name: nowhere}}\n"))
        .start();
    let state = |unit: &str| states(&host.text())[unit];
    let stopped = || {
        eventually("nobody asks", || {
            (state("sleeper") == "stopped").then_some(())
        })
    };
    let landing = host.get("/", &[]);
    assert!(landing.text().contains("<form action=\"/lab\">"));
    for (number, path) in [
        (1, "/probe?module=asks&target="),
        (2, "/probe?module=sleeper/asks&target="),
        (3, "/lab?target="),
    ] {
        stopped();
        let mut log = host.log_from_now();
        let response = host.get(&format!("{path}{}", server.address), &[]);
        assert_eq!(response.status, 200, "{}", response.text());
        let body = Body::parse(Format::Text, response.text());
        assert_eq!(body.value("probe_success", &[]), Some(1.0));
        assert_eq!(server.asked(), number);
        assert_eq!(state("sleeper"), "running");
        let begun = Instant::now();
        // Each one begins its time anew.
        while begun.elapsed() < Duration::from_millis(1500) {
            let again = host.get("/lab?target=", &[]);
            assert_eq!(again.status, 400, "{}", again.text());
            assert_eq!(state("sleeper"), "running");
            thread::sleep(Duration::from_millis(100));
        }
        log.next(&["sleeper", "unit stopped"]);
    }
    let broken = host.get("/probe?module=nowhere", &[]);
    assert_eq!(broken.status, 503, "{}", broken.text());
    assert!(broken.header("retry-after").is_some());
    assert!(
        broken
            .text()
            .starts_with("the unit broken cannot be started: "),
        "{}",
        broken.text()
    );
    let unknown = host.get("/probe?module=other", &[]);
    assert_eq!(unknown.status, 400, "{}", unknown.text());
}
