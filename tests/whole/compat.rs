//! A unit as ebpf_exporter has them: an object with nothing of ours in it, and a YAML of that
//! exporter's schema.

use std::process::Command;

use crate::harness::{Setup, labels, names};

const YAML: &str = r#"
name: ignored
metrics:
  counters:
    - name: forks_total
      help: Number of forks by parent
      labels:
        - name: parent
          size: 4
          decoders:
            - name: uint
        - name: comm
          size: 16
          decoders:
            - name: string
            - name: regexp
              regexps:
                - ^(.*)$
  histograms:
    - name: fork_distance
      help: Not a real thing
      bucket_type: exp2
      bucket_min: 0
      bucket_max: 27
      bucket_multiplier: 0.000001 # microseconds to seconds
      labels:
        - name: parent
          size: 4
          decoders:
            - name: uint
        - name: bucket
          size: 4
          decoders:
            - name: uint
"#;

#[test]
fn an_object_for_ebpf_exporter_runs_unchanged() {
    let host = Setup::new()
        .unit("compat", "compat", YAML)
        .argument("--config.names=compat")
        .argument("--log.no-timestamps")
        .argument("--config.strict")
        .start();
    let me = std::process::id().to_string();
    // A shell that forks three times. All of this test's own forks are in the counter of another
    // parent.
    let mut shell = Command::new("sh")
        .args(["-c", "(:); (:); (:)"])
        .spawn()
        .unwrap();
    let shell_id = shell.id().to_string();
    shell.wait().unwrap();

    let body = host.text();
    assert_eq!(
        body.value(
            "ebpf_exporter_forks_total",
            &[("parent", &shell_id), ("comm", "sh")]
        ),
        Some(3.0)
    );
    assert!(
        body.samples()
            .any(|s| s.name == "ebpf_exporter_forks_total" && s.labels["parent"] == me)
    );
    let parent = [("parent", shell_id.as_str())];
    assert_eq!(
        body.value("ebpf_exporter_fork_distance_count", &parent),
        Some(3.0)
    );
    assert_eq!(
        body.value("ebpf_exporter_fork_distance_sum", &parent),
        Some(9.0 * 0.000_001)
    );
    let third = [("parent", shell_id.as_str()), ("le", "0.000004")];
    assert_eq!(
        body.value("ebpf_exporter_fork_distance_bucket", &third),
        Some(3.0)
    );

    assert_eq!(
        body.value(names::ENABLED_CONFIGS, &[("name", "compat")]),
        Some(1.0)
    );
    assert_eq!(
        body.value(names::DECODER_ERRORS, &[("config", "compat")]),
        Some(0.0)
    );
    assert!(
        body.series("ebpf_exporter_build_info")
            .values()
            .all(|&one| one == 1.0)
    );
    let programs = body.series(names::PROGRAM_INFO);
    let program = programs
        .keys()
        .find(|labels| labels["program"] == "sched_process_fork")
        .unwrap();
    assert_eq!(program["config"], "compat");
    assert_eq!(
        body.series(names::PROGRAM_ATTACHED)[&labels(&[("id", &program["id"])])],
        1.0
    );
}
