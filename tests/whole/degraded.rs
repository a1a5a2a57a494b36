//! A unit of which not all runs: it is served, and says so.

use std::fs;

use crate::harness::event::{fire, watch_me};
use crate::harness::host::assert_says;
use crate::harness::objects::object;
use crate::harness::{Host, Setup, http, names, series, states};

const METRICS: &str = "metrics: {counters: [{name: ran_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}\n";
const CALLS: &str = "metrics: {counters: [{name: calls_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}\n";
const TYPO: &str = "section `tp_bf/sched_switch` is of a kind that neither libbpf nor exporter-host knows, did you mean `tp_btf`?";
/// The size of one label is not the key's.
const ONE_WRONG: &str = "metrics: {counters: [\
     {name: hash_total, help: h, labels: [{name: n, size: 4, decoders: [{name: uint}]}]}, \
     {name: k4_total, help: h, labels: [{name: n, size: 2, decoders: [{name: uint}]}]}]}\n";

fn unit(object: &str, yaml: &str) -> Setup {
    Setup::new()
        .unit("unit", object, yaml)
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
}

/// Attached, failed, disabled.
fn programs(host: &Host) -> [f64; 3] {
    let body = host.text();
    ["attached", "failed", "disabled"].map(|state| {
        let of = [("config", "unit"), ("state", state)];
        body.value("exporter_host_unit_programs", &of).unwrap()
    })
}

fn state(host: &Host) -> &'static str {
    states(&host.text())["unit"]
}

/// The page and `/-/units` say so; gives the page.
fn says_degraded(host: &Host, cause: &str) -> String {
    assert_eq!(state(host), "degraded");
    let page = host.get("/", &[]).text().to_owned();
    let words = format!("<td class=\"degraded\">degraded ({cause})</td>");
    assert!(page.contains(&words), "{page}");
    let units: serde_json::Value = serde_json::from_str(host.get("/-/units", &[]).text()).unwrap();
    assert_eq!(units[0]["state"], "degraded");
    assert_eq!(units[0]["degraded"], cause);
    assert_says(
        &host.log(),
        &["level=warn", "unit degraded", &format!("by={cause}")],
    );
    // It is in service all the same.
    assert_eq!(host.get("/-/ready", &[]).status, 200);
    let of = [("config", "unit")];
    assert_eq!(host.text().value(names::LOAD_SUCCESSFUL, &of), Some(1.0));
    page
}

fn check(object: &str, yaml: &str, more: &[&str]) -> Option<i32> {
    let setup = Setup::new().unit("unit", object, yaml);
    let setup = setup.argument("--config.check");
    let arguments = more.iter();
    let ended = arguments
        .fold(setup, |setup, argument| setup.argument(*argument))
        .run();
    eprintln!("{}", ended.log);
    ended.code
}

#[test]
fn a_typo_in_a_section_degrades_its_unit() {
    let host = unit("section-typo", METRICS).start();
    watch_me(&host);
    fire(3, 2);
    assert_eq!(
        host.series("ebpf_exporter_ran_total"),
        series("n", &[("1", 2.0)])
    );
    let page = says_degraded(&host, "config");
    assert!(page.contains("program for_nothing: "), "{page}");
    assert!(page.contains(TYPO), "{page}");
    assert!(!page.contains("tried again in"), "{page}");
    assert_eq!(programs(&host), [1.0, 1.0, 0.0]);
    let checked = Setup::verb(&["check", host.path().to_str().unwrap()]).run();
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    let message = format!("the program for_nothing cannot be attached: {TYPO}");
    assert_says(&checked.stdout, &["error: ", &message]);
}

#[test]
fn a_program_that_this_kernel_does_not_take_degrades_its_unit() {
    for object in ["programs-refused", "programs-no-target", "programs"] {
        let host = unit(object, METRICS).start();
        says_degraded(&host, "kernel");
        let disabled = f64::from(object == "programs");
        assert_eq!(programs(&host), [1.0, 1.0, disabled], "{object}");
    }
}

#[test]
fn a_metric_that_is_left_out_degrades_its_unit() {
    let host = unit("maps", ONE_WRONG).start();
    let page = says_degraded(&host, "config");
    assert!(page.contains("a metric is left out: "), "{page}");
    assert_eq!(programs(&host), [0.0; 3]);
}

#[test]
fn programs_that_are_off_or_called_by_others_degrade_nothing() {
    let never = "programs: {reads_anything: {enabled: never}}\n";
    for (object, yaml) in [
        ("programs-refused", &*format!("{never}{METRICS}")),
        ("tail", CALLS),
    ] {
        let host = unit(object, yaml).start();
        assert_eq!(state(&host), "running", "{object}");
        assert_eq!(programs(&host), [1.0, 0.0, 1.0], "{object}");
        let units = host.get("/-/units", &[]).text().to_owned();
        assert!(units.contains("\"degraded\": null"), "{units}");
        assert!(!host.log().contains("degraded"), "{}", host.log());
        host.stop();
        assert_eq!(check(object, yaml, &["--config.strict"]), Some(0));
    }
}

#[test]
fn a_check_fails_for_a_config_and_for_a_kernel_if_it_is_strict() {
    let strict: &[&str] = &["--config.strict"];
    for (object, yaml, plain, with_strict) in [
        ("section-typo", METRICS, 1, 1),
        ("maps", ONE_WRONG, 1, 1),
        ("programs-refused", METRICS, 0, 1),
        ("programs-no-target", METRICS, 0, 1),
    ] {
        assert_eq!(check(object, yaml, &[]), Some(plain), "{object}");
        assert_eq!(check(object, yaml, strict), Some(with_strict), "{object}");
    }
}

#[test]
fn a_reload_refuses_an_error_of_config_that_is_new() {
    let reload = |host: &Host, with: &str| {
        fs::copy(object(with), host.path().join("unit.bpf.o")).unwrap();
        let answer = http::request(host.address(), "POST", "/-/reload", &[]);
        (answer.status, answer.text().to_owned())
    };
    let host = unit("programs-no-target", METRICS).start();
    watch_me(&host);
    fire(3, 1);
    // Its program of that name did not run before, but could on another kernel.
    let (status, answer) = reload(&host, "section-typo");
    assert_ne!(status, 200, "{answer}");
    let why = format!("program for_nothing cannot be attached: {TYPO}");
    assert!(answer.contains(&why), "{answer}");
    fire(3, 1);
    assert_eq!(
        host.series("ebpf_exporter_ran_total"),
        series("n", &[("1", 2.0)])
    );
    let of = [("config", "unit")];
    assert_eq!(host.text().value(names::LOAD_SUCCESSFUL, &of), Some(0.0));
    let page = host.get("/", &[]).text().to_owned();
    assert!(page.contains("degraded (kernel)"), "{page}");
    assert!(page.contains("keeping the previous version"), "{page}");
    // The same file comes to nothing else another time.
    assert!(!page.contains("tried again in"), "{page}");
    host.stop();

    // What it had before it may keep, and be mended.
    let host = unit("section-typo", METRICS).start();
    says_degraded(&host, "config");
    let (status, answer) = reload(&host, "programs-no-target");
    assert_eq!(status, 200, "{answer}");
    says_degraded(&host, "kernel");
}
