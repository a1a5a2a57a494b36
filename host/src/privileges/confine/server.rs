//! The server: no capability, no file but those granted, no way to other processes.

use super::starter::kept;
use super::{
    ConfineError, Hardening, Paths, Privileges, Process, close, no_new_privs_feature, off,
    user_feature,
};
use crate::privileges::drop::{check_single_threaded, forbid_new_privileges, keep_only};
use crate::privileges::feature::Feature;
use crate::privileges::server_paths::ServerPaths;

/// Confines a forked server, once it has closed what is not its own and written what it writes of
/// itself to /proc (its OOM score). Capabilities and user are the starter's, see
/// [`super::enter_starter`]; here come landlock and seccomp. This thread has to be the only one.
/// The features are for the caller to log, with those of the loader. After an error the process
/// should end.
pub(crate) fn confine_server(
    hardening: &Hardening,
    paths: &ServerPaths,
) -> Result<Vec<Feature>, ConfineError> {
    check_single_threaded()?;
    let before = Privileges::current().map_err(ConfineError::Read)?;
    // Nothing is left to be given away, if the starter did its work. It had CAP_BPF only where a
    // server has to.
    keep_only(kept(true, &before))?;
    if !off(hardening.no_new_privs) {
        forbid_new_privileges()?;
    }
    let now = Privileges::current().map_err(ConfineError::Read)?;
    let read = paths.all();
    let closed = close(
        Process::Server,
        hardening,
        &now,
        Paths {
            read: &read,
            write: &[],
        },
    )?;
    let mut features = vec![
        capabilities(&now),
        user_feature("root, as the loader may not change users"),
        no_new_privs_feature(&now),
    ];
    features.extend(closed);
    Ok(features)
}

fn capabilities(now: &Privileges) -> Feature {
    const NAME: &str = "server_capabilities";
    if !now.permitted.is_empty() {
        let held = now.permitted;
        return Feature::off(
            NAME,
            format!(
                "held: {held}, as this kernel lets nobody else read maps (Linux 5.19 and newer do)"
            ),
        );
    }
    let bounding = if now.bounding.is_empty() {
        ""
    } else {
        "; the bounding set keeps more, as shrinking it needs CAP_SETPCAP, but nothing can be gained from it"
    };
    Feature::on(NAME, format!("held: none{bounding}"))
}
