//! The sidecar grants what the collector reads, all of it and nothing else.

use exporter_guest_sdk::Request;
use exporter_guest_sdk::files::FileProblem;
use exporter_guest_sdk::testing::{FakeHost, collect, open_collector};
use glob::{MatchOptions, Pattern};

use crate::Procfs;
use crate::tests::{machine, process};

/// As the host reads them: `*` stays inside one component.
const STRICT: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

const GROUPS: &str = r#"{"processes": [{"comm": "", "name": "all"}]}"#;

fn granted() -> Vec<Pattern> {
    let sidecar: serde_yaml::Value =
        serde_yaml::from_str(include_str!("../procfs.plugin.yaml")).unwrap();
    let grants = sidecar["grants"].as_mapping().unwrap();
    assert_eq!(grants.len(), 1, "files and nothing else");
    let read = grants["read"].as_sequence().unwrap();
    read.iter()
        .map(|pattern| Pattern::new(pattern.as_str().unwrap()).unwrap())
        .collect()
}

fn run(host: &FakeHost, request: &Request) -> Option<String> {
    let procfs: Procfs = open_collector(GROUPS).unwrap();
    collect(&procfs, host, request).ok()
}

fn with_processes() -> FakeHost {
    let mut host = machine();
    process(&mut host, 10, "first", 100, 200);
    process(&mut host, 11, "second", 100, 200);
    host
}

#[test]
fn each_grant_is_needed() {
    let host = with_processes();
    let whole = run(&host, &Request::default()).unwrap();
    let asked = host.files.asked();
    for pattern in granted() {
        let mut less = with_processes();
        let mut denied = 0;
        for path in &asked {
            if pattern.matches_with(path, STRICT) {
                less.files.fail(path, FileProblem::Denied("no".to_owned()));
                denied += 1;
            }
        }
        assert!(denied > 0, "nothing that is read is granted by {pattern}");
        let text = run(&less, &Request::default()).unwrap();
        assert_ne!(text, whole, "without {pattern}");
    }
}

#[test]
fn nothing_that_is_not_granted_is_asked_for_whatever_the_input() {
    let mut host = with_processes();
    process(&mut host, 12, "../../etc/shadow", 1, 1);
    process(&mut host, 13, "x) (/etc/shadow", 1, 1);
    let devices = "\n\n ../../etc/shadow: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n";
    let files = &mut host.files;
    files
        .add("/proc/1/net/dev", devices)
        .add(
            "/proc/diskstats",
            "8 0 ../../etc/shadow 1 2 3 4 5 6 7 8 9 10 11\n",
        )
        .add("/proc/self/environ", "SECRET=1")
        .add("/proc/12/environ", "SECRET=1")
        .add("/proc/12x/stat", "")
        .add("/etc/shadow", "root");
    let request = Request {
        params: ["path", "read", "file", "pid"]
            .map(|name| (name.to_owned(), "/etc/shadow".to_owned()))
            .to_vec(),
        ..Request::of("/etc/shadow")
    };
    let text = run(&host, &request).unwrap();
    assert!(text.contains(r#"num_procs{groupname="all"} 4"#), "{text}");
    let granted = granted();
    for path in host.files.asked() {
        // Its names are listed as far as grants are about them.
        let is_granted = granted
            .iter()
            .any(|pattern| pattern.matches_with(&path, STRICT));
        assert!(is_granted || path == "/proc", "{path}");
    }
}
