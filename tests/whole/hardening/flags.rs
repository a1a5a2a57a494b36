//! `--hardening.*` and `--user`, and the program file's own capabilities.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{OFF, USER, as_user, for_everybody, setup};
use crate::harness::host::program;
use crate::harness::identity::{CAP_BPF, CAP_PERFMON, mask};
use crate::harness::sys::set_xattr;
use crate::harness::tree::one_process;

/// As the image has it: the program file has both "permitted", which a container's user gets as far
/// as `--cap-add` allows.
#[test]
fn as_a_user_with_capabilities_of_the_file() {
    let setup = for_everybody();
    let file = setup.path().join("exporter-host");
    fs::copy(program().get_program(), &file).unwrap();
    let user = USER.to_string();
    let as_user = |bounding: &str| {
        let mut command = Command::new("setpriv");
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
pub(crate) fn permit(file: &Path, capabilities: &[u32]) {
    let mask = mask(capabilities);
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
fn the_check_tells_when_it_is_off() {
    let setup = OFF
        .iter()
        .fold(setup(), |setup, flag| setup.argument(*flag));
    let ended = setup.argument("--hardening.check").run();
    assert_eq!(ended.code, Some(1));
    // The server is still not root, so that file modes go on refusing /etc/shadow to it.
    for attempt in ["run a program", "write outside of what was granted"] {
        ended.says(&["hardening check", attempt, "refused=false"]);
        ended.says(&["--hardening.check", "could", attempt]);
    }
    // A host that is one process reads all files that its user may.
    if !one_process() {
        ended.says(&["hardening check", "read /etc/passwd", "refused=false"]);
    }
}

#[test]
fn a_cache_that_the_user_cannot_write_to_is_refused() {
    let setup = for_everybody();
    let cache = setup.path().join("cache");
    chown(&cache, Some(0), Some(0)).unwrap();
    let ended = setup.argument(format!("--user={USER}")).run();
    assert_eq!(ended.code, Some(2));
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
    assert_eq!(ended.code, Some(2));
    ended.says(&["--user=0:0", "CAP_SETUID"]);
}
