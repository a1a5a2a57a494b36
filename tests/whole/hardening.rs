//! What a running host may still do, seen from outside (/proc, HTTP, the log) and from inside (`--hardening.check`, which tries it), for every
//! way to start it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::capabilities::{CAP_BPF, CAP_PERFMON, holds, of_all_threads, still_works};
use crate::harness::event::fire;
use crate::harness::host::{assert_says, program};
use crate::harness::objects::{object, repository};
use crate::harness::sys::{SIGHUP, set_xattr};
use crate::harness::{Host, Setup, names};

/// Nobody in particular, and no user of the machine.
const USER: u32 = 64_123;
/// What the host tries on itself.
const ATTEMPTS: [&str; 11] = [
    "read /etc/shadow",
    "read /etc/passwd",
    "write to the directory for temporary files",
    "run a program",
    "execve",
    "gain CAP_SYS_ADMIN",
    "make a namespace",
    "mount",
    "trace a process",
    "load a kernel module",
    "become root",
];
/// setpriv(1) so that the program runs as systemd would run it: not root, and with the ambient capabilities that stand for `{}`.
const CAPABILITIES: [&str; 3] = ["--inh-caps", "--ambient-caps", "--bounding-set"];

const YAML: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";
const OTHER: &str = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

fn setup() -> Setup {
    Setup::new().unit("unit", "events", YAML)
}

/// Readable for everybody, as a package would install it, with a cache for compiled plugins that is the user's.
fn for_everybody() -> Setup {
    let setup = setup();
    let cache = setup.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(setup.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&cache, Some(USER), Some(USER)).unwrap();
    let cache = cache.display().to_string();
    setup.argument(format!("--plugin.cache-dir={cache}"))
}

/// Started by setpriv as [`USER`] with these ambient capabilities, as in `,+bpf,+perfmon`.
fn as_user(setup: Setup, capabilities: &str) -> Setup {
    let user = USER.to_string();
    let set = format!("-all{capabilities}");
    let mut words = vec![
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
    ];
    for which in CAPABILITIES {
        words.extend([which, &set]);
    }
    let nothing = File::open("/dev/null").unwrap();
    setup.wrapped(&words, nothing.into())
}

/// `exporter_host_hardening` for capabilities, no_new_privs, landlock, seccomp, unprivileged_user.
fn features(host: &Host) -> [f64; 5] {
    let body = host.text();
    [
        "capabilities",
        "no_new_privs",
        "landlock",
        "seccomp",
        "unprivileged_user",
    ]
    .map(|feature| {
        body.value("exporter_host_hardening", &[("feature", feature)])
            .unwrap()
    })
}

/// All threads, from outside.
fn all_threads(host: &Host, field: &str, value: &str) {
    let found = of_all_threads(host.pid(), field);
    assert!(
        found.iter().all(|found| found.starts_with(value)),
        "{field} is {value}: {found:?}\n{}",
        host.log()
    );
}

fn confined(host: &Host) {
    all_threads(host, "NoNewPrivs", "1");
    all_threads(host, "Seccomp", "2");
}

/// Tried by the host itself and refused by the kernel.
fn refused(host: &Host) {
    for attempt in ATTEMPTS {
        assert_says(&host.log(), &["hardening check", attempt, "refused=true"]);
    }
}

/// Once [`still_works`] has been there: three more.
fn still_counts(host: &Host) {
    fire(3, 3);
    let count = host
        .text()
        .value("ebpf_exporter_events_total", &[("argument", "3")]);
    assert_eq!(count, Some(5.0));
}

/// A unit that comes while the host runs is loaded and served.
fn takes_a_new_unit(host: &Host) {
    let mut lines = host.log_from_now();
    fs::copy(object("maps"), host.path().join("late.bpf.o")).unwrap();
    fs::write(host.path().join("late.yaml"), OTHER).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=late", "unit running"]);
    let loaded = host
        .text()
        .value(names::LOAD_SUCCESSFUL, &[("config", "late")]);
    assert_eq!(loaded, Some(1.0));
}

#[test]
fn as_root() {
    let host = setup().argument("--hardening.check").start();
    refused(&host);
    confined(&host);
    holds(&host, &[CAP_BPF, CAP_PERFMON]);
    still_works(&host);
    takes_a_new_unit(&host);
    still_counts(&host);
    assert_eq!(features(&host), [1.0, 1.0, 1.0, 1.0, 0.0]);
    let page = host.get("/", &[]);
    let page = page.text();
    assert!(page.contains("<td>landlock</td><td>yes</td>"), "{page}");
    assert!(page.contains("<td>seccomp</td><td>yes</td>"), "{page}");
    assert!(
        page.contains("<td>unprivileged_user</td><td>no</td>"),
        "{page}"
    );
}

#[test]
fn from_root_to_another_user() {
    let host = for_everybody()
        .argument(format!("--user={USER}"))
        .argument("--hardening.check")
        .start();
    refused(&host);
    confined(&host);
    holds(&host, &[CAP_BPF, CAP_PERFMON]);
    let ids = format!("{USER}\t{USER}\t{USER}\t{USER}");
    all_threads(&host, "Uid", &ids);
    all_threads(&host, "Gid", &ids);
    all_threads(&host, "Groups", "");
    still_works(&host);
    takes_a_new_unit(&host);
    assert_eq!(features(&host), [1.0; 5]);
    // What the process says of itself is still to be read, and the cache has been written to.
    assert!(host.text().value("process_open_fds", &[]).unwrap() > 3.0);
    assert!(fs::read_dir(host.path().join("cache")).unwrap().count() > 0);
}

#[test]
fn as_a_user_with_the_two_capabilities() {
    let host = as_user(for_everybody(), ",+bpf,+perfmon")
        .argument("--hardening.check")
        .start();
    refused(&host);
    confined(&host);
    holds(&host, &[CAP_BPF, CAP_PERFMON]);
    still_works(&host);
    takes_a_new_unit(&host);
    assert_eq!(features(&host), [1.0; 5]);
}

/// As the image has it: the program file has both "permitted", which a container's user gets as far as `--cap-add` allows.
#[test]
fn as_a_user_with_capabilities_of_the_file() {
    let setup = for_everybody();
    let file = setup.path().join("exporter-host");
    fs::copy(program().get_program(), &file).unwrap();
    let user = USER.to_string();
    let as_user = |bounding: &str| {
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
            .args(["--inh-caps=-all", &format!("--bounding-set=-all{bounding}")])
            .arg(&file)
            .args(["doctor", "--format=json"]);
        let output = command.output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| {
            panic!(
                "the program starts: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    };
    assert_eq!(as_user(",+bpf,+perfmon")["ok"], false);
    permit(&file, &[CAP_BPF, CAP_PERFMON]);
    assert_eq!(as_user(",+bpf,+perfmon")["ok"], true);
    // With less it starts all the same.
    assert_eq!(as_user("")["ok"], false);
}

/// setcap(8) with `=p`: vfs_cap_data of linux/capability.h, revision 2, little endian.
fn permit(file: &Path, capabilities: &[u32]) {
    let mask: u64 = capabilities.iter().map(|bit| 1_u64 << bit).sum();
    let (low, high) = (mask as u32, (mask >> 32) as u32);
    let value: Vec<u8> = [0x0200_0000, low, 0, high, 0]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    set_xattr(file, c"security.capability", &value).unwrap();
}

#[test]
fn as_a_user_without_any_capability() {
    // Nothing but a unit that needs them: the host ends, and says what is missing.
    let ended = as_user(for_everybody(), "").run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["config=unit", "CAP_BPF", "CAP_PERFMON"]);
    ended.says(&["feature=seccomp", "active=true"]);
    ended.says(&["feature=landlock", "active=true"]);
}

#[test]
fn with_no_capability_kept_reading_goes_on_and_loading_does_not() {
    let host = setup()
        .argument("--capabilities.keep=none")
        .argument("--hardening.check")
        .start();
    refused(&host);
    confined(&host);
    holds(&host, &[]);
    still_works(&host);
    let mut lines = host.log_from_now();
    fs::copy(object("maps"), host.path().join("late.bpf.o")).unwrap();
    fs::write(host.path().join("late.yaml"), OTHER).unwrap();
    host.signal(SIGHUP);
    lines.next(&["config=late", "CAP_BPF"]);
    still_counts(&host);
    assert_eq!(features(&host), [1.0, 1.0, 1.0, 1.0, 0.0]);
}

/// Of the units, that with a BPF object fails, and that with a collector is served: what its sidecar grants lies where landlock lets nobody
/// else look.
#[test]
fn as_a_user_without_any_capability_collectors_work() {
    let data = tempfile::tempdir().unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = data.path().join("x.prom");
    fs::write(&file, "# TYPE drawers gauge\ndrawers 3\n").unwrap();
    let setup = for_everybody();
    let built = std::process::Command::new(repository().join("examples/build-plugins.sh"))
        .arg(setup.path())
        .arg("textfile")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let pattern = data.path().join("*.prom").display().to_string();
    let host = setup
        .file(
            "textfile.plugin.yaml",
            format!("grants: {{read: [\"{pattern}\"]}}"),
        )
        .file(
            "textfile.yaml",
            format!("collectors: [{{name: textfile, options: {{paths: [\"{pattern}\"]}}}}]"),
        );
    let host = as_user(host, "").argument("--hardening.check").start();
    refused(&host);
    confined(&host);
    holds(&host, &[]);
    assert_says(&host.log(), &["config=unit", "CAP_BPF", "CAP_PERFMON"]);
    assert_eq!(host.text().value("drawers", &[]), Some(3.0));
    // Replaced, as whoever writes such files should do it.
    fs::write(data.path().join("new"), "# TYPE drawers gauge\ndrawers 4\n").unwrap();
    fs::rename(data.path().join("new"), file).unwrap();
    assert_eq!(host.text().value("drawers", &[]), Some(4.0));
    assert_eq!(features(&host), [1.0; 5]);
}

const OFF: [&str; 4] = [
    "--capabilities.keep=all",
    "--hardening.no-new-privs=off",
    "--hardening.landlock=off",
    "--hardening.seccomp=off",
];

#[test]
fn all_of_it_can_be_switched_off() {
    let host = OFF
        .iter()
        .fold(setup(), |setup, flag| setup.argument(*flag));
    let host = host.start();
    all_threads(&host, "Seccomp", "0");
    all_threads(&host, "NoNewPrivs", "0");
    still_works(&host);
    assert_eq!(features(&host), [0.0; 5]);
    for feature in ["no_new_privs", "landlock", "seccomp"] {
        assert_says(
            &host.log(),
            &[&format!("feature={feature}"), "active=false", "off by"],
        );
    }
}

#[test]
fn the_check_tells_when_it_is_off() {
    let setup = OFF
        .iter()
        .fold(setup(), |setup, flag| setup.argument(*flag));
    let ended = setup.argument("--hardening.check").run();
    assert_eq!(ended.code, Some(1));
    for attempt in [
        "read /etc/shadow",
        "run a program",
        "write to the directory",
    ] {
        ended.says(&["hardening check", attempt, "refused=false"]);
    }
    ended.says(&["--hardening.check: this process could", "read /etc/shadow"]);
}

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

#[test]
fn a_cache_that_the_user_cannot_write_to_is_refused() {
    let setup = for_everybody();
    let cache = setup.path().join("cache");
    chown(&cache, Some(0), Some(0)).unwrap();
    let ended = setup.argument(format!("--user={USER}")).run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["has to be writable for user 64123", "chown 64123"]);
}

#[test]
fn flags_that_cannot_be_meant() {
    let ended = setup().argument("--hardening.no-new-privs=off").run();
    assert_eq!(ended.code, Some(2));
    ended.says(&["needs --hardening.landlock=off and --hardening.seccomp=off"]);
    let ended = setup().argument("--user=no-such-user").run();
    assert_eq!(ended.code, Some(2));
    ended.says(&["there is no user \"no-such-user\" in /etc/passwd"]);
    let ended = as_user(for_everybody(), ",+bpf,+perfmon")
        .argument("--user=0")
        .run();
    assert_eq!(ended.code, Some(1));
    ended.says(&["--user=0:0", "CAP_SETUID"]);
}

fn output(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

#[test]
fn the_doctor_finds_what_is_there() {
    let output = output(&["doctor", "--format=json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // These tests load programs, so it must find that they can be.
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(output.status.code(), Some(0));
    let checks = report["checks"].as_array().unwrap();
    let status = |name: &str| {
        let found = checks.iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("a check {name}"))["status"].clone()
    };
    for name in [
        "btf",
        "cap_bpf",
        "cap_perfmon",
        "program tp_btf",
        "program raw_tp",
        "program perf_event",
        "program xdp",
    ] {
        assert_eq!(status(name), "ok", "{name}");
    }
    for name in [
        "lockdown",
        "tracefs",
        "cgroup2",
        "bpffs",
        "memlock",
        "perf_event_paranoid",
        "unprivileged_bpf_disabled",
        "program fentry",
        "program lsm",
    ] {
        status(name);
    }
    let there = Path::new("/sys/bus/event_source/devices/kprobe").exists();
    assert_eq!(status("kprobes"), if there { "ok" } else { "limited" });
}

#[test]
fn the_doctor_says_what_nobody_lacks() {
    let user = USER.to_string();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
        .arg(program().get_program())
        .arg("doctor")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_says(&text, &["MISSING", "program tp_btf"]);
    assert_says(&text, &["- CAP_BPF and CAP_PERFMON"]);
    assert_says(&text, &["AmbientCapabilities=CAP_BPF", "--cap-add BPF"]);
}

#[test]
fn the_health_check_asks_a_running_host() {
    let host = setup().start();
    let url = format!("--url=http://{}/-/healthy", host.address());
    let ask = |url: &str| {
        let mut command = program();
        command.args(["healthcheck", url]).stdout(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(ask(&url), Some(0));
    assert_eq!(ask(&url.replace("healthy", "no-such-page")), Some(1));
    host.stop();
    assert_eq!(ask(&url), Some(1));
}
