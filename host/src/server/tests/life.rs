//! From the first message to the end, and units that are there all the time.

use std::io::Write as _;
use std::time::Instant;

use super::*;
use crate::config::Diagnostic;
use crate::link::{FileAnswer, FileWish, ProcessFigures};
use crate::plugin::ForeignFiles as _;
use crate::server::files::LoadersFiles;
use crate::web::ReloadAnswer;

#[test]
fn a_unit_of_collectors_is_served() {
    let mut loader = Loader::new();
    loader.send_plugins();
    assert!(loader.serve(unit("u", 1), &[]).is_empty());
    loader.say(&ToServer::Figures(ProcessFigures {
        threads: Some(1000),
        ..ProcessFigures::default()
    }));
    loader.say(&ToServer::Reloaded {
        id: None,
        successful: true,
        last_success: Some(5.0),
        text: String::new(),
    });
    // Whoever comes before is answered once everything is there.
    let early = loader.asked("GET", "/metrics");
    loader.say_ready();
    let body = early.join().unwrap();
    for line in [
        "exporter_host_collector_success{collector=\"c\",config=\"u\"} 1",
        "exporter_host_unit_state{config=\"u\"} 1",
        "exporter_host_config_last_reload_success_timestamp_seconds 5",
        "exporter_host_process_threads{half=\"loader\"} 1000",
        "exporter_host_hardening{feature=\"split\"} 0",
    ] {
        assert!(body.contains(line), "{line}\n{body}");
    }
    let units = loader.get("/-/units");
    assert!(
        units.contains("\"state\": \"running\"") && units.contains("\"test\": "),
        "{units}"
    );
    assert!(loader.get("/metrics/u").starts_with("HTTP/1.1 200"));
    assert!(loader.get("/metrics/v").starts_with("HTTP/1.1 404"));
    assert!(loader.get("/probe?module=c").contains("probe_success 1"));

    loader.say(&ToServer::Withdraw {
        unit: "u".to_owned(),
    });
    let mut failed = status("u", UnitPhase::Failed);
    failed.on_demand = None;
    failed.diagnostic = Some("no such map".to_owned());
    loader.say(&ToServer::Status(Box::new(failed)));
    loader.say(&ToServer::Explain {
        generation: 9,
        config: Box::new(unit("v", 9).config),
        decoders: Vec::new(),
        diagnostics: Vec::new(),
    });
    assert!(matches!(
        loader.next(),
        ToLoader::Opened { generation: 9, .. }
    ));
    let answer = loader.get("/metrics/u");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("the unit u does not run: no such map"),
        "{answer}"
    );
    assert!(loader.get("/").contains("no such map"));
    assert!(loader.get("/probe?module=c").contains("Unknown module"));

    loader.say(&ToServer::Forget {
        unit: "u".to_owned(),
    });
    loader.say(&ToServer::Stop);
    loader.server.join().unwrap().unwrap();
}

#[test]
fn what_does_not_fit_the_plugins_is_said_at_its_place() {
    let mut loader = Loader::ready();
    let mut wrong = unit("u", 2);
    wrong.config.collectors.push(collector("d", "test/nothing"));
    let config = wrong.config.clone();
    loader.send(&ToServer::Open(Box::new(wrong)), &[]);
    let opened = |loader: &mut Loader| match loader.next() {
        ToLoader::Opened { outcome, .. } => outcome.unwrap_err().why,
        other => panic!("{other:?}"),
    };
    let why = opened(&mut loader);
    assert!(
        why.starts_with("u.yaml:3:5: error: no plugin offers the collector"),
        "{why}"
    );
    let mut before = at();
    before.line = 1;
    loader.say(&ToServer::Explain {
        generation: 3,
        config: Box::new(config),
        decoders: Vec::new(),
        diagnostics: vec![Diagnostic::error(before, "first")],
    });
    let why = opened(&mut loader);
    assert!(
        why.starts_with("u.yaml:1:5: error: first; u.yaml:3:5: error: no plugin"),
        "{why}"
    );
    // A descriptor that should be there.
    let mut lacking = unit("u", 4);
    lacking.programs.push(crate::link::ServedProgram {
        name: "p".to_owned(),
        id: Some(1),
    });
    loader.send(&ToServer::Open(Box::new(lacking)), &[]);
    let why = opened(&mut loader);
    assert!(why.contains("descriptors"), "{why}");
    // Nothing of it is served.
    loader.say(&ToServer::Serve {
        unit: "u".to_owned(),
        generation: 4,
    });
    loader.nothing_but_a_pong();
}

#[test]
fn an_opened_version_disturbs_nothing_until_it_is_served() {
    let mut loader = Loader::ready();
    loader.serve(unit("u", 1), &[]);
    let mut next = unit("u", 2);
    next.config.collectors = vec![collector("d", "test/c")];
    for generation in [2, 3] {
        next.generation = generation;
        loader.send(&ToServer::Open(Box::new(next.clone())), &[]);
        assert!(matches!(
            loader.next(),
            ToLoader::Opened { outcome: Ok(_), .. }
        ));
    }
    let unit = || "u".to_owned();
    // One that has been overtaken.
    loader.say(&ToServer::Serve {
        unit: unit(),
        generation: 2,
    });
    assert!(loader.get("/probe?module=c").contains("probe_success 1"));
    assert!(loader.get("/probe?module=d").contains("Unknown module"));
    loader.say(&ToServer::Discard {
        unit: unit(),
        generation: 3,
    });
    loader.say(&ToServer::Serve {
        unit: unit(),
        generation: 3,
    });
    next.generation = 4;
    assert!(loader.get("/probe?module=d").contains("Unknown module"));
    loader.serve(next, &[]);
    loader.say(&ToServer::Explain {
        generation: 5,
        config: Box::new(super::unit("v", 5).config),
        decoders: Vec::new(),
        diagnostics: Vec::new(),
    });
    assert!(matches!(
        loader.next(),
        ToLoader::Opened { generation: 5, .. }
    ));
    assert!(loader.get("/probe?module=d").contains("probe_success 1"));
    assert!(loader.get("/probe?module=c").contains("Unknown module"));
}

#[test]
fn the_end_of_the_loader_is_the_servers() {
    let loader = Loader::ready();
    // A client that has said nothing keeps nobody.
    let idle = TcpStream::connect(loader.address).unwrap();
    let began = Instant::now();
    loader.leave().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    drop(idle);
    // Before it has said anything, too.
    let (own, others) = pair().unwrap();
    drop(own);
    let Ok(Command::Serve(settings)) =
        cli::parse(["exporter-host", "--config.dir=/nowhere"].map(Into::into))
    else {
        panic!("these flags are for serving");
    };
    serve(&settings, others, Process::Server, Vec::new()).unwrap();
}

#[test]
fn messages_that_make_no_sense_are_left_out() {
    let mut loader = Loader::ready();
    loader.send(&"nonsense", &[]);
    loader.send(&json!({ "Serve": { "unit": 5 } }), &[]);
    loader.send(&json!({ "Teleport": {} }), &[]);
    for message in [
        ToServer::Welcome {
            predecessors: 0,
            listeners: 3,
            kallsyms: true,
            pci_ids: true,
            features: Vec::new(),
        },
        ToServer::Serve {
            unit: "x".to_owned(),
            generation: 1,
        },
        ToServer::Discard {
            unit: "x".to_owned(),
            generation: 1,
        },
        ToServer::Withdraw {
            unit: "y".to_owned(),
        },
        ToServer::Forget {
            unit: "z".to_owned(),
        },
        ToServer::PerfBuffer {
            unit: "x".to_owned(),
            map: "m".to_owned(),
            metric: 99,
            cpu: 3,
        },
        ToServer::File {
            id: 77,
            answer: Ok(FileAnswer::Opened),
        },
    ] {
        loader.say(&message);
    }
    loader.nothing_but_a_pong();
    assert!(loader.get("/-/healthy").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_reload_is_the_loaders() {
    let mut loader = Loader::ready();
    for (successful, text, code) in [(true, "1 changed\n", 200), (false, "u: failed\n", 500)] {
        let asked = loader.asked("POST", "/-/reload");
        let ToLoader::Reload { id } = loader.next() else {
            panic!("expected the request for a reload");
        };
        loader.say(&ToServer::Reloaded {
            id: Some(id),
            successful,
            last_success: None,
            text: text.to_owned(),
        });
        let answer = asked.join().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{answer}");
        assert!(answer.ends_with(text), "{answer}");
    }
}

#[test]
fn nobody_waits_for_a_reload_for_ever() {
    let (own, others) = pair().unwrap();
    let asking = crate::server::loader::Loader::new(Sender::direct(own));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let answer = runtime.block_on(asking.reload(Duration::from_millis(20)));
    let ReloadAnswer::NotYet(why) = answer else {
        panic!("expected no answer, found {answer:?}");
    };
    assert!(why.contains("takes longer than 0 s"), "{why}");
    let asked = Receiver::new(others).receive::<ToLoader>().unwrap();
    assert!(matches!(asked.unwrap().message, ToLoader::Reload { .. }));
}

#[test]
fn files_that_only_the_loader_may_open_are_asked_of_it() {
    let (own, others) = pair().unwrap();
    let sender = Sender::direct(own);
    let asking = Arc::new(crate::server::loader::Loader::new(sender));
    let mut question = Receiver::new(others);
    let files = LoadersFiles(Arc::downgrade(&asking));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answering = Arc::clone(&asking);
    let answer = std::thread::spawn(move || {
        let Some(asked) = question.receive::<ToLoader>().unwrap() else {
            panic!("expected a question");
        };
        let ToLoader::File { id, path, wish } = asked.message else {
            panic!("expected the question for a file");
        };
        assert_eq!((path.as_str(), wish), ("/secret", FileWish::Read));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        answering.file_found(id, Ok((FileAnswer::Opened, Some(file.into()))));
        answering.disconnect();
    });
    let file = runtime.block_on(files.open("/secret")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 4);
    answer.join().unwrap();
    let refused = runtime.block_on(files.list("/secret"));
    assert_eq!(refused, Err(crate::plugin::ForeignRefusal::Nobody));
}
