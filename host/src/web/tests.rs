//! Real sockets and a made-up exporter.

mod limits;
mod probe;

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::server::{Limits, serve_with};
use super::*;
use crate::exposition::{Family, FamilyMeta, Kind, Number, Sample, Value};
use crate::link::UnitPhase;
use crate::listen::{Address, bind};
use crate::paths::{Location, Methods, PROBE};
use crate::telemetry::{BuildInfo, Telemetry};

/// What a scrape of the fake does.
enum Scrape {
    Answer {
        series: usize,
    },
    Panic,
    Hang,
    Wait {
        begun: Arc<Notify>,
        go_on: Arc<Notify>,
    },
}

struct Fake {
    scrape: Scrape,
    ready: bool,
}

impl Exporter for Fake {
    fn scrape<'a>(
        &'a self,
        _deadline: Instant,
        filter: &'a Filter,
    ) -> BoxFuture<'a, Result<Vec<Family>, String>> {
        Box::pin(async move {
            if let Some(unknown) = filter.collect.first() {
                return Err(format!("missing collector: {unknown}"));
            }
            Ok(match &self.scrape {
                Scrape::Answer { series } => families(*series),
                Scrape::Panic => panic!("as asked"),
                Scrape::Hang => std::future::pending().await,
                Scrape::Wait { begun, go_on } => {
                    begun.notify_one();
                    go_on.notified().await;
                    families(1)
                }
            })
        })
    }

    /// One module, `m`, with a path of its own; it gives what it was asked back.
    fn probe(&self, request: ProbeRequest) -> BoxFuture<'_, Probed> {
        Box::pin(async move {
            let target = request.target.as_deref().unwrap_or_default();
            match &request.module {
                Module::Name(name) if name == "m" => {}
                Module::Path(path) if path == "/p" => {}
                Module::Name(name) => return Probed::Bad(format!("Unknown module {name:?}")),
                Module::Path(_) => return Probed::NoPath,
            }
            if target == "panic" {
                panic!("as asked");
            }
            let refused = match target {
                "refused" => Some(Refused::ByOperator),
                "wrong" => Some(Refused::AsWrong),
                _ => None,
            };
            Probed::Done(ProbeResult {
                families: families(1),
                error: refused.map(|_| "denied: refused is not granted".to_owned()),
                refused,
                log: vec![format!("target={target} params={:?}", request.params)],
                config: "name: m\n".into(),
            })
        })
    }

    fn probes(&self) -> Vec<ProbeView> {
        vec![ProbeView {
            module: "m".into(),
            path: Some("/p".into()),
            needs_target: true,
        }]
    }

    fn scrape_unit<'a>(
        &'a self,
        name: &'a str,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<Family>, Unavailable>> {
        Box::pin(async move {
            match name {
                "a/b" => Ok(self
                    .scrape(deadline, &Filter::default())
                    .await
                    .unwrap_or_default()),
                "c d" => Err(Unavailable::NotNow {
                    why: "no\nsuch map".to_owned(),
                    retry_after: Duration::from_millis(1500),
                }),
                _ => Err(Unavailable::Unknown),
            }
        })
    }

    fn units(&self) -> String {
        "[]".to_owned()
    }

    fn status(&self) -> Vec<UnitStatus> {
        let reasons = vec!["program <b>: \"no such\" & such".to_owned()];
        vec![UnitStatus {
            name: "a/b".into(),
            phase: UnitPhase::Failed,
            reasons,
            on_demand: true,
            next_try: Some(Duration::from_millis(1500)),
        }]
    }

    fn dump_maps(&self) -> String {
        "maps".into()
    }

    fn reload(&self) -> BoxFuture<'_, ReloadAnswer> {
        Box::pin(async { ReloadAnswer::Done("0 changed\n".to_owned()) })
    }

    fn ready(&self) -> Result<(), String> {
        if self.ready {
            return Ok(());
        }
        Err("no unit runs".to_owned())
    }
}

fn families(series: usize) -> Vec<Family> {
    let meta = FamilyMeta {
        name: "x_total".into(),
        help: "X.".into(),
        unit: String::new(),
        kind: Kind::Counter,
    };
    let samples = (0..series).map(|n| {
        Sample::new(
            format!("n=\"{n}\"").into(),
            Value::Number(Number::Unsigned(1_000_000)),
        )
    });
    vec![Family {
        meta: Arc::new(meta),
        samples: samples.collect(),
    }]
}

struct Server {
    port: u16,
    telemetry: Arc<Telemetry>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

const QUICK: Limits = Limits {
    head: Duration::from_millis(200),
    idle: Duration::from_millis(200),
    write_timeout: Duration::from_millis(200),
    drain: Duration::from_secs(2),
};

fn start(scrape: Scrape) -> Server {
    start_with(
        Fake {
            scrape,
            ready: true,
        },
        "/metrics",
        2,
        Duration::from_secs(5),
        true,
    )
}

fn start_with(fake: Fake, path: &str, max: usize, timeout: Duration, debug: bool) -> Server {
    let telemetry = Telemetry::new(BuildInfo::THIS);
    let options = WebOptions {
        telemetry_path: path.to_owned(),
        max_requests: std::num::NonZeroUsize::new(max),
        scrape_timeout: timeout,
        openmetrics_created: false,
        debug,
        lifecycle: debug,
        build: BuildInfo::THIS,
        hardening: Vec::new(),
    };
    let threads = tokio::runtime::Handle::current();
    let router = router(options, Arc::new(fake), Arc::clone(&telemetry), threads);
    let address = Address::Host {
        host: "127.0.0.1".into(),
        port: 0,
    };
    let listeners = bind(&[address], &mut listenfd::ListenFd::empty()).unwrap();
    let port = listeners[0].local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let stopped = async { drop(stopped.await) };
    let task = tokio::spawn(serve_with(listeners, router, stopped, QUICK));
    Server {
        port,
        telemetry,
        stop,
        task,
    }
}

struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(&prefix))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let chunk = &rest[line + 2..];
        if size == 0 {
            return body;
        }
        body.extend(&chunk[..size]);
        rest = &chunk[size + 2..];
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// One request on a connection of its own; `headers` with their line ends.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect().await;
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let mut body = all[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") {
            body = unchunk(&body);
        }
        Answer { head, body }
    }

    /// Stops the server and says how long that took.
    async fn stop(self) -> Duration {
        let begin = Instant::now();
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        begin.elapsed()
    }
}

#[tokio::test]
async fn a_unit_has_a_page_of_its_own() {
    let server = start(Scrape::Answer { series: 2 });
    let answer = server.ask("GET", "/metrics/a/b", "").await;
    assert_eq!(answer.status(), 200);
    assert!(
        answer.text().contains("x_total{n=\"1\"}"),
        "{}",
        answer.text()
    );
    let answer = server.ask("GET", "/metrics/c%20d", "").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.text(), "no such map\n");
    for unknown in [
        "/metrics/",
        "/metrics/x",
        "/metrics/a%2Fb%2F",
        "/metrics//a",
    ] {
        let answer = server.ask("GET", unknown, "").await;
        assert_eq!(answer.status(), 404, "{unknown}");
    }
    let page = server.ask("GET", "/", "").await;
    let page = page.text();
    for part in [
        "href=\"/metrics/a/b\"",
        "failed, on demand",
        "tried again in 2 s",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn pages_and_methods() {
    let server = start(Scrape::Answer { series: 2 });
    let metrics = server.ask("GET", "/metrics", "").await;
    assert_eq!(metrics.status(), 200);
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
    );
    assert_eq!(metrics.header("x-content-type-options"), Some("nosniff"));
    assert!(metrics.text().ends_with("x_total{n=\"1\"} 1e+06\n"));

    let head = server.ask("HEAD", "/metrics", "").await;
    assert_eq!((head.status(), head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        metrics.header("content-length")
    );
    assert_eq!(head.header("content-type"), metrics.header("content-type"));

    let refused = server
        .ask("POST", "/metrics", "content-length: 0\r\n")
        .await;
    assert_eq!(refused.status(), 405);
    assert_eq!(refused.header("allow"), Some("GET,HEAD"));
    assert_eq!(server.ask("GET", "/unknown", "").await.status(), 404);
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status(), 200);
    assert_eq!(server.ask("GET", "/-/ready", "").await.status(), 200);
    assert_eq!(server.ask("GET", "/maps", "").await.text(), "maps");

    let landing = server.ask("GET", "/", "").await;
    assert_eq!(
        landing.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(landing.text().contains("<a href=\"/metrics\">"));
    assert!(
        landing
            .text()
            .contains("program &lt;b&gt;: &quot;no such&quot; &amp; such")
    );

    let own = server.telemetry.families(true);
    let requests = own
        .iter()
        .find(|f| f.meta.name == "exporter_host_http_requests_total")
        .unwrap();
    let counted: Vec<&str> = requests.samples.iter().map(|s| s.labels).collect();
    for labels in [
        "code=\"200\",handler=\"metrics\"",
        "code=\"404\",handler=\"other\"",
        "code=\"405\",handler=\"metrics\"",
    ] {
        assert!(counted.contains(&labels), "{labels} in {counted:?}");
    }
    server.stop().await;
}

/// Each page answers, and counts under its own label, wherever the metrics are.
#[tokio::test]
async fn every_page_is_routed_and_counted() {
    for telemetry_path in ["/m", "/a/b/", "/-", "/probe/m", "/-/ready2"] {
        let fake = Fake {
            scrape: Scrape::Answer { series: 1 },
            ready: true,
        };
        let server = start_with(fake, telemetry_path, 2, Duration::from_secs(5), true);
        for page in crate::paths::served(true, true) {
            let path = match page.location {
                Location::Fixed(path) => path.to_owned(),
                Location::Telemetry => telemetry_path.to_owned(),
                Location::BelowTelemetry => unit::path(telemetry_path, "a/b"),
            };
            let method = match page.methods {
                Methods::Read => "GET",
                Methods::Post => "POST",
            };
            let answer = server.ask(method, &path, "content-length: 0\r\n").await;
            let code = if path == PROBE { 400 } else { 200 };
            assert_eq!(answer.status(), code, "{path}: {}", answer.text());
            let families = server.telemetry.families(true);
            let requests = families
                .iter()
                .find(|family| family.meta.name == "exporter_host_http_requests_total")
                .unwrap();
            let labels = format!("code=\"{code}\",handler=\"{}\"", page.handler);
            assert!(
                requests.samples.iter().any(|s| s.labels == labels),
                "{path}: {labels}"
            );
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn formats_and_compression() {
    let server = start(Scrape::Answer { series: 1000 });
    let accept = "accept: application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2\r\naccept-encoding: gzip\r\n";
    for _ in 0..3 {
        let answer = server.ask("GET", "/metrics", accept).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
        assert_eq!(
            answer.header("content-type"),
            Some(
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            )
        );
        let mut text = String::new();
        flate2::read::GzDecoder::new(answer.body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.starts_with("# HELP x X.\n# TYPE x counter\nx_total{n=\"0\"} 1000000\n"));
        assert!(text.ends_with("# EOF\n"));
    }
    server.stop().await;
}

#[tokio::test]
async fn not_ready_and_no_debug() {
    let fake = Fake {
        scrape: Scrape::Answer { series: 1 },
        ready: false,
    };
    let server = start_with(fake, "/m", 0, Duration::from_secs(1), false);
    assert_eq!(server.ask("GET", "/-/ready", "").await.status(), 503);
    assert_eq!(server.ask("GET", "/maps", "").await.status(), 404);
    assert!(server.ask("GET", "/m", "").await.text().contains("x_total"));
    assert_eq!(server.ask("GET", "/metrics", "").await.status(), 404);
    server.stop().await;
}
