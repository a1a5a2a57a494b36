//! Landlock: which files this process may open from now on, and whom it may reach otherwise
//! (landlock(7)). Linux 5.13 and newer, if it is among the active LSMs.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use caps::Capability::CAP_SYS_PTRACE;
use rustix::fs::{self as sys, FileType, OFlags};

use super::feature::Feature;
use super::mode::Mode;
use super::process::Process;
use super::status::Privileges;

const NAME: &str = "landlock";

/// What is asked for files where named sockets are to be reached, over which systemd and name
/// services are spoken to: ABI 9 guards them.
const WITH_SOCKETS: ABI = ABI::V5;
const WITHOUT_SOCKETS: ABI = ABI::V9;

/// statfs's `f_type` of /proc.
const PROC: i128 = 0x9fa0;

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

fn support_of(status: LandlockStatus) -> Support {
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

/// What a process may go on opening.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paths<'a> {
    /// Not looked at for a loader, which may read everything that its user can.
    pub(super) read: &'a [PathBuf],
    /// Written to, made in, removed from.
    pub(super) write: &'a [PathBuf],
}

/// What is restricted at all.
struct Handled {
    files: BitFlags<AccessFs>,
    network: BitFlags<AccessNet>,
    scopes: BitFlags<Scope>,
}

// === impl Handled ===

impl Handled {
    fn of(process: Process) -> Self {
        let tcp = AccessNet::BindTcp | AccessNet::ConnectTcp;
        let (files, network, scopes) = match process {
            // The starter is not restricted; it would be as little as this.
            Process::Whole | Process::Starter => (
                AccessFs::from_all(WITH_SOCKETS),
                BitFlags::EMPTY,
                Scope::Signal.into(),
            ),
            // What is not handled is free. A rule for / would not do: files in another mount
            // namespace, as /proc/PID/root leads to, do not lie beneath this one's. systemd may be
            // listening on an abstract socket.
            Process::Loader => (
                AccessFs::from_write(WITH_SOCKETS) | AccessFs::Execute,
                tcp,
                Scope::Signal.into(),
            ),
            // Its listeners are open.
            Process::Server => (
                AccessFs::from_all(WITHOUT_SOCKETS),
                AccessNet::BindTcp.into(),
                Scope::AbstractUnixSocket | Scope::Signal,
            ),
            Process::Compiler => (
                AccessFs::from_all(WITHOUT_SOCKETS),
                tcp,
                Scope::AbstractUnixSocket | Scope::Signal,
            ),
        };
        Self {
            files,
            network,
            scopes,
        }
    }

    /// A ruleset for it, without rules.
    fn ruleset(&self) -> Result<RulesetCreated, RulesetError> {
        let mut ruleset = Ruleset::default()
            .handle_access(self.files)?
            .scope(self.scopes)?;
        if !self.network.is_empty() {
            ruleset = ruleset.handle_access(self.network)?;
        }
        ruleset.create()
    }
}

/// Restricts this thread and those it starts.
pub(super) fn restrict(
    process: Process,
    mode: Mode,
    now: &Privileges,
    paths: Paths<'_>,
) -> Feature {
    if mode == Mode::Off {
        return Feature::off(NAME, "off by --hardening.landlock");
    }
    // Landlock also keeps a process from looking into others, which is all that this capability is
    // for.
    if mode == Mode::Auto && now.permitted.contains(CAP_SYS_PTRACE) {
        return Feature::off(
            NAME,
            "left off, as CAP_SYS_PTRACE is kept, which it would make useless: --hardening.landlock=require has it all the same",
        );
    }
    match enforce(process, paths) {
        Ok(feature) => feature,
        Err(error) => Feature::failed(NAME, format!("landlock refused the restriction: {error}")),
    }
}

fn enforce(process: Process, paths: Paths<'_>) -> Result<Feature, RulesetError> {
    let handled = Handled::of(process);
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
    let mut rules = handled.ruleset()?;
    let mut left_out = Vec::new();
    for (paths, access) in [(paths.read, read), (paths.write, write)] {
        let access = access & handled.files;
        if access.is_empty() {
            continue;
        }
        for path in paths {
            if let Err(why) = add(&mut rules, path, access) {
                left_out.push(format!("{} ({why})", path.display()));
            }
        }
    }
    let status = rules.restrict_self()?;
    let abi = match support_of(status.landlock) {
        Support::Abi(abi) => abi,
        Support::Missing(why) => return Ok(Feature::failed(NAME, why)),
    };
    let restricted = restricted(process, paths.write);
    let mut detail = match status.ruleset {
        RulesetStatus::FullyEnforced => format!("{restricted} (ABI {abi})"),
        RulesetStatus::PartiallyEnforced => {
            format!("{restricted}, as far as ABI {abi} of the kernel goes")
        }
        RulesetStatus::NotEnforced => return Ok(Feature::failed(NAME, "the kernel took no rule")),
    };
    if !left_out.is_empty() {
        detail = format!(
            "{detail}; closed, as there could be no rule for it: {}",
            left_out.join(", ")
        );
    }
    Ok(Feature::on(NAME, detail))
}

fn restricted(process: Process, write: &[PathBuf]) -> String {
    let shown: Vec<String> = write
        .iter()
        .map(|path| Path::display(path).to_string())
        .collect();
    let written = shown.join(", ");
    match process {
        Process::Whole => format!("written is only {written}; nothing can be executed"),
        Process::Starter => format!(
            "files outside what was granted cannot be read, and written only {written}; nothing can be executed"
        ),
        Process::Loader => {
            format!("written is only {written}; nothing can be executed, TCP and signals are closed")
        }
        Process::Server => "nothing but granted files and those of name resolution can be read, nothing written or executed; binding TCP, abstract unix sockets and signals are closed".to_owned(),
        Process::Compiler => "no file can be opened; TCP, abstract unix sockets and signals are closed".to_owned(),
    }
}

/// One rule. What is not there is no error, and gets none.
fn add(rules: &mut RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<(), String> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = match sys::open(path, flags, sys::Mode::empty()) {
        Ok(opened) => opened,
        Err(error) => {
            let error = io::Error::from(error);
            return match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error.to_string()),
            };
        }
    };
    let (status, of) = sys::fstat(&opened)
        .and_then(|status| Ok((status, sys::fstatfs(&opened)?)))
        .map_err(|error| io::Error::from(error).to_string())?;
    let access = match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => access,
        _ => access & AccessFs::from_file(WITHOUT_SOCKETS),
    };
    // On error the rules before stay: they are borrowed.
    rules
        .add_rule(PathBeneath::new(&opened, access))
        .map_err(|error| error.to_string())?;
    // A rule is about an inode. /proc makes new ones for the same names when memory is short,
    // unless somebody has them open. So this one stays open for as long as the rule holds, which is
    // for ever.
    if i128::from(of.f_type) == PROC {
        mem::forget(opened);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_named_sockets_is_refused_them_where_the_kernel_can() {
        let guarded = |process| Handled::of(process).files.contains(AccessFs::ResolveUnix);
        assert!(guarded(Process::Server) && guarded(Process::Compiler));
        assert!(!guarded(Process::Loader) && !guarded(Process::Whole));
    }

    #[test]
    fn a_loader_reads_everything() {
        let files = Handled::of(Process::Loader).files;
        assert!(!files.intersects(AccessFs::ReadFile | AccessFs::ReadDir));
        assert!(files.contains(AccessFs::WriteFile | AccessFs::Execute | AccessFs::MakeReg));
    }
}
