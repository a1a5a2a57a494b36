//! Probes and filters as HTTP has them; the fake's one module is `m`, its path `/p`.

use super::{Scrape, start};

#[tokio::test]
async fn a_probe_has_a_body_of_its_own() {
    let server = start(Scrape::Answer { series: 1 });
    for path in ["/probe?module=m&target=t", "/p?target=t&target=u&x=1"] {
        let answer = server.ask("GET", path, "").await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.text().starts_with("# HELP x_total X.\n"), "{path}");
        let head = server.ask("HEAD", path, "").await;
        assert_eq!((head.status(), head.text()), (200, ""), "{path}");
        let other = server.ask("POST", path, "").await;
        assert_eq!(other.status(), 405, "{path}");
        assert_eq!(other.header("allow"), Some("GET,HEAD"), "{path}");
    }
    let accept = "accept: application/openmetrics-text\r\n";
    let answer = server.ask("GET", "/p?target=t", accept).await;
    assert!(answer.text().ends_with("# EOF\n"));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_says_why() {
    let server = start(Scrape::Answer { series: 1 });
    for (path, status, text) in [
        ("/probe", 400, "Module parameter is missing\n"),
        ("/probe?module=", 400, "Module parameter is missing\n"),
        ("/probe?module=other", 400, "Unknown module \"other\"\n"),
        ("/q?target=t", 404, "404 page not found\n"),
        ("/probe/?module=m", 404, "404 page not found\n"),
        ("/p?target=refused", 403, "denied: refused is not granted\n"),
        ("/p?target=wrong", 400, "denied: refused is not granted\n"),
        ("/metrics?collect[]=x", 400, "missing collector: x\n"),
    ] {
        let answer = server.ask("GET", path, "").await;
        assert_eq!((answer.status(), answer.text()), (status, text), "{path}");
    }
    assert_eq!(server.ask("GET", "/p?target=panic", "").await.status(), 500);
    assert_eq!(server.ask("GET", "/metrics?x=1", "").await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn debug_shows_log_result_and_config() {
    let server = start(Scrape::Answer { series: 1 });
    let answer = server
        .ask("GET", "/probe?module=m&target=t&debug=true&a=1", "")
        .await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        answer.text(),
        "Logs for the probe:\n\
         target=t params=[(\"a\", \"1\")]\n\
         level=info msg=\"Probe succeeded\"\n\n\n\n\
         Metrics that would have been returned:\n\
         # HELP x_total X.\n# TYPE x_total counter\nx_total{n=\"0\"} 1e+06\n\n\n\n\
         Module configuration:\n\
         name: m\n"
    );
    let refused = server.ask("GET", "/p?target=refused&debug=true", "").await;
    assert_eq!(refused.status(), 403);
    let line = "level=error msg=\"denied: refused is not granted\"\n";
    assert!(refused.text().contains(line), "{}", refused.text());
    server.stop().await;
}

#[tokio::test]
async fn the_landing_page_has_a_form_for_each_probe() {
    let server = start(Scrape::Answer { series: 1 });
    let landing = server.ask("GET", "/", "").await;
    let form = "<form action=\"/p\"><input name=\"target\" placeholder=\"target\" required>";
    assert!(landing.text().contains(form), "{}", landing.text());
    server.stop().await;
}
