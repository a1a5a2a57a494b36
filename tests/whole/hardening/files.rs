//! What landlock leaves open, and what it does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{OTHER, YAML, features, setup};
use crate::capabilities::still_works;
use crate::harness::Setup;
use crate::harness::host::assert_says;
use crate::harness::objects::object;
use crate::harness::sys::SIGHUP;
use crate::harness::tree::one_process;

#[test]
fn landlock_alone_closes_files() {
    let ended = setup()
        .argument("--hardening.seccomp=off")
        .argument("--hardening.check")
        .run();
    // Everybody may read this one by its mode, and execve of nothing is no refusal.
    if !one_process() {
        ended.says(&["attempt=\"read /etc/passwd\"", "refused=true"]);
    }
    ended.says(&["attempt=\"run a program\"", "refused=true"]);
    ended.says(&["attempt=execve", "refused=false"]);
}

#[test]
fn a_capability_to_look_into_processes_leaves_landlock_off_unless_it_is_required() {
    let keep = "--capabilities.keep=cap_bpf,cap_perfmon,cap_sys_ptrace";
    let host = setup().argument(keep).start();
    // Off in the loader, which has the capability, and nowhere else.
    assert_eq!(features(&host)[..5], [1.0, 1.0, 0.0, 1.0, 0.0]);
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

/// The loader, which runs nobody's code and answers nobody, may read all files: what comes later
/// may lie anywhere.
#[test]
fn what_comes_later_may_lie_elsewhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let far = elsewhere.path().join("far.bpf.o");
    fs::copy(object("maps"), &far).unwrap();
    let unit = format!("object: {}\n{OTHER}", far.display());
    let host = setup().start();
    let mut lines = host.log_from_now();
    fs::write(host.path().join("late.yaml"), &unit).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=late", "unit running"]);
    still_works(&host);
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

/// A sidecar may grant more once the host runs. What no sidecar grants stays closed.
#[test]
fn a_plugin_reads_what_is_granted_later_and_nothing_else() {
    if one_process() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let late = elsewhere.path().join("late.prom");
    fs::write(&late, "late 1\n").unwrap();
    let late = late.display();
    let unit =
        |path: &str| format!("collectors: [{{name: textfile, options: {{paths: [{path:?}]}}}}]");
    let host = setup()
        .component("textfile")
        .file("textfile.plugin.yaml", "grants: {}")
        .start();
    // Wider rules may take a new server.
    host.server_may_end();
    let mut lines = host.log_from_now();
    fs::write(
        host.path().join("textfile.plugin.yaml"),
        format!("grants: {{read: [\"{late}\", /proc/stat]}}"),
    )
    .unwrap();
    fs::write(host.path().join("textfile.yaml"), unit(&late.to_string())).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=textfile", "unit running"]);
    assert_eq!(host.text().value("late", &[]), Some(1.0), "{}", host.log());
    fs::write(host.path().join("textfile.yaml"), unit("/etc/shadow")).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=textfile", "unit running"]);
    host.text();
    lines.next(&["/etc/shadow", "denied", "plugin=textfile"]);
    still_works(&host);
}

/// Landlock's rules are about what is there when they are made: the loader opens what comes later.
#[test]
fn what_is_granted_may_be_made_after_the_start() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str| elsewhere.path().join(name);
    let (directory, file) = (path("made/*.prom"), path("alone.prom"));
    let both = format!("[{:?}, {:?}]", directory.display(), file.display());
    let host = setup()
        .component("textfile")
        .file("textfile.plugin.yaml", format!("grants: {{read: {both}}}"))
        .file(
            "textfile.yaml",
            format!("collectors: [{{name: textfile, options: {{paths: {both}}}}}]"),
        )
        .start();
    assert_eq!(host.text().value("made", &[]), None);
    fs::create_dir(path("made")).unwrap();
    fs::set_permissions(path("made"), fs::Permissions::from_mode(0o755)).unwrap();
    for (file, text) in [("made/a.prom", "made 1\n"), ("alone.prom", "alone 2\n")] {
        fs::write(path(file), text).unwrap();
        fs::set_permissions(path(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let body = host.text();
    for (name, value) in [("made", 1.0), ("alone", 2.0)] {
        assert_eq!(body.value(name, &[]), Some(value), "{}", host.log());
    }
}
