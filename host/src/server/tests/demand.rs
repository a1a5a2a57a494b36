//! Units on demand.

use super::*;

fn says_status(loader: &Loader, status: UnitStatus) {
    loader.say(&ToServer::Status(Box::new(status)));
}

fn expect_start(loader: &mut Loader) {
    let next = loader.next();
    assert!(
        matches!(&next, ToLoader::Start { unit } if unit == "u"),
        "{next:?}"
    );
}

/// Everything that was said has been done.
fn settled(loader: &mut Loader) {
    loader.say(&ToServer::Explain {
        generation: 99,
        config: Box::new(unit("other", 99).config),
        decoders: Vec::new(),
        diagnostics: Vec::new(),
    });
    let next = loader.next();
    assert!(
        matches!(next, ToLoader::Opened { generation: 99, .. }),
        "{next:?}"
    );
}

#[test]
fn requests_wait_for_one_start() {
    let mut loader = Loader::ready();
    says_status(&loader, status("u", UnitPhase::Stopped));
    settled(&mut loader);
    let asked = ["/metrics/u", "/probe?module=c", "/metrics/u"];
    let answers = asked.map(|path| loader.asked("GET", path));
    expect_start(&mut loader);
    // What was under way before is not about this start.
    says_status(&loader, status("u", UnitPhase::Stopped));
    says_status(&loader, status("u", UnitPhase::Starting));
    loader.nothing_but_a_pong();
    loader.serve(unit("u", 1), &[]);
    for answer in answers {
        let answer = answer.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    // Scrapes of everything start nothing.
    says_status(&loader, status("u", UnitPhase::Stopping));
    loader.say(&ToServer::Withdraw {
        unit: "u".to_owned(),
    });
    says_status(&loader, status("u", UnitPhase::Stopped));
    settled(&mut loader);
    assert!(
        loader
            .get("/metrics")
            .contains("exporter_host_unit_state{config=\"u\"} 4")
    );
    assert!(loader.get("/").contains("stopped, on demand"));
    loader.nothing_but_a_pong();
}

#[test]
fn a_start_that_fails_is_everybodys_for_a_second() {
    let mut loader = Loader::ready();
    says_status(&loader, status("u", UnitPhase::Stopped));
    settled(&mut loader);
    let waiting = loader.asked("GET", "/metrics/u");
    expect_start(&mut loader);
    let mut failed = status("u", UnitPhase::Failed);
    failed.diagnostic = Some("no such\nmap".to_owned());
    says_status(&loader, failed);
    let answer = waiting.join().unwrap();
    let again = loader.get("/metrics/u");
    for answer in [answer, again] {
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(
            answer.contains("the unit u cannot be started: no such map"),
            "{answer}"
        );
        assert!(
            answer.to_lowercase().contains("retry-after: 10"),
            "{answer}"
        );
    }
    loader.nothing_but_a_pong();
    std::thread::sleep(Duration::from_millis(1100));
    let waiting = loader.asked("GET", "/metrics/u");
    expect_start(&mut loader);
    loader.say(&ToServer::Forget {
        unit: "u".to_owned(),
    });
    let answer = waiting.join().unwrap();
    assert!(answer.contains("it was removed meanwhile"), "{answer}");
    assert!(loader.get("/metrics/u").starts_with("HTTP/1.1 404"));
}

#[test]
fn who_cannot_wait_is_told_to_come_again() {
    let mut loader = Loader::ready();
    says_status(&loader, status("u", UnitPhase::Stopped));
    settled(&mut loader);
    let mut stream = TcpStream::connect(loader.address).unwrap();
    let request = "GET /metrics/u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
        X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("is being started, which takes longer"),
        "{answer}"
    );
    assert!(
        answer.to_lowercase().contains("retry-after: 1\r"),
        "{answer}"
    );
    expect_start(&mut loader);
    // It goes on, and is not asked for again.
    let waiting = loader.asked("GET", "/metrics/u");
    loader.serve(unit("u", 1), &[]);
    assert!(waiting.join().unwrap().starts_with("HTTP/1.1 200"));
    loader.nothing_but_a_pong();
}

#[test]
fn nobody_asks_is_said_again_and_again() {
    let mut loader = Loader::ready();
    loader.serve(unit("u", 1), &[]);
    let mut running = status("u", UnitPhase::Running);
    running.on_demand.as_mut().unwrap().keepalive = Duration::from_millis(100);
    let since = std::time::Instant::now();
    says_status(&loader, running.clone());
    for _ in 0..2 {
        let next = loader.next();
        assert!(
            matches!(&next, ToLoader::Idle { unit } if unit == "u"),
            "{next:?}"
        );
    }
    assert!(since.elapsed() >= Duration::from_millis(100));
    running.on_demand.as_mut().unwrap().keepalive = Duration::ZERO;
    says_status(&loader, running);
    // One more may have been on its way.
    loader.say(&ToServer::Ping { number: 1 });
    while !matches!(loader.next(), ToLoader::Pong { .. }) {}
    std::thread::sleep(Duration::from_millis(250));
    loader.nothing_but_a_pong();
}
