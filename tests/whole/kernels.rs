//! `kernel`: units that are not for this kernel are skipped, which is no failure.

use std::fs;

use serde_json::Value;

use crate::harness::host::assert_says;
use crate::harness::maps::number;
use crate::harness::{Host, Setup, eventually, http, names, series, states};

const COUNTER: &str = "metrics: {counters: [{name: seen_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";
const OLD: &str = "kernel: {max: \"3.16\"}\n";
const THIS: &str = "kernel: {min: \"4.18\", requires: [raw_tp, tp_btf]}\n";

fn state(host: &Host, unit: &str) -> String {
    states(&host.text())[unit].to_owned()
}

fn all_is_well(host: &Host, unit: &str) {
    let body = host.text();
    let loaded = body.value(
        "exporter_host_unit_last_load_successful",
        &[("config", unit)],
    );
    assert_eq!(loaded, Some(1.0));
    let reloaded = body.value("exporter_host_config_last_reload_successful", &[]);
    assert_eq!(reloaded, Some(1.0));
}

fn programs(host: &Host, unit: &str) -> usize {
    let info = host.text().series(names::PROGRAM_INFO);
    info.keys().filter(|of| of["config"] == unit).count()
}

fn running_release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.trim_end().to_owned()
}

#[test]
fn a_unit_for_another_kernel_is_skipped_beside_the_others() {
    let host = Setup::new()
        .unit(
            "here",
            "maps",
            &format!("{THIS}{}", COUNTER.replace("seen", "hash")),
        )
        .unit("old", "attach", &format!("{OLD}{COUNTER}"))
        // On demand, and without an object: nobody looks for it.
        .file(
            "asked.yaml",
            format!("lifecycle: on-demand\nkernel: {{min: 4000}}\n{COUNTER}"),
        )
        .argument("--config.strict")
        .start();
    host.map("hash_total").set(&number(1), 5);
    assert_eq!(
        host.series("ebpf_exporter_hash_total"),
        series("n", &[("1", 5.0)])
    );
    let release = running_release();
    let old = format!("it is for Linux up to 3.16, this is {release}");
    let new = format!("it is for Linux 4000 and newer, this is {release}");
    for (unit, why) in [("old", &old), ("asked", &new)] {
        assert_eq!(state(&host, unit), "skipped");
        all_is_well(&host, unit);
        assert_eq!(programs(&host, unit), 0);
        assert_says(
            &host.log(),
            &["level=info", &format!("config={unit}"), "unit skipped", why],
        );
        let page = host.get("/", &[]);
        assert!(page.text().contains("skipped"), "{}", page.text());
        assert!(page.text().contains(why.as_str()), "{}", page.text());
        let own = host.get(&format!("/metrics/{unit}"), &[]);
        assert_eq!(own.status, 503);
        assert!(own.text().contains(why.as_str()), "{}", own.text());
    }
    assert_eq!(state(&host, "here"), "running");
}

#[test]
fn nothing_for_this_kernel_is_no_failure_either() {
    let host = Setup::new()
        .unit("unit", "attach", &format!("{OLD}{COUNTER}"))
        .start();
    assert_eq!(state(&host, "unit"), "skipped");
    all_is_well(&host, "unit");
    let checked = Setup::new()
        .unit("unit", "attach", &format!("{OLD}{COUNTER}"))
        .argument("--config.check")
        .run();
    assert_eq!(checked.code, Some(0), "{}", checked.log);
}

#[test]
fn a_reload_skips_and_starts_as_planned() {
    let host = Setup::new()
        .unit("unit", "attach", COUNTER)
        .argument("--config.watch=off")
        .argument("--web.enable-lifecycle")
        .start();
    let yaml = host.path().join("unit.yaml");
    let step = |content: String, planned: &str, expected: &str| {
        fs::write(&yaml, content).unwrap();
        let url = format!("--host=http://{}", host.address());
        let plan = Setup::verb(&["plan", host.path().to_str().unwrap()])
            .argument(url)
            .run();
        assert_eq!(plan.code, Some(0), "{}", plan.stdout);
        assert!(plan.stdout.contains(planned), "{}", plan.stdout);
        let response = http::request(host.address(), "POST", "/-/reload", &[]);
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(state(&host, "unit"), expected);
        all_is_well(&host, "unit");
    };
    assert!(programs(&host, "unit") > 0);
    let why = format!(
        "unit: skip: it is for Linux up to 3.16, this is {}",
        running_release()
    );
    step(format!("{OLD}{COUNTER}"), &why, "skipped");
    eventually("its programs are gone", || {
        (programs(&host, "unit") == 0).then_some(())
    });
    step(
        format!("{OLD}{COUNTER}"),
        "0 to change, 1 to keep",
        "skipped",
    );
    step(
        format!("{THIS}{COUNTER}"),
        "unit: start: it is for this kernel",
        "running",
    );
    assert!(programs(&host, "unit") > 0);
    // Bounds that this kernel is within are no reason to load anything anew.
    step(
        COUNTER.to_owned(),
        "unit: reshape: the YAML has changed",
        "running",
    );
}

/// `requires` asks what `exporter-host doctor` asks.
#[test]
fn kinds_of_programs_are_there_or_not_as_the_doctor_has_it() {
    let doctor = Setup::verb(&["doctor", "--format=json"]).run();
    let doctor: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let finding = |check: &str| {
        let checks = doctor["checks"].as_array().unwrap();
        let found = checks.iter().find(|one| one["check"] == check).unwrap();
        found["status"] == "ok"
    };
    let kinds = [
        ("fentry", finding("program fentry")),
        ("lsm", finding("program lsm")),
        ("xdp", finding("program xdp")),
        ("kprobe", finding("program kprobe") && finding("kprobes")),
    ];
    let setup = kinds.iter().fold(Setup::new(), |setup, (kind, _)| {
        let yaml = format!("kernel: {{requires: [{kind}]}}\n{COUNTER}");
        setup.unit(kind, "attach", &yaml.replace("seen_total", "target"))
    });
    let host = setup.start();
    for (kind, there) in kinds {
        let expected = if there { "running" } else { "skipped" };
        assert_eq!(state(&host, kind), expected, "{kind}");
        if !there {
            let words = format!("unit skipped: it requires {kind}: ");
            assert_says(&host.log(), &[&format!("config={kind}"), &words]);
        }
    }
}
