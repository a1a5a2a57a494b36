//! The processes of a split host, each confined for real and then doing what it is for.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustix::fs::{MemfdFlags, memfd_create};

use super::super::{
    Access, Feature, Hardening, Mode, Process, ServerPaths, ServerUser, attempt_all,
    confine_compiler, confine_loader, confine_server, enter_starter, hide_process, raise,
    server_needs_cap_bpf,
};
use super::needs::{
    compile, goes_on_loading, inherited, itself, reads_maps, reads_what_it_needs, runs_code,
    uses_the_network,
};
use super::*;

const NONE: &str = "0000000000000000";
const FIELDS: [&str; 5] = ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"];

pub(super) fn scenario(name: &str) -> fn() {
    match name {
        "starter" => starter,
        "starter with bpf" => starter_with_bpf,
        "server" => server,
        "server without landlock" => server_without_landlock,
        "server of the same user" => server_of_the_same_user,
        "loader" => loader,
        "compiler" => compiler,
        "needs bpf" => needs_bpf,
        other => panic!("no scenario {other}"),
    }
}

fn hardening() -> Hardening {
    Hardening {
        keep: Keep::default(),
        user: None,
        no_new_privs: Mode::Auto,
        landlock: Mode::Require,
        seccomp: Mode::Require,
    }
}

fn become_starter(keep_bpf: bool) {
    let user = ServerUser::choose().expect("root may change users");
    enter_starter(Some(&user), keep_bpf, &hardening()).unwrap();
    hide_process().unwrap();
}

/// A process in which nothing is refused that should be, or it is said what.
fn all_refused(process: Process) {
    for attempt in attempt_all(process).unwrap() {
        assert!(!attempt.allowed, "{}: {}", attempt.what, attempt.answer);
    }
}

fn active(features: &[Feature], names: &[&str]) {
    for name in names {
        let feature = features.iter().find(|one| one.name == *name).unwrap();
        assert!(feature.active, "{feature:?}");
    }
}

/// Forks and kills, as it goes on doing for the host's whole life.
fn starter() {
    become_starter(false);
    assert_eq!(in_a_single_thread(|| {}), 0);
    assert!(fs::read("/etc/shadow").is_err());
    assert!(std::process::Command::new("/bin/true").status().is_err());
    ready();
}

fn starter_with_bpf() {
    become_starter(true);
    ready();
}

/// A directory of a scenario's own, which removes nothing that lies elsewhere: see [`play_as`].
fn directory(id: u32) -> PathBuf {
    std::env::temp_dir().join(format!("exporter-host-scenario-{id}"))
}

fn own_directory() -> PathBuf {
    let directory = directory(std::process::id());
    fs::create_dir(&directory).unwrap();
    directory
}

fn server() {
    let inherited = inherited();
    let granted = own_directory();
    fs::set_permissions(&granted, Permissions::from_mode(0o755)).unwrap();
    let file = granted.join("granted.prom");
    fs::write(&file, "a 1\n").unwrap();
    become_starter(false);
    let pattern = format!("{}/*.prom", granted.display());
    let paths = ServerPaths::of_patterns([&*pattern, "/sys/class/net/*/mtu"]);
    let features = confine_server(&hardening(), &paths).unwrap();
    let all = [
        "server_capabilities",
        "unprivileged_user",
        "no_new_privs",
        "landlock",
        "seccomp",
    ];
    active(&features, &all);

    all_refused(Process::Server);
    assert_eq!(fs::read(&file).unwrap(), b"a 1\n");
    reads_what_it_needs();
    reads_maps(&inherited.map);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(uses_the_network(inherited.listener));
    runs_code(&compile());
    itself();
    ready();
    // Also after the kernel has forgotten names and inodes, see below.
    reads_what_it_needs();
}

/// Landlock is not everywhere: then the filter alone keeps files from being written.
fn server_without_landlock() {
    let path = "/dev/null";
    let hardening = Hardening {
        landlock: Mode::Off,
        ..hardening()
    };
    become_starter(false);
    confine_server(&hardening, &ServerPaths::default()).unwrap();
    let flags = rustix::fs::OFlags::RDWR;
    let resolve = rustix::fs::ResolveFlags::empty();
    let mode = rustix::fs::Mode::empty();
    assert!(rustix::fs::openat2(rustix::fs::CWD, path, flags, mode, resolve).is_err());
    assert!(rustix::fs::open(path, flags, mode).is_err());
    assert!(File::open(path).is_ok());
    let closed: Vec<_> = attempt_all(Process::Server)
        .unwrap()
        .into_iter()
        .filter(|attempt| attempt.allowed)
        .map(|attempt| attempt.what)
        .collect();
    // What only landlock refuses.
    assert_eq!(closed, ["read /etc/passwd"]);
    ready();
}

/// Where the loader may not change users, as in a container: this one is still root, as the loader
/// is.
fn server_of_the_same_user() {
    enter_starter(None, false, &hardening()).unwrap();
    hide_process().unwrap();
    let features = confine_server(&hardening(), &ServerPaths::default()).unwrap();
    let user = features.iter().find(|one| one.name == "unprivileged_user");
    assert!(!user.unwrap().active);
    active(&features, &["server_capabilities", "landlock", "seccomp"]);
    all_refused(Process::Server);
    ready();
}

fn loader() {
    let directory = own_directory();
    let mut access = Access::default();
    access.write(&directory);
    access.write_if_needed("/nowhere/at/all");
    let features = confine_loader(&hardening(), &access).unwrap();
    active(
        &features,
        &["capabilities", "no_new_privs", "landlock", "seccomp"],
    );
    all_refused(Process::Loader);
    assert!(File::open("/etc/passwd").is_ok());
    // Landlock keeps it from looking into others.
    assert!(File::open("/proc/1/root/etc/passwd").is_err());
    let (one, two) = (directory.join("one"), directory.join("two"));
    let mut file = File::create(&one).unwrap();
    file.write_all(b"x").unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    fs::rename(&one, &two).unwrap();
    fs::remove_file(&two).unwrap();
    fs::create_dir(&one).unwrap();
    fs::remove_dir(&one).unwrap();
    assert!(UnixDatagram::unbound().is_ok());
    goes_on_loading();
    ready();
}

fn compiler() {
    const MEMORY: u64 = 512 << 20;
    become_starter(false);
    confine_compiler(&hardening(), MEMORY, Duration::from_millis(20_500)).unwrap();
    assert!(File::open("/dev/null").is_err());
    assert!(UnixDatagram::unbound().is_err());
    assert!(Vec::<u8>::new().try_reserve_exact(600 << 20).is_err());
    let compiled = compile();
    let memfd = File::from(memfd_create("m", MemfdFlags::CLOEXEC).unwrap());
    (&memfd).write_all(&compiled).unwrap();
    ready();
}

fn needs_bpf() {
    raise().unwrap();
    let before = Privileges::current().unwrap();
    // Linux 5.19 and newer, which is what tests run on.
    assert!(!server_needs_cap_bpf());
    assert_eq!(Privileges::current().unwrap(), before);
    drop_to(Keep::Only(CapabilitySet::EMPTY), true).unwrap();
    assert!(!server_needs_cap_bpf());
    ready();
}

/// `capabilities`: the permitted, effective and bounding ones of all threads.
fn has_given_away(player: &Player, capabilities: &str) {
    for field in FIELDS {
        let wanted = match field {
            "CapInh" | "CapAmb" => NONE,
            _ => capabilities,
        };
        let found = player.status(field);
        assert!(
            found.iter().all(|value| value == wanted),
            "{field}: {found:?}"
        );
    }
    let id = "60943 60943 60943 60943";
    for (field, wanted) in [
        ("NoNewPrivs", "1"),
        ("Seccomp:", "2"),
        ("Uid", id),
        ("Gid", id),
        ("Groups", ""),
    ] {
        let found = player.status(field);
        assert!(
            found.iter().all(|value| value == wanted),
            "{field}: {found:?}"
        );
    }
}

/// Looks at a scenario's process while it waits.
fn play_as(scenario: &str, look: impl FnOnce(&Player)) {
    if !privileged() {
        return;
    }
    let player = Player::start(scenario);
    let directory = directory(player.id);
    look(&player);
    player.end();
    let _ = fs::remove_dir_all(directory);
}

fn plays(scenario: &str, capabilities: &str) {
    play_as(scenario, |player| has_given_away(player, capabilities));
}

#[test]
fn a_starter_has_nothing_and_forks_root() {
    plays("starter", NONE);
}

#[test]
fn a_starter_keeps_cap_bpf_where_servers_need_it_root() {
    plays("starter with bpf", "0000008000000000");
}

#[test]
fn a_server_can_do_all_that_it_is_for_and_nothing_else_root() {
    play_as("server", |player| {
        has_given_away(player, NONE);
        // As when memory is short.
        let _ = fs::write("/proc/sys/vm/drop_caches", "2");
    });
}

#[test]
fn a_server_without_landlock_writes_nothing_either_root() {
    plays("server without landlock", NONE);
}

#[test]
fn a_server_of_the_loaders_user_cannot_reach_it_root() {
    play_as("server of the same user", |player| {
        assert_eq!(player.status("Uid"), ["0 0 0 0"]);
        assert_eq!(player.status("CapPrm"), [NONE]);
    });
}

#[test]
fn a_compiler_compiles_within_its_limits_root() {
    plays("compiler", NONE);
}

#[test]
fn a_loader_writes_only_its_own_and_has_no_network_root() {
    play_as("loader", |player| {
        assert_eq!(player.status("CapPrm"), ["000000c000000000"]);
        assert_eq!(player.status("Seccomp:"), ["2"]);
    });
}

#[test]
fn whether_a_server_needs_cap_bpf_is_found_out_root() {
    play_as("needs bpf", |_| {});
}
