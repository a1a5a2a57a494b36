//! `exporter-host doctor DIR`: which units will not work here.

use std::path::Path;

use crate::harness::Setup;

fn counter(name: &str) -> String {
    format!(
        "metrics: {{counters: [{{name: {name}, help: Test., labels: [{{name: n, size: 4, decoders: [{{name: uint}}]}}]}}]}}\n"
    )
}

#[test]
fn each_unit_is_looked_at() {
    let files = Setup::new()
        .unit("good", "programs", &counter("ran_total"))
        .unit(
            "old",
            "programs",
            &format!("kernel: {{max: \"4.9\"}}\n{}", counter("ran_total")),
        )
        .unit("typo", "typo", &counter("ran_total"))
        .unit("misspelt", "programs", &counter("run_total"))
        .unit("kprobe", "only-kprobe", &counter("kprobe_total"));
    let directory = files.path().to_str().unwrap().to_owned();
    let doctor = Setup::verb(&["doctor", "--format=json", &directory]).run();
    assert_eq!(doctor.code, Some(1));
    let report: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    let why = |name: &str| {
        let mut units = report["units"].as_array().unwrap().iter();
        let unit = units.find(|unit| unit["name"] == name).unwrap();
        assert_eq!(unit["ok"], unit["why"].as_array().unwrap().is_empty());
        unit["why"].to_string()
    };
    assert_eq!(why("good"), "[]");
    assert!(why("old").contains("it is skipped: it is for Linux up to 4.9"));
    let typo = why("typo");
    assert!(typo.contains("program `misspelt` (`tp_btf/sched_swich`): this kernel has no tracepoint `sched_swich`, did you mean `sched_switch`?"), "{typo}");
    assert!(why("misspelt").contains("has no map `run_total`"));
    let kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
    assert_eq!(why("kprobe") == "[]", kprobes, "{}", why("kprobe"));
}

#[test]
fn a_typo_in_a_section_is_said_at_the_start() {
    let ended = Setup::new()
        .unit("typo", "typo", &counter("ran_total"))
        .run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["this kernel has no tracepoint `sched_swich`, did you mean `sched_switch`?"]);
}
