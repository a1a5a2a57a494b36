//! The loader, and the host that is one process.

use std::path::PathBuf;

use super::{
    ConfineError, Hardening, Paths, Privileges, Process, close, no_new_privs_feature, off,
    user_feature,
};
use crate::privileges::access::Access;
use crate::privileges::drop::{check_single_threaded, drop_to};
use crate::privileges::feature::Feature;
use crate::privileges::keep::Keep;

/// Confines a host that is one process, as [`confine_loader`]: it reads what its user may.
pub(crate) fn confine_whole(
    hardening: &Hardening,
    access: &Access,
) -> Result<Vec<Feature>, ConfineError> {
    confine_as(Process::Whole, hardening, access, &[PathBuf::from("/")])
}

/// Confines the loader, once all is attached and its listeners are bound: `--user`,
/// `--capabilities.keep`, no_new_privs, landlock (it reads what its user may and writes only what
/// `access` names), seccomp. This thread has to be the only one. The features are for the caller to
/// log, with those of the server. After an error the process should end.
pub(crate) fn confine_loader(
    hardening: &Hardening,
    access: &Access,
) -> Result<Vec<Feature>, ConfineError> {
    confine_as(Process::Loader, hardening, access, &[])
}

fn confine_as(
    process: Process,
    hardening: &Hardening,
    access: &Access,
    read: &[PathBuf],
) -> Result<Vec<Feature>, ConfineError> {
    let Hardening {
        keep,
        user,
        no_new_privs,
        landlock,
        seccomp,
    } = hardening;
    let nothing = user.is_none() && off(*no_new_privs) && off(*landlock) && off(*seccomp);
    if !(nothing && *keep == Keep::All) {
        check_single_threaded()?;
    }
    if let Some(user) = user {
        user.switch()?;
        user.check(access)?;
    }
    let report = drop_to(*keep, !off(*no_new_privs))?;
    report.log();
    let now = Privileges::current().map_err(ConfineError::Read)?;
    let write: Vec<_> = access.written().map(ToOwned::to_owned).collect();
    let paths = Paths {
        read,
        write: &write,
    };
    let mut features = vec![
        capabilities(*keep, &now),
        user_feature("root: see --user"),
        no_new_privs_feature(&now),
    ];
    features.extend(close(process, hardening, &now, paths)?);
    Ok(features)
}

/// `Keep::All` is no hardening, unless there was nothing to keep.
fn capabilities(keep: Keep, now: &Privileges) -> Feature {
    let detail = format!("held: {}", now.permitted);
    if keep == Keep::All && !now.permitted.is_empty() {
        Feature::off("capabilities", format!("{detail}: --capabilities.keep=all"))
    } else {
        Feature::on("capabilities", detail)
    }
}
