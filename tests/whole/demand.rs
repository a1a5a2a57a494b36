//! Units on demand: started by who asks for them, stopped when nobody does, all of it after the
//! capabilities have been dropped.

use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use crate::capabilities::only_bpf_and_perfmon;
use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::objects::object;
use crate::harness::parser::Format;
use crate::harness::{Body, Host, Setup, eventually, http, names, states};

/// Of one second: what the stop of a unit may be late, and the machine busy.
const EXACT: Duration = Duration::from_secs(1);

/// Always has a series, whatever has happened: the map is an array.
fn demanded(more: &str, help: &str) -> String {
    format!(
        "lifecycle: on-demand\n{more}\nmetrics:\n  gauges: [{{name: target, help: {help}, labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]\n  \
        counters: [{{name: events_total, help: Events., labels: [{{name: command, size: 16, decoders: [{{name: string}}]}}, \
        {{name: argument, size: 4, decoders: [{{name: uint}}]}}]}}]\n"
    )
}

const SERIES: &str = "ebpf_exporter_target{n=\"0\"}";
const PATH: &str = "/metrics/sub/asked";

fn neighbour() -> Setup {
    Setup::new().unit(
        "neighbour",
        "maps",
        "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}",
    )
}

fn setup(more: &str) -> Setup {
    neighbour().unit("sub/asked", "events", &demanded(more, "First."))
}

fn state(host: &Host) -> String {
    states(&host.text())["sub/asked"].to_owned()
}

fn get(host: &Host) -> String {
    let response = host.get(PATH, &[]);
    assert_eq!(response.status, 200, "{}\n{}", response.text(), host.log());
    only_bpf_and_perfmon(host);
    response.text().to_owned()
}

/// The events with argument 3 in this body.
fn events(body: &str) -> Option<f64> {
    Body::parse(Format::Text, body).value("ebpf_exporter_events_total", &[("argument", "3")])
}

fn programs(host: &Host) -> usize {
    let info = host.text().series(names::PROGRAM_INFO);
    info.keys()
        .filter(|labels| labels["config"] == "sub/asked")
        .count()
}

fn is_scraped(host: &Host) -> bool {
    host.fetch(Format::Text).contains(SERIES)
}

#[test]
fn the_first_request_starts_it_and_has_its_series() {
    let host = setup("keepalive: 2s").start();
    assert_eq!(
        (state(&host).as_str(), programs(&host), is_scraped(&host)),
        ("stopped", 0, false)
    );
    let page = host.get("/", &[]);
    assert!(
        page.text().contains("href=\"/metrics/sub/asked\""),
        "{}",
        page.text()
    );
    assert!(
        page.text().contains("stopped, on demand"),
        "{}",
        page.text()
    );
    assert_says(&host.log(), &["sub/asked", "waits"]);

    let mut lines = host.log_from_now();
    let body = get(&host);
    let ended = Instant::now();
    Body::parse(Format::Text, &body);
    assert!(body.contains(SERIES), "{body}");
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        assert!(
            line.starts_with("ebpf_exporter_target")
                || line.starts_with("ebpf_exporter_events_total"),
            "{line}"
        );
    }
    // While it runs it is everybody's, which does not prolong its life.
    assert_eq!(
        (state(&host).as_str(), programs(&host), is_scraped(&host)),
        ("running", 1, true)
    );
    watch_me(&host);
    fire(3, 2);
    while ended.elapsed() < Duration::from_millis(1500) {
        assert!(is_scraped(&host));
        thread::sleep(Duration::from_millis(50));
    }
    lines.next(&["sub/asked", "unit stopped"]);
    let after = ended.elapsed();
    eprintln!("keepalive 2 s: stopped after {after:?}");
    assert!(
        after >= Duration::from_secs(2) - Duration::from_millis(100),
        "{after:?}"
    );
    assert!(after <= Duration::from_secs(2) + EXACT, "{after:?}");
    eventually("it is stopped", || {
        (state(&host) == "stopped").then_some(())
    });
    assert_eq!((programs(&host), is_scraped(&host)), (0, false));
    assert!(
        !host
            .fetch(Format::Text)
            .contains("exporter_host_map_entries{config=\"sub/asked\"")
    );
    // Another life, with counts of its own.
    let body = get(&host);
    assert!(
        body.contains(SERIES) && !body.contains("argument=\"3\""),
        "{body}"
    );
    only_bpf_and_perfmon(&host);
}

#[test]
fn every_way_to_ask() {
    let host = setup("").start();
    let open_metrics = host.get(PATH, &[("Accept", Format::OpenMetrics.accept())]);
    assert_eq!(open_metrics.status, 200);
    Body::parse(Format::OpenMetrics, open_metrics.text());
    let compressed = host.get(PATH, &[("Accept-Encoding", "gzip")]);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    let head = http::request(host.address(), "HEAD", PATH, &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(http::request(host.address(), "POST", PATH, &[]).status, 405);
    // A unit that always runs has a page of its own too.
    host.map("k4_total").set(&[7, 0, 0, 0], 1);
    let neighbour = host.get("/metrics/neighbour", &[]);
    assert!(
        neighbour
            .text()
            .contains("ebpf_exporter_k4_total{n=\"7\"} 1\n"),
        "{}",
        neighbour.text()
    );
    assert!(!neighbour.text().contains("exporter_host_") && !neighbour.text().contains(SERIES));
    for unknown in [
        "/metrics/asked",
        "/metrics/sub",
        "/metrics/nothing",
        "/metrics/sub/asked/x",
    ] {
        assert_eq!(host.get(unknown, &[]).status, 404, "{unknown}");
    }
    // 0 is the default: for ever.
    assert_eq!(state(&host), "running");
    let body = host.text();
    assert_eq!(
        body.value(
            "exporter_host_http_requests_total",
            &[("handler", "unit"), ("code", "404")]
        ),
        Some(4.0)
    );
}

#[test]
fn many_at_once_start_it_once() {
    let host = setup("").argument("--keepalive=1h").start();
    let mut lines = host.log_from_now();
    thread::scope(|threads| {
        let asking: Vec<_> = (0..12).map(|_| threads.spawn(|| get(&host))).collect();
        for asked in asking {
            assert!(asked.join().unwrap().contains(SERIES));
        }
    });
    let starts = lines.rest();
    let starts = starts
        .iter()
        .filter(|line| line.contains("unit running") && line.contains("sub/asked"));
    assert_eq!(starts.count(), 1, "{}", host.log());
    assert_eq!(programs(&host), 1);
}

#[test]
fn clients_that_dawdle_delay_nothing() {
    let host = setup("keepalive: 1s").start();
    let silent: Vec<_> = (0..8).map(|_| http::connect(host.address())).collect();
    let mut half = http::connect(host.address());
    half.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n").as_bytes())
        .unwrap();
    let began = Instant::now();
    get(&host);
    let mut lines = host.log_from_now();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    // One asks and never reads.
    let mut deaf = http::connect(host.address());
    deaf.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .unwrap();
    let asked = Instant::now();
    lines.next(&["sub/asked", "unit stopped"]);
    let after = asked.elapsed();
    eprintln!("keepalive 1 s beside clients that dawdle: stopped after {after:?}");
    assert!(after <= Duration::from_secs(1) + EXACT, "{after:?}");
    drop((silent, half, deaf));
}

#[test]
fn requests_keep_it_alive() {
    let host = setup("keepalive: 1s").argument("--keepalive=1h").start();
    let mut lines = host.log_from_now();
    get(&host);
    watch_me(&host);
    for round in 1..=6 {
        fire(3, 1);
        thread::sleep(Duration::from_millis(500));
        let body = get(&host);
        assert_eq!(events(&body), Some(f64::from(round)), "{body}");
    }
    assert!(
        !lines
            .rest()
            .iter()
            .any(|line| line.contains("unit stopped")),
        "{}",
        host.log()
    );
    lines.next(&["sub/asked", "unit stopped"]);
}

#[test]
fn who_cannot_wait_is_told_when_to_come_back() {
    let host = setup("").start();
    let impatient = [("X-Prometheus-Scrape-Timeout-Seconds", "0.0001")];
    let response = host.get(PATH, &impatient);
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.text().lines().count(), 1);
    assert!(response.text().contains("sub/asked"), "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    // The start goes on.
    eventually("it runs", || (state(&host) == "running").then_some(()));
    assert!(get(&host).contains(SERIES));
}

#[test]
fn a_start_that_fails_says_why_and_the_next_one_may_succeed() {
    let yaml = "lifecycle: on-demand\nmetrics: {counters: [{name: refused_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
    let host = neighbour().unit("sub/asked", "refused", yaml).start();
    let response = host.get(PATH, &[]);
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.text().lines().count(), 1, "{}", response.text());
    assert!(
        response.text().contains("cannot be started") && response.text().contains("refused_total")
            || response.text().contains("reads_anything"),
        "{}",
        response.text()
    );
    assert_eq!(state(&host), "failed");
    assert!(host.get("/", &[]).text().contains("failed, on demand"));
    // The reason also where everybody asks at once, and nobody starts it more often than once a
    // second.
    let mut lines = host.log_from_now();
    for _ in 0..20 {
        assert_eq!(host.get(PATH, &[]).status, 503);
    }
    let failures = lines
        .rest()
        .iter()
        .filter(|line| line.contains("unit failed"))
        .count();
    assert!(failures <= 10, "{failures}");
    // Another object: no reload is needed for what does not run.
    fs::copy(object("events"), host.path().join("sub/asked.bpf.o")).unwrap();
    fs::write(host.path().join("sub/asked.yaml"), demanded("", "Mended.")).unwrap();
    eventually("the mended version answers", || {
        let response = host.get(PATH, &[]);
        (response.status == 200 && response.text().contains("Mended.")).then_some(())
    });
    only_bpf_and_perfmon(&host);
}

fn reload(host: &Host, wanted: &str) {
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(
        response.text().contains(wanted),
        "{wanted}: {}",
        response.text()
    );
    only_bpf_and_perfmon(host);
}

#[test]
fn a_reload_is_taken_at_the_next_start() {
    let host = setup("")
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let write = |yaml: &str| fs::write(host.path().join("sub/asked.yaml"), yaml).unwrap();
    reload(&host, "0 changed, 2 kept, 0 failed");
    write(&demanded("keepalive: 1h", "Second."));
    // The log is read beside the answers: its lines may come later.
    let mut planned = host.log_from_now();
    reload(&host, "\nsub/asked: wait\n");
    planned.next(&["sub/asked", "plan: wait: the YAML has changed"]);
    assert_eq!((state(&host).as_str(), programs(&host)), ("stopped", 0));
    // What cannot be read changes nothing.
    write("metrics: [");
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    assert_eq!(response.status, 500);
    assert_eq!(state(&host), "stopped");
    assert!(get(&host).contains("Second."));
    write(&demanded("keepalive: 1h", "Second."));
    reload(&host, "0 changed, 2 kept");
    // While it runs it is a unit like any other.
    watch_me(&host);
    fire(3, 2);
    write(&demanded("keepalive: 1s", "Third."));
    reload(&host, "\nsub/asked: reshape\n");
    let body = get(&host);
    assert!(
        body.contains("Third.") && events(&body) == Some(2.0),
        "{body}"
    );
    let mut lines = host.log_from_now();
    lines.next(&["sub/asked", "unit stopped"]);
    // On demand no more, and again.
    write(&demanded("", "Always.").replace("on-demand", "autostart"));
    eventually("it is stopped", || {
        (state(&host) == "stopped").then_some(())
    });
    reload(&host, "\nsub/asked: start\n");
    assert!(is_scraped(&host));
    write(&demanded("keepalive: 1s", "Again."));
    let mut lines = host.log_from_now();
    reload(&host, "\nsub/asked: reshape\n");
    lines.next(&["sub/asked", "unit stopped"]);
    fs::remove_file(host.path().join("sub/asked.yaml")).unwrap();
    eventually("it is stopped", || {
        (state(&host) == "stopped").then_some(())
    });
    reload(&host, "\nsub/asked: stop\n");
    assert_eq!(host.get(PATH, &[]).status, 404);
}

/// As stap-exporter has it: the name says it.
#[test]
fn the_name_may_say_autostart() {
    let host = neighbour()
        .unit("my-autostart-1", "events", &demanded("", "Named."))
        .start();
    assert!(is_scraped(&host));
    assert_says(&host.log(), &["my-autostart-1.yaml:1:12", "wins"]);
}

/// A directory with nothing else in it is no mistake.
#[test]
fn all_may_be_on_demand_and_a_check_tries_them_all() {
    let host = Setup::new()
        .unit("sub/asked", "events", &demanded("", "Only."))
        .start();
    assert!(get(&host).contains(SERIES));
    let ended = Setup::new()
        .unit("asked", "refused", "lifecycle: on-demand\nmetrics: {counters: [{name: refused_total, help: T., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}")
        .own_listener()
        .argument("--config.check")
        .run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
}
