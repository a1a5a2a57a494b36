//! Scrapes that fail, hang or are too many, clients that are slow, and stopping.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::{Fake, Scrape, families, start, start_with};
use crate::exposition::{Number, Value};

#[tokio::test]
async fn a_panicking_scrape_is_a_500_and_a_hanging_one_a_503() {
    let server = start(Scrape::Panic);
    assert_eq!(server.ask("GET", "/metrics", "").await.status(), 500);
    assert_eq!(server.ask("GET", "/-/healthy", "").await.status(), 200);
    server.stop().await;

    let server = start(Scrape::Hang);
    let header = "x-prometheus-scrape-timeout-seconds: 0.1\r\n";
    let answer = server.ask("GET", "/metrics", header).await;
    assert_eq!(
        (answer.status(), answer.text()),
        (503, "The scrape was not done within 0.05 s.\n")
    );
    server.stop().await;
}

#[tokio::test]
async fn scrapes_beyond_the_bound_are_refused() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let scrape = Scrape::Wait {
        begun: Arc::clone(&begun),
        go_on: Arc::clone(&go_on),
    };
    let fake = Fake {
        scrape,
        ready: true,
    };
    let server = Arc::new(start_with(
        fake,
        "/metrics",
        1,
        Duration::from_secs(30),
        false,
    ));
    let first = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.ask("GET", "/metrics", "").await.status() }
    });
    begun.notified().await;
    let refused = server.ask("GET", "/metrics", "").await;
    assert_eq!(refused.status(), 503);
    assert!(
        refused
            .text()
            .starts_with("Limit of concurrent requests reached (1)")
    );
    go_on.notify_one();
    assert_eq!(first.await.unwrap(), 200);
    // Its permit is free again.
    go_on.notify_one();
    assert_eq!(server.ask("GET", "/metrics", "").await.status(), 200);
    Arc::into_inner(server).unwrap().stop().await;
}

/// Far more than a chunk: the same text whole and compressed, and every byte of both counted.
#[tokio::test]
async fn a_large_body_comes_in_chunks() {
    const SERIES: usize = 20_000;
    let server = start(Scrape::Answer { series: SERIES });
    let plain = server.ask("GET", "/metrics", "").await;
    assert_eq!(plain.header("transfer-encoding"), Some("chunked"));
    assert_eq!(plain.text().lines().count(), SERIES + 2);
    let mut wanted = String::new();
    let families = families(SERIES);
    crate::exposition::write(&mut wanted, &families, crate::exposition::Format::Text004);
    assert!(plain.text() == wanted);

    let compressed = server
        .ask("GET", "/metrics", "accept-encoding: gzip\r\n")
        .await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(compressed.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(text == wanted);

    let own = server.telemetry.families(true);
    let sent = own
        .iter()
        .find(|f| f.meta.name == "exporter_host_http_response_bytes_total")
        .unwrap();
    let bytes = Number::Unsigned((plain.body.len() + compressed.body.len()) as u64);
    let counted = sent.samples.clone().into_list();
    assert!(
        counted
            .iter()
            .any(|sample| matches!(sample.value, Value::Number(number) if number == bytes)),
        "{counted:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn silent_and_slow_clients_are_cut() {
    let server = start(Scrape::Answer { series: 200_000 });
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET /metrics HT").await.unwrap();
    let mut end = Vec::new();
    silent.read_to_end(&mut end).await.unwrap();
    assert_eq!(end, b"");
    half.read_to_end(&mut end).await.unwrap();
    assert!(
        end.is_empty() || end.starts_with(b"HTTP/1.1 408"),
        "{end:?}"
    );

    // Asks for megabytes and reads none: both permits for scrapes must be free again in the end.
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        deaf.push(stream);
    }
    loop {
        let answer = server.ask("GET", "/metrics", "").await;
        if answer.status() == 200 {
            assert!(answer.text().ends_with("x_total{n=\"199999\"} 1e+06\n"));
            break;
        }
        assert_eq!(answer.status(), 503);
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn stopping_waits_for_requests_but_not_for_idle_clients() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = start(Scrape::Wait {
        begun: Arc::clone(&begun),
        go_on: Arc::clone(&go_on),
    });
    let mut busy = server.connect().await;
    busy.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    let stopping = tokio::spawn(server.stop());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    go_on.notify_one();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("x_total{n=\"0\"} 1e+06\n"), "{answer}");
    assert!(stopping.await.unwrap() < Duration::from_secs(2));

    // A request that never ends does not hold up the stop.
    let server = start(Scrape::Hang);
    let mut busy = server.connect().await;
    busy.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::task::yield_now().await;
    assert!(server.stop().await < Duration::from_secs(4));
}
