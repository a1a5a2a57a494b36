//! `exporter-host plan`: what a reload would do is what it does.

use std::fs;

use serde_json::Value;

use crate::harness::host::{Ended, assert_says};
use crate::harness::objects::object;
use crate::harness::plugin::spoken;
use crate::harness::{Host, Setup, http};

fn simple(name: &str, help: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: {name}, help: {help}, labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}"
    )
}

/// The plan for the directory of this host.
fn plan(host: &Host, arguments: &[&str]) -> Ended {
    plan_of(host.path().to_str().unwrap(), arguments)
}

fn plan_of(directory: &str, arguments: &[&str]) -> Ended {
    let setup = Setup::verb(&["plan", directory]);
    arguments
        .iter()
        .fold(setup, |setup, argument| setup.argument(*argument))
        .run()
}

#[test]
fn of_a_running_host() {
    let spoken_unit = simple("events_total", "Test.").replace(
        "[{name: n, size: 4, decoders: [{name: uint}]}]",
        "[{name: command, size: 16, decoders: [{name: string}]}, {name: n, size: 4, decoders: [{name: uint}, {name: spoken}]}]",
    );
    let host = Setup::new()
        .unit("kept", "maps", &simple("k4_total", "Test."))
        .unit("reshaped", "attach", &simple("seen_total", "Test."))
        .unit("replaced", "maps", &simple("hash_total", "Test."))
        .unit(
            "stopped",
            "maps",
            &simple("lru_total", "Test.")
                .replace("lru_total", "k2_total")
                .replace("size: 4", "size: 2"),
        )
        .unit("plugged", "events", &spoken_unit)
        .unit(
            "broken",
            "maps",
            &simple("k8_total", "Test.").replace("size: 4", "size: 8"),
        )
        .unit(
            "asked",
            "events",
            &format!("lifecycle: on-demand\n{}", simple("target", "Test.")),
        )
        .file("spoken.wasm", fs::read(spoken("first")).unwrap())
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let url = format!("--host=http://{}", host.address());
    let same = plan(&host, &[&url]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (Some(0), "0 to change, 7 to keep, 0 failed\n"),
        "{}",
        same.log
    );

    let write = |name: &str, content: &str| fs::write(host.path().join(name), content).unwrap();
    write("reshaped.yaml", &simple("seen_total", "Other."));
    fs::copy(object("large"), host.path().join("replaced.bpf.o")).unwrap();
    write("replaced.yaml", &simple("large_total", "Test."));
    fs::remove_file(host.path().join("stopped.yaml")).unwrap();
    fs::copy(spoken("second"), host.path().join("spoken.wasm")).unwrap();
    write("broken.yaml", "metrics: [");
    write(
        "asked.yaml",
        &format!("lifecycle: on-demand\n{}", simple("target", "Other.")),
    );
    fs::copy(object("maps"), host.path().join("new.bpf.o")).unwrap();
    write(
        "new.yaml",
        &simple("k2_total", "New.").replace("size: 4", "size: 2"),
    );
    write("objectless.yaml", &simple("k2_total", "New."));

    let planned = plan(&host, &[&url]);
    assert_eq!(planned.code, Some(1), "something is broken");
    let lines = "6 to change, 1 to keep, 2 failed\n\
        asked: wait: the YAML has changed; the next start takes it\n\
        new: start: it does not run\n\
        plugged: reshape: the plugin spoken has changed\n\
        replaced: replace: the object has changed\n\
        reshaped: reshape: the YAML has changed\n\
        stopped: stop: its YAML is gone\n\
        broken: failed: ";
    assert!(planned.stdout.starts_with(lines), "{}", planned.stdout);
    assert_says(&planned.stdout, &["broken: failed:", "broken.yaml:"]);
    assert_says(
        &planned.stdout,
        &["objectless: failed:", "objectless.bpf.o"],
    );

    let json = plan(&host, &[&url, "--format=json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    // And the reload does just that.
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    let done: Vec<&str> = response.text().lines().skip(1).collect();
    for unit in json["units"].as_array().unwrap() {
        let (name, action) = (
            unit["name"].as_str().unwrap(),
            unit["action"].as_str().unwrap(),
        );
        let line = format!("{name}: {action}");
        assert_eq!(
            done.contains(&line.as_str()),
            action != "keep",
            "{line}: {done:#?}"
        );
        if action != "keep" {
            assert_says(
                &host.log(),
                &[
                    &format!("config={name}"),
                    &format!("plan: {action}: "),
                    unit["why"].as_str().unwrap(),
                ],
            );
        }
    }
    assert_eq!(json["failed"].as_array().unwrap().len(), 2);
    for failed in ["broken: failed:", "objectless: failed:"] {
        assert!(
            done.iter().any(|line| line.starts_with(failed)),
            "{done:#?}"
        );
    }
}

#[test]
fn of_an_empty_host() {
    let setup = Setup::new()
        .unit("a", "maps", &simple("k4_total", "Test."))
        .unit(
            "b",
            "events",
            &format!("lifecycle: on-demand\n{}", simple("target", "Test.")),
        );
    let planned = plan_of(setup.path().to_str().unwrap(), &[]);
    assert_eq!(planned.code, Some(0), "{}", planned.log);
    let wanted = "2 to change, 0 to keep, 0 failed\na: start: it does not run\nb: wait: it starts when it is asked for\n";
    assert_eq!(planned.stdout, wanted);
}

#[test]
fn who_does_not_answer_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    for (url, words) in [
        ("http://127.0.0.1:1", "127.0.0.1:1"),
        (
            "https://localhost",
            "expected a URL such as `http://127.0.0.1:9435`",
        ),
    ] {
        let planned = plan_of(path, &[&format!("--host={url}")]);
        assert_eq!(planned.code, Some(1));
        assert!(planned.stdout.contains(words), "{}", planned.stdout);
    }
}
