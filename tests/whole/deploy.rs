//! The files of examples/deploy: that they can be read, and agree with the program and with each
//! other. tests/image.sh builds and runs the image, tests/systemd.sh the unit.

use std::fs;
use std::process::Command;

use serde_yaml::Value;

use crate::harness::Setup;
use crate::harness::host::program;
use crate::harness::objects::{self, repository};

/// What the image's user and the manifests' is called.
const USER: u64 = 65_532;

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn documents(path: &str) -> Vec<Value> {
    text(path)
        .split("\n---\n")
        .map(|document| serde_yaml::from_str(document).unwrap())
        .collect()
}

fn only(path: &str, kind: &str) -> Value {
    let mut found = documents(path);
    found.retain(|document| document["kind"] == kind);
    assert_eq!(found.len(), 1, "{path} has one {kind}");
    found.remove(0)
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_sequence().unwrap().iter();
    list.map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The program takes these arguments: it gets as far as a config directory that is not there.
fn taken(arguments: &[String]) {
    let arguments = arguments.iter().map(|argument| {
        if argument.starts_with("--config.dir") {
            "--config.dir=/nowhere"
        } else {
            argument
        }
    });
    // A check binds no port.
    let output = program().args(arguments).arg("--config.check").output();
    let output = output.unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("/nowhere does not exist"), "{message}");
}

#[test]
fn the_daemon_set_asks_for_the_least() {
    let set = only("examples/deploy/kubernetes/daemonset.yaml", "DaemonSet");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let context = &container["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    assert_eq!(context["runAsUser"], USER);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(words(&context["capabilities"]["drop"]), ["ALL"]);
    assert_eq!(
        words(&context["capabilities"]["add"]),
        ["BPF", "PERFMON", "SETPCAP"]
    );
    assert!(context["privileged"].is_null() && pod["hostNetwork"].is_null());
    assert_eq!(pod["automountServiceAccountToken"], false);
    taken(&words(&container["args"]));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let get = &container[probe]["httpGet"];
        assert_eq!(get["port"], "metrics", "{probe}");
        assert!(
            ["/-/healthy", "/-/ready"].contains(&get["path"].as_str().unwrap()),
            "{probe}"
        );
    }
    // Every mount has its volume, and the ConfigMap is the one that is there.
    let volumes = pod["volumes"].as_sequence().unwrap();
    for mount in container["volumeMounts"].as_sequence().unwrap() {
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]));
        assert_eq!(mount["readOnly"], true);
    }
    let units = only("examples/deploy/kubernetes/configmap.yaml", "ConfigMap");
    let wanted = &volumes[0]["configMap"]["name"];
    assert_eq!(&units["metadata"]["name"], wanted);
    // All of them choose the pods by the labels that they have.
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    let service = only("examples/deploy/kubernetes/service.yaml", "Service");
    assert_eq!(&service["spec"]["selector"], labels);
    let monitor = only("examples/deploy/kubernetes/podmonitor.yaml", "PodMonitor");
    assert_eq!(&monitor["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(
        monitor["spec"]["podMetricsEndpoints"][0]["port"],
        container["ports"][0]["name"]
    );
}

#[test]
fn the_units_of_the_config_map_are_right() {
    let map = only("examples/deploy/kubernetes/configmap.yaml", "ConfigMap");
    let mut setup = Setup::new();
    for (name, unit) in map["data"].as_mapping().unwrap() {
        let (name, unit) = (name.as_str().unwrap(), unit.as_str().unwrap());
        // The image has the objects of the examples.
        let object: Value = serde_yaml::from_str(unit).unwrap();
        let object = object["object"].as_str().unwrap();
        let source = object
            .strip_prefix("/etc/exporter-host/conf.d/")
            .and_then(|file| file.strip_suffix(".bpf.o"))
            .unwrap();
        let source = format!("examples/conf.d/{source}.bpf.c");
        assert!(repository().join(&source).exists(), "{source}");
        // Here they are somewhere else.
        let objects = format!("{}/", objects::all().display());
        setup = setup.file(name, unit.replace("/etc/exporter-host/conf.d/", &objects));
    }
    let output = program()
        .arg("check")
        .arg("--strict")
        .arg(setup.path())
        .output()
        .unwrap();
    let message = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{message}");
}

#[test]
fn the_compose_file_asks_for_the_least() {
    let compose = documents("examples/deploy/compose.yaml").remove(0);
    let service = &compose["services"]["exporter-host"];
    assert_eq!(service["read_only"], true);
    assert_eq!(words(&service["cap_drop"]), ["ALL"]);
    assert_eq!(words(&service["cap_add"]), ["BPF", "PERFMON", "SETPCAP"]);
    assert!(service["privileged"].is_null() && service["user"].is_null());
    taken(&words(&service["command"]));
}

#[test]
fn the_image_is_nobodys_root_and_checks_itself() {
    let dockerfile = text("Dockerfile");
    for line in [
        "FROM scratch",
        "USER 65532:65532",
        "HEALTHCHECK ",
        "ENTRYPOINT [\"/usr/bin/exporter-host\"]",
    ] {
        assert!(
            dockerfile.lines().any(|found| found.starts_with(line)),
            "{line}"
        );
    }
    let command = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("CMD "))
        .unwrap();
    taken(&serde_json::from_str::<Vec<String>>(command).unwrap());
}

/// The line to run it with is the same wherever somebody may copy it from, and asks for the least.
#[test]
fn the_image_is_run_with_the_least() {
    let lines = ["README.md", "Dockerfile"].map(|file| {
        let file = text(file);
        let mut lines = file.lines().map(|line| line.trim_start_matches(['#', ' ']));
        let line =
            lines.find(|line| line.starts_with("docker run ") && line.ends_with(" exporter-host"));
        line.unwrap().to_owned()
    });
    assert_eq!(lines[0], lines[1]);
    for words in [
        "--read-only",
        "--cap-drop ALL --cap-add BPF --cap-add PERFMON",
    ] {
        assert!(lines[0].contains(words), "{words}: {}", lines[0]);
    }
    assert!(!lines[0].contains("--privileged") && lines[0].matches("--cap-add").count() == 2);
}

/// Every directive is known to systemd, and it is as tight as it says.
#[test]
fn the_systemd_unit_is_as_tight_as_it_says() {
    let path = "examples/deploy/systemd/exporter-host.service";
    let unit = text(path);
    let message = unit
        .lines()
        .find_map(|line| line.strip_prefix("# systemd-analyze security exporter-host: "))
        .and_then(|line| line.split(' ').next())
        .unwrap();
    let start = unit.split_once("ExecStart=").unwrap().1;
    let arguments: Vec<String> = start
        .lines()
        .take_while(|line| !line.starts_with("ExecReload"))
        .flat_map(|line| line.trim_end_matches('\\').split_whitespace())
        .skip(1)
        .map(str::to_owned)
        .collect();
    taken(&arguments);
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze")
            .args(arguments)
            .arg(repository().join(path))
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        out + &String::from_utf8_lossy(&output.stderr)
    };
    // A server that is killed for memory is replaced by the loader, which is told of a stop alone,
    // and has to give signs of life.
    for line in ["KillMode=mixed", "OOMPolicy=continue", "WatchdogSec="] {
        assert!(unit.lines().any(|found| found.starts_with(line)), "{line}");
    }
    let exposure = analyze(&["security", "--offline=yes", "--no-pager"]);
    let found = exposure
        .split_once("Overall exposure level for exporter-host.service: ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .unwrap_or_else(|| panic!("{exposure}"));
    // Each version of systemd weighs things a little differently.
    let (found, message): (f64, f64) = (found.parse().unwrap(), message.parse().unwrap());
    assert!((found - message).abs() < 0.5, "{exposure}");
    let problems = analyze(&["verify"]);
    for complaint in ["Unknown", "ignoring", "Failed to parse"] {
        assert!(!problems.contains(complaint), "{problems}");
    }
}
