//! What landlock leaves open, and what it does not.

use std::fs;

use super::{OTHER, YAML, features, setup};
use crate::capabilities::still_works;
use crate::harness::host::assert_says;
use crate::harness::objects::object;
use crate::harness::sys::SIGHUP;
use crate::harness::{Host, Setup};

#[test]
fn landlock_alone_closes_files() {
    let ended = setup()
        .argument("--hardening.seccomp=off")
        .argument("--capabilities.keep=cap_bpf,cap_perfmon,cap_dac_override")
        .argument("--hardening.check")
        .run();
    // With this capability file modes mean nothing, and execve of nothing is no refusal.
    ended.says(&["attempt=\"read /etc/shadow\"", "refused=true"]);
    ended.says(&["attempt=\"run a program\"", "refused=true"]);
    ended.says(&["attempt=execve", "refused=false"]);
}

#[test]
fn a_capability_to_look_into_processes_leaves_landlock_off_unless_it_is_required() {
    let keep = "--capabilities.keep=cap_bpf,cap_perfmon,cap_sys_ptrace";
    let host = setup().argument(keep).start();
    assert_eq!(features(&host), [1.0, 1.0, 0.0, 1.0, 0.0]);
    assert_says(
        &host.log(),
        &["feature=landlock", "active=false", "CAP_SYS_PTRACE"],
    );
    drop(host);
    let host = setup()
        .argument(keep)
        .argument("--hardening.landlock=require")
        .start();
    assert_eq!(features(&host)[2], 1.0);
}

#[test]
fn what_lies_elsewhere_has_to_be_named() {
    let elsewhere = tempfile::tempdir().unwrap();
    let far = elsewhere.path().join("far.bpf.o");
    fs::copy(object("maps"), &far).unwrap();
    let unit = format!("object: {}\n{OTHER}", far.display());
    // Comes at run time: nobody could know of it at the start.
    let come = |host: &Host| {
        fs::write(host.path().join("late.yaml"), &unit).unwrap();
        host.signal(SIGHUP);
    };
    let host = setup().start();
    let mut lines = host.log_from_now();
    come(&host);
    lines.next(&["config=late", "far.bpf.o", "landlock", "--hardening.read"]);
    still_works(&host);
    drop(host);

    let host = setup()
        .argument(format!("--hardening.read={}", elsewhere.path().display()))
        .start();
    let mut lines = host.log_from_now();
    come(&host);
    lines.next(&["config=late", "unit running"]);
}

#[test]
fn an_object_of_the_start_may_be_replaced_where_it_lies() {
    let elsewhere = tempfile::tempdir().unwrap();
    let far = elsewhere.path().join("objects/far.bpf.o");
    fs::create_dir(far.parent().unwrap()).unwrap();
    fs::copy(object("events"), &far).unwrap();
    let yaml = format!("object: {}\n{YAML}", far.display());
    let host = Setup::new().file("unit.yaml", yaml).start();
    still_works(&host);
    let mut lines = host.log_from_now();
    let newer = far.with_extension("new");
    fs::copy(object("events-again"), &newer).unwrap();
    fs::rename(newer, far).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=unit", "replace"]);
}

/// A plugin whose sidecar asks for more once the host runs: whoever can write to the config directory cannot open /etc/shadow with it.
#[test]
fn a_plugin_reads_nothing_that_was_closed_at_the_start() {
    let unit =
        |path: &str| format!("collectors: [{{name: textfile, options: {{paths: [{path:?}]}}}}]");
    let host = setup()
        .component("textfile")
        .file("textfile.plugin.yaml", "grants: {}")
        .start();
    let mut lines = host.log_from_now();
    fs::write(
        host.path().join("textfile.plugin.yaml"),
        "grants: {read: [/etc/shadow, \"/proc/self/stat\"]}",
    )
    .unwrap();
    fs::write(host.path().join("textfile.yaml"), unit("/etc/shadow")).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=textfile", "unit running"]);
    host.text();
    // Its mode refuses nothing: it is root's, and so is this host.
    lines.next(&[
        "/etc/shadow: Permission denied",
        "landlock",
        "plugin=textfile",
    ]);
    still_works(&host);
}
