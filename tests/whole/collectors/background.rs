//! `interval`: the background asks, scrapes get the last good answer.

use std::time::Instant;

use super::server::Server;
use super::with_lab;
use crate::harness::eventually;

#[test]
fn a_scrape_gets_the_last_good_answer_and_its_age() {
    let server = Server::start();
    let collectors = format!(
        "  - {{name: asks, plugin: lab, options: {{does: ask}}, targets: ['{}'], interval: 2s}}\n",
        server.address
    );
    let host = with_lab(&collectors, &server.grant()).start();
    // The first scrape waits for the first answer.
    assert_eq!(host.text().series("lab_answer").len(), 1);
    // Nobody needs to scrape for more.
    eventually("the background asks", || {
        (server.asked() >= 3).then_some(())
    });
    let own = [("collector", "asks")];
    let age = host
        .text()
        .value("exporter_host_collector_age_seconds", &own)
        .unwrap();
    assert!((0.0..6.5).contains(&age), "{age}");
    // Scrapes ask nobody.
    let (before, began) = (server.asked(), Instant::now());
    for _ in 0..20 {
        assert_eq!(host.text().series("lab_answer").len(), 1);
    }
    let intervals = began.elapsed().as_secs() / 2;
    let asked = server.asked() - before;
    assert!(
        asked as u64 <= intervals + 2,
        "{asked} in {intervals} intervals"
    );
    // Without answers the last one is served for three intervals, with success 0.
    server.shut();
    let body = eventually("a call fails", || {
        let body = host.text();
        let success = body.value("exporter_host_collector_success", &own);
        (success == Some(0.0)).then_some(body)
    });
    assert_eq!(body.series("lab_answer").len(), 1);
    let body = eventually("the answer is too old", || {
        let body = host.text();
        body.series("lab_answer").is_empty().then_some(body)
    });
    let age = body
        .value("exporter_host_collector_age_seconds", &own)
        .unwrap();
    assert!(age > 6.0, "{age}");
    server.open();
    eventually("there are answers again", || {
        (host.text().series("lab_answer").len() == 1).then_some(())
    });
}

/// What a reload leaves as it was goes on: its answer, and its times.
#[test]
fn a_reload_of_others_keeps_the_answer() {
    let server = Server::start();
    let collectors = |text: &str| {
        format!(
            "collectors:\n  - {{name: asks, plugin: lab, options: {{does: ask}}, targets: ['{}'], interval: 1h}}\n  - {{name: lab, options: {{text: {text}}}}}\n",
            server.address
        )
    };
    let host = with_lab("", &server.grant())
        .file("unit.yaml", collectors("one"))
        .argument("--web.enable-lifecycle")
        .start();
    assert_eq!(host.text().value("lab_answer", &[("said", "1")]), Some(1.0));
    std::fs::write(host.path().join("unit.yaml"), collectors("two")).unwrap();
    let body = eventually("the reload is done", || {
        let body = host.text();
        body.value("lab_answer", &[("text", "two")]).map(|_| body)
    });
    assert_eq!(body.value("lab_answer", &[("said", "1")]), Some(1.0));
    assert_eq!(server.asked(), 1);
}
