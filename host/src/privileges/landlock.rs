//! Landlock: which files this process may open from now on (landlock(7)). Linux 5.13 and newer, if it is among the active LSMs.

use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use caps::Capability::CAP_SYS_PTRACE;

use super::access::Access;
use super::confine::Mode;
use super::feature::Feature;
use super::status::Privileges;

const NAME: &str = "landlock";

/// What we ask for. ABI 9 would also guard named sockets, over which systemd and name services are spoken to.
const WANTED: ABI = ABI::V5;

const NOT_ENABLED: &str =
    "landlock is not among the active security modules (lsm= on the kernel's command line)";
const NOT_IMPLEMENTED: &str =
    "the kernel has no landlock, which is Linux 5.13 and newer with CONFIG_SECURITY_LANDLOCK";

/// What the kernel has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Support {
    /// The version of its interface.
    Abi(String),
    Missing(&'static str),
}

/// Asks the kernel, changes nothing.
pub(crate) fn support() -> Support {
    const VERSION: libc::c_ulong = 1;
    let nothing: libc::c_ulong = 0;
    #[expect(
        unsafe_code,
        reason = "the landlock crate answers only after it has restricted"
    )]
    // SAFETY: a null pointer of length 0 with this flag asks for the version; numbers only.
    let abi =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, nothing, VERSION) };
    if abi > 0 {
        return Support::Abi(abi.to_string());
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::ENOSYS) => Support::Missing(NOT_IMPLEMENTED),
        _ => Support::Missing(NOT_ENABLED),
    }
}

fn said(status: LandlockStatus) -> Support {
    match status {
        LandlockStatus::Available {
            effective_abi,
            kernel_abi,
        } => Support::Abi(
            kernel_abi.map_or_else(|| effective_abi.to_string(), |abi| abi.to_string()),
        ),
        LandlockStatus::NotEnabled => Support::Missing(NOT_ENABLED),
        LandlockStatus::NotImplemented => Support::Missing(NOT_IMPLEMENTED),
    }
}

/// Restricts this thread and those it starts.
pub(super) fn restrict(mode: Mode, now: &Privileges, access: &Access) -> Feature {
    if mode == Mode::Off {
        return Feature::off(NAME, "off by --hardening.landlock");
    }
    // Landlock also keeps a process from looking into others, which is all that this capability is for.
    if mode == Mode::Auto && now.permitted.contains(CAP_SYS_PTRACE) {
        return Feature::off(
            NAME,
            "left off, as CAP_SYS_PTRACE is kept, which it would make useless: --hardening.landlock=require has it all the same",
        );
    }
    match enforce(access) {
        Ok(feature) => feature,
        Err(error) => Feature::failed(NAME, format!("landlock refused a rule: {error}")),
    }
}

fn enforce(access: &Access) -> Result<Feature, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        // Renaming from one directory to another: how a cache's files come to their names.
        | AccessFs::Refer;
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::Signal)?
        .create()?;
    let rules = add(rules, &access.read, read)?;
    let rules = add(rules, &access.write, write)?;
    let status = rules.restrict_self()?;
    let abi = match said(status.landlock) {
        Support::Abi(abi) => abi,
        Support::Missing(why) => return Ok(Feature::failed(NAME, why)),
    };
    let written = paths(&access.write);
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Feature::on(
            NAME,
            format!(
                "files outside what was granted cannot be read, and written only {written}; nothing can be executed (ABI {abi})"
            ),
        ),
        RulesetStatus::PartiallyEnforced => Feature::on(
            NAME,
            format!(
                "reading, writing and executing files is restricted, truncating, device ioctls and signals as far as ABI {abi} goes; written only {written}"
            ),
        ),
        RulesetStatus::NotEnforced => Feature::failed(NAME, "the kernel took no rule"),
    })
}

/// One rule each for those that are there.
fn add(
    mut rules: RulesetCreated,
    paths: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    for path in paths {
        let Ok(opened) = PathFd::new(path) else {
            continue;
        };
        let access = if path.is_dir() {
            access
        } else {
            access & AccessFs::from_file(WANTED)
        };
        rules = rules.add_rule(PathBeneath::new(opened, access))?;
    }
    Ok(rules)
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .map(|path: &PathBuf| Path::display(path).to_string())
        .collect();
    shown.join(", ")
}
