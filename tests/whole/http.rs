//! The pages, and what clients do to them.

use std::io::Read;
use std::thread;

use flate2::read::GzDecoder;

use crate::harness::maps::number;
use crate::harness::parser::Format;
use crate::harness::{Body, Host, Setup, http, series};

const YAML: &str = "metrics: {counters: [{name: large_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

fn host() -> Host {
    let host = Host::start("large", YAML);
    host.map("large_total").set(&number(1), 2);
    host
}

#[test]
fn pages() {
    let host = host();
    let landing = host.get("/", &[]);
    assert_eq!(landing.status, 200);
    assert!(
        landing
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    assert!(
        landing.text().contains("href=\"/metrics\"") || landing.text().contains("href=\"metrics\""),
        "{}",
        landing.text()
    );
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(host.get(path, &[]).status, 200, "{path}");
    }
    for path in [
        "/nothing",
        "/metrics/",
        "/metricsx",
        "/-/",
        "/maps",
        "/debug/pprof/",
        "/..%2f..%2fetc/passwd",
    ] {
        assert_eq!(host.get(path, &[]).status, 404, "{path}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let host = host();
    for path in ["/metrics", "/", "/-/healthy", "/-/ready"] {
        let head = http::request(host.address(), "HEAD", path, &[]);
        let get = host.get(path, &[]);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
    }
}

#[test]
fn other_methods_are_not_allowed() {
    let host = host();
    for path in ["/metrics", "/", "/-/healthy"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let response = http::request(host.address(), method, path, &[]);
            assert_eq!(response.status, 405, "{method} {path}");
            let allow = response
                .header("allow")
                .unwrap_or_else(|| panic!("{method} {path} says what is allowed"));
            assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
        }
    }
}

#[test]
fn the_telemetry_path_can_be_elsewhere() {
    let host = Setup::new()
        .unit("unit", "large", YAML)
        .argument("--web.telemetry-path=/elsewhere/metrics")
        .start();
    assert_eq!(host.get("/elsewhere/metrics", &[]).status, 200);
    assert_eq!(host.get("/metrics", &[]).status, 404);
    assert!(host.get("/", &[]).text().contains("/elsewhere/metrics"));
}

/// Before anything is loaded, and not by a panic of a host that has lost its privileges.
#[test]
fn the_telemetry_path_is_no_other_page() {
    for path in ["/", "/probe", "/maps", "/-/healthy", "/-/reload", "/probe/"] {
        let ended = Setup::new()
            .unit("unit", "large", YAML)
            .argument(format!("--web.telemetry-path={path}"))
            .run();
        assert_eq!(ended.code, Some(2), "{path}: {}", ended.log);
        let value = format!("invalid value '{path}' for '--web.telemetry-path");
        ended.says(&[&value, "this path is a page of the exporter's own"]);
    }
}

/// Which format an Accept header gets.
fn negotiated(host: &Host, accept: &str) -> Format {
    let response = host.get("/metrics", &[("Accept", accept)]);
    assert_eq!(response.status, 200, "{accept}");
    let kind = response.header("content-type").unwrap();
    let format = if kind.starts_with("application/openmetrics-text; version=") {
        Format::OpenMetrics
    } else {
        assert!(
            kind.starts_with("text/plain; version=0.0.4; charset=utf-8"),
            "{accept}: {kind}"
        );
        Format::Text
    };
    Body::parse(format, response.text());
    format
}

#[test]
fn the_format_is_negotiated() {
    use Format::{OpenMetrics, Text};
    let host = host();
    for (accept, format) in [
        ("", Text),
        ("*/*", Text),
        ("text/plain", Text),
        ("text/plain;version=0.0.4", Text),
        ("application/openmetrics-text", OpenMetrics),
        ("application/openmetrics-text;version=1.0.0", OpenMetrics),
        (
            "application/openmetrics-text; version=\"1.0.0\"; charset=utf-8",
            OpenMetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.8",
            Text,
        ),
        ("application/openmetrics-text;q=0,*/*", Text),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Text,
        ),
        ("application/json", Text),
        (";;;,,,q=;version", Text),
        // Prometheus 2 and 3, as they ask by default.
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OpenMetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics,
        ),
    ] {
        assert_eq!(negotiated(&host, accept), format, "{accept:?}");
    }
    let without = http::raw(
        host.address(),
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    assert!(
        without
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
}

/// The text of a body, by its Content-Encoding.
fn unpacked(response: &http::Response) -> String {
    let body = response.body.as_slice();
    match response.header("content-encoding") {
        None => response.text().to_owned(),
        Some("gzip") => {
            let mut text = String::new();
            GzDecoder::new(body).read_to_string(&mut text).unwrap();
            text
        }
        Some("zstd") => String::from_utf8(zstd::decode_all(body).unwrap()).unwrap(),
        Some(other) => panic!("{other}"),
    }
}

/// The series that don't change from scrape to scrape, announced as they are.
fn of_the_unit(text: &str) -> Vec<&str> {
    let ours = |line: &&str| line.contains("ebpf_exporter_large_total");
    text.lines().filter(ours).collect()
}

#[test]
fn bodies_are_compressed_for_those_who_take_it() {
    let host = Host::start("large", YAML);
    host.map("large_total")
        .set_many((0..10_000).map(|key| (key, 1)));
    let plain = host.fetch(Format::Text);
    let wanted = of_the_unit(&plain);
    assert_eq!(wanted.len(), 2 + 10_000);
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("deflate, gzip;q=0.5", Some("gzip")),
        ("zstd, gzip", Some("gzip")),
        ("gzip;q=0", None),
        ("identity", None),
        ("*", None),
        ("identity;q=0, *", Some("gzip")),
        ("zstd", Some("zstd")),
        ("zstd;q=0", None),
        ("gzip;q=0.5, zstd", Some("zstd")),
        ("br", None),
        ("", None),
    ] {
        let response = host.get("/metrics", &[("Accept-Encoding", accept)]);
        assert_eq!(response.header("content-encoding"), coding, "{accept:?}");
        assert_eq!(response.header("vary"), Some("Accept, Accept-Encoding"));
        let text = unpacked(&response);
        if coding.is_some() {
            assert!(response.body.len() * 4 < text.len(), "{accept:?}");
        }
        assert!(of_the_unit(&text) == wanted, "{accept:?}");
        Body::parse(Format::Text, &text);
    }
    let page = host.get("/", &[("Accept-Encoding", "zstd")]);
    assert_eq!(page.header("content-encoding"), None);
}

#[test]
fn compressed_bodies_are_whole_while_others_are_given_up() {
    let host = Host::start("large", YAML);
    host.map("large_total")
        .set_many((0..10_000).map(|key| (key, 1)));
    let plain = host.fetch(Format::Text);
    let wanted = of_the_unit(&plain);
    thread::scope(|scope| {
        for coding in ["zstd", "gzip", "zstd", "identity"] {
            let (host, wanted) = (&host, &wanted);
            scope.spawn(move || {
                for _ in 0..5 {
                    let response = host.get("/metrics", &[("Accept-Encoding", coding)]);
                    assert!(of_the_unit(&unpacked(&response)) == *wanted, "{coding}");
                }
            });
            scope.spawn(move || {
                for _ in 0..20 {
                    let mut stream = http::connect(host.address());
                    let request = format!(
                        "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n\r\n"
                    );
                    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
                    // The head and a little of the body.
                    stream.read_exact(&mut [0; 400]).unwrap();
                }
            });
        }
    });
    host.stop();
}

#[test]
fn several_requests_on_one_connection() {
    let host = host();
    let requests = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stream = http::connect(host.address());
    std::io::Write::write_all(&mut stream, requests).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answer}");
}

#[test]
fn requests_that_are_none_are_refused() {
    let host = host();
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
    for request in [
        &b"\r\n\r\n\r\n"[..],
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        long.as_bytes(),
        path.as_bytes(),
    ] {
        let mut stream = http::connect(host.address());
        let _sent = std::io::Write::write_all(&mut stream, request);
        stream
            .shutdown(std::net::Shutdown::Write)
            .unwrap_or_default();
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(
        host.series("ebpf_exporter_large_total"),
        series("n", &[("1", 2.0)]),
        "it serves on"
    );
}

#[test]
fn slow_clients_are_shown_the_door_and_delay_nobody() {
    let host = host();
    // Headers that never end.
    let mut slow: Vec<_> = (0..20).map(|_| http::connect(host.address())).collect();
    for stream in &mut slow {
        std::io::Write::write_all(stream, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    }
    assert_eq!(
        host.series("ebpf_exporter_large_total"),
        series("n", &[("1", 2.0)])
    );
    for stream in &mut slow {
        let mut answer = Vec::new();
        // The client's own patience is a minute: Ok or a reset means that the host has closed the
        // connection.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "the host closes a connection that says nothing"
            );
        }
    }
}

#[test]
fn clients_that_do_not_read_delay_nobody() {
    let host = Host::start("large", YAML);
    host.map("large_total")
        .set_many((0..10_000).map(|key| (key, 1)));
    let mut deaf: Vec<_> = (0..5).map(|_| http::connect(host.address())).collect();
    for stream in &mut deaf {
        std::io::Write::write_all(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
                .repeat(20)
                .as_bytes(),
        )
        .unwrap();
    }
    for _ in 0..3 {
        assert_eq!(
            host.text().series("ebpf_exporter_large_total").len(),
            10_000
        );
    }
    host.stop();
}

#[test]
fn more_requests_than_allowed_are_told_to_come_back() {
    let host = Setup::new()
        .unit("unit", "large", YAML)
        .argument("--web.max-requests=1")
        .start();
    host.map("large_total")
        .set_many((0..10_000).map(|key| (key, 1)));
    let address = host.address();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    (0..20)
                        .map(|_| http::request(address, "GET", "/metrics", &[]).status)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    assert!(
        statuses.iter().all(|status| [200, 503].contains(status)),
        "{statuses:?}"
    );
    assert!(
        statuses.contains(&200) && statuses.contains(&503),
        "{statuses:?}"
    );
    assert_eq!(host.get("/metrics", &[]).status, 200, "and it is over then");
}

#[test]
fn the_scrape_timeout_may_be_anything() {
    let host = host();
    for timeout in ["10", "0.001", "0", "-1", "NaN", "1e400", "soon", ""] {
        let response = host.get(
            "/metrics",
            &[("X-Prometheus-Scrape-Timeout-Seconds", timeout)],
        );
        assert_eq!(response.status, 200, "{timeout:?}: {}", response.text());
    }
}

#[test]
fn many_scrapes_at_a_time_are_all_whole() {
    let host = Host::start("large", YAML);
    host.map("large_total")
        .set_many((0..1000).map(|key| (key, 1)));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let body = host.fetch(Format::OpenMetrics);
                    assert_eq!(body.matches("ebpf_exporter_large_total{").count(), 1000);
                    assert!(body.ends_with("# EOF\n"));
                }
            });
        }
    });
}

#[test]
fn maps_are_shown_to_those_who_debug() {
    let host = Setup::new()
        .unit("unit", "large", YAML)
        .argument("--debug")
        .start();
    host.map("large_total").set(&number(7), 4711);
    let response = host.get("/maps", &[]);
    assert_eq!(response.status, 200);
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let text = response.text();
    for word in ["unit", "large_total", "4711"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}

#[test]
fn families_are_sorted_and_announced() {
    let host = host();
    let text = host.fetch(Format::Text);
    let body = Body::parse(Format::Text, &text);
    let announced: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    assert!(announced.is_sorted(), "{announced:?}");
    assert_eq!(
        body.families.len(),
        announced.len(),
        "every family has a type"
    );
    for family in &body.families {
        assert!(
            !family.help.is_empty() && family.kind != "unknown",
            "{family:?}"
        );
    }
}
