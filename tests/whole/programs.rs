//! `programs`: which of an object's programs a unit has, and which it cannot do without.

use std::fs;

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::{Host, Setup, http, names};

const METRICS: &str = "metrics: {counters: [{name: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}\n";

fn setup(programs: &str) -> Setup {
    Setup::new()
        .unit(
            "unit",
            "programs",
            &format!("programs: {programs}\n{METRICS}"),
        )
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
}

fn loaded(host: &Host) -> Vec<String> {
    let info = host.text().series(names::PROGRAM_INFO);
    let mut programs: Vec<String> = info.keys().map(|of| of["program"].clone()).collect();
    programs.sort();
    programs
}

fn ran(host: &Host) -> (f64, f64) {
    let body = host.text();
    let of = |n: &str| body.value("ebpf_exporter_ran_total", &[("n", n)]);
    (of("1").unwrap_or(0.0), of("2").unwrap_or(0.0))
}

fn rewrite(host: &Host, programs: &str) -> String {
    let yaml = format!("programs: {programs}\n{METRICS}");
    fs::write(host.path().join("unit.yaml"), yaml).unwrap();
    let response = http::request(host.address(), "POST", "/-/reload", &[]);
    response.text().to_owned()
}

#[test]
fn programs_are_turned_off_and_on() {
    let host = setup(
        "{works: {enabled: never}, unattachable: {enabled: never}, off: {enabled: required}}",
    )
    .start();
    watch_me(&host);
    fire(3, 2);
    assert_eq!(loaded(&host), ["off"]);
    assert_eq!(ran(&host), (0.0, 2.0));
    // Nobody misses what is never wanted.
    assert!(!host.log().contains("not attached"), "{}", host.log());

    // As the object has it: another version, whose counts go on.
    let answer = rewrite(&host, "{unattachable: {enabled: never}}");
    assert!(answer.contains("unit: replace"), "{answer}");
    fire(3, 1);
    assert_eq!(loaded(&host), ["works"]);
    assert_eq!(ran(&host), (1.0, 2.0));
    // `auto` and nothing are the same.
    let answer = rewrite(
        &host,
        "{unattachable: {enabled: never}, works: {enabled: auto}}",
    );
    assert!(answer.contains("unit: reshape"), "{answer}");
}

#[test]
fn a_unit_fails_without_a_required_program() {
    let host = setup("{works: {enabled: required}}").start();
    watch_me(&host);
    fire(3, 1);
    assert_eq!(ran(&host), (1.0, 0.0));
    // The version before goes on.
    let answer = rewrite(&host, "{unattachable: {enabled: required}}");
    let why = "the required program unattachable is not attached: ";
    assert!(answer.contains(why), "{answer}");
    fire(3, 1);
    assert_eq!(ran(&host), (2.0, 0.0));
    assert!(host.get("/", &[]).text().contains(why));

    let ended = setup("{unattachable: {enabled: required}}").run();
    assert_eq!(ended.code, Some(1));
    assert_says(&ended.log, &["unit failed: ", why]);
}

#[test]
fn a_program_that_the_verifier_refuses_may_be_left_out() {
    let of = |programs: &str| {
        Setup::new().unit(
            "unit",
            "programs-refused",
            &format!("programs: {programs}\n{METRICS}"),
        )
    };
    let ended = of("{reads_anything: {enabled: required}}").run();
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert_says(&ended.log, &["unit failed", "reads_anything"]);
    let host = of("{reads_anything: {enabled: never}}").start();
    watch_me(&host);
    fire(3, 1);
    assert_eq!(ran(&host), (1.0, 0.0));
}

/// The verifier refuses it, or the kernel does not have what it is for.
#[test]
fn a_program_that_is_not_loaded_costs_that_program_alone() {
    for (object, program) in [
        ("programs-refused", "reads_anything"),
        ("programs-no-target", "for_nothing"),
    ] {
        let host = Setup::new().unit("unit", object, METRICS).start();
        watch_me(&host);
        fire(3, 1);
        assert_eq!(ran(&host), (1.0, 0.0));
        assert_eq!(loaded(&host), ["works"]);
        let words = ["not attached", program, "libbpf says"];
        assert_says(&host.log(), &words);
        let page = host.get("/", &[]);
        assert_says(page.text(), &[&format!("program {program}: ")]);
        // No later attempt with the same file comes to anything else.
        assert!(!page.text().contains("tried again in"), "{}", page.text());
        host.stop();
        let strict = Setup::new().unit("unit", object, METRICS);
        let ended = strict.argument("--config.strict").run();
        assert_eq!(ended.code, Some(1), "{}", ended.log);
    }
}

/// Versions follow each other while the same program is left out of each.
#[test]
fn reloads_beside_a_program_that_is_left_out() {
    let host = Setup::new()
        .unit("unit", "programs-refused", METRICS)
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    watch_me(&host);
    fire(3, 1);
    assert_eq!(ran(&host), (1.0, 0.0));
    let left_out = "program reads_anything: ";
    for (turn, programs) in [
        (2.0, "{works: {enabled: required}}"),
        (3.0, "{works: {enabled: auto}}"),
        (4.0, "{reads_anything: {enabled: never}}"),
    ] {
        let answer = rewrite(&host, programs);
        assert!(answer.contains("unit: re"), "{answer}");
        fire(3, 1);
        assert_eq!(ran(&host), (turn, 0.0), "{answer}");
        assert_eq!(loaded(&host), ["works"]);
        let is_said = host.get("/", &[]).text().contains(left_out);
        assert_eq!(is_said, !programs.contains("never"), "{programs}");
    }
    // What is refused becomes required: the version before goes on.
    let answer = rewrite(&host, "{reads_anything: {enabled: required}}");
    assert!(answer.contains("reads_anything"), "{answer}");
    fire(3, 1);
    assert_eq!(ran(&host), (5.0, 0.0));
}

#[test]
fn names_are_checked_without_a_kernel() {
    let setup = setup("{work: {enabled: never}, other: {enabled: auto}}");
    let checked = Setup::verb(&["check", setup.path().to_str().unwrap()]).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert_says(
        &checked.stdout,
        &[
            "unit.yaml:1:12: error: ",
            "has no program `work`, did you mean `works`?",
        ],
    );
    assert_says(
        &checked.stdout,
        &[
            "unit.yaml:1:36: error: ",
            "has no program `other`: it has `works`, `off`, `unattachable`",
        ],
    );
}

#[test]
fn debug_shows_what_libbpf_and_the_verifier_say() {
    let metrics = METRICS.replace("ran_total", "refused_total");
    let run = |debug: &[&str]| {
        let setup = Setup::new().unit("unit", "refused", &metrics);
        let setup = setup.argument("--config.check");
        debug
            .iter()
            .fold(setup, |setup, argument| setup.argument(*argument))
            .run()
    };
    let ended = run(&["--debug"]);
    assert_eq!(ended.code, Some(1));
    for words in [
        &["level=debug", "loading object"][..],
        &["level=debug", "BEGIN PROG LOAD LOG"],
        // The verifier's first and last lines.
        &["level=debug", "0: R1=ctx()"],
        &["level=debug", "processed ", "insns"],
    ] {
        assert_says(&ended.log, words);
    }
    assert!(!run(&[]).log.contains("BEGIN PROG LOAD LOG"));
}
