//! What a running host may still do, seen from outside (/proc, HTTP, the log) and from inside
//! (`--hardening.check`, which tries it), for every way to start it.

mod doctor;
mod doctor_units;
mod files;
pub(crate) mod flags;
mod matrix;
mod order;
mod trace;

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};

use crate::harness::{Host, Setup};

/// Nobody in particular, and no user of the machine.
pub(crate) const USER: u32 = 64_123;
/// setpriv(1) so that the program runs as systemd would run it: not root, and with the ambient
/// capabilities that stand for `{}`.
const CAPABILITIES: [&str; 3] = ["--inh-caps", "--ambient-caps", "--bounding-set"];
/// No hardening at all.
const OFF: [&str; 4] = [
    "--capabilities.keep=all",
    "--hardening.no-new-privs=off",
    "--hardening.landlock=off",
    "--hardening.seccomp=off",
];

const YAML: &str = "metrics: {counters: [{name: events_total, help: Test., labels: [\
    {name: command, size: 16, decoders: [{name: string}]}, {name: argument, size: 4, decoders: [{name: uint}]}]}]}";
const OTHER: &str = "metrics: {counters: [{name: k4_total, help: Test., labels: [{name: n, size: 4, decoders: [{name: uint}]}]}]}";

pub(crate) fn setup() -> Setup {
    Setup::new().unit("unit", "events", YAML)
}

/// Readable for everybody, as a package would install it, with a cache for compiled plugins that is
/// the user's.
pub(crate) fn for_everybody() -> Setup {
    let setup = setup();
    let cache = setup.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(setup.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&cache, Some(USER), Some(USER)).unwrap();
    let cache = cache.display().to_string();
    setup.argument(format!("--plugin.cache-dir={cache}"))
}

/// The words with which the host is started as [`USER`] with these ambient capabilities, as in
/// `,+bpf,+perfmon`.
fn user_with(capabilities: &str) -> Vec<String> {
    let user = USER.to_string();
    let set = format!("-all{capabilities}");
    let words = [
        "setpriv",
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
    ];
    let sets = CAPABILITIES.iter().flat_map(|&which| [which, &set]);
    words.into_iter().chain(sets).map(str::to_owned).collect()
}

pub(crate) fn as_user(setup: Setup, capabilities: &str) -> Setup {
    let words = user_with(capabilities);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    setup.wrapped(&words, File::open("/dev/null").unwrap().into())
}

/// The parts of the hardening, in the order of [`features`].
pub(crate) const FEATURES: [&str; 7] = [
    "capabilities",
    "no_new_privs",
    "landlock",
    "seccomp",
    "unprivileged_user",
    "split",
    "server_capabilities",
];

/// `exporter_host_hardening` for each of [`FEATURES`]. 1 only if it is so in both halves.
pub(crate) fn features(host: &Host) -> [f64; 7] {
    let series = host.text().series("exporter_host_hardening");
    FEATURES.map(|feature| {
        let of_feature = series
            .iter()
            .filter(|(labels, _)| labels["feature"] == feature);
        // One process has nothing to say of its server.
        let min = of_feature.map(|(_, value)| *value).reduce(f64::min);
        min.unwrap_or_default()
    })
}
