//! All of the hardening, in the one order that works.

use std::io;

use super::access::{self, Access};
use super::drop::{self, DropError, drop_to};
use super::feature::Feature;
use super::keep::Keep;
use super::landlock;
use super::seccomp;
use super::status::Privileges;
use super::user::{User, UserError};

/// Whether a part of the hardening is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Where the kernel has it; what is missing is reported
    Auto,
    /// Not at all
    Off,
    /// A kernel without it ends the start
    Require,
}

/// What the operator wants of the hardening.
#[derive(Debug, Clone)]
pub(crate) struct Hardening {
    pub(crate) keep: Keep,
    pub(crate) user: Option<User>,
    /// Off only where landlock and seccomp are, which rest on it.
    pub(crate) no_new_privs: Mode,
    pub(crate) landlock: Mode,
    pub(crate) seccomp: Mode,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("cannot drop capabilities: {0}")]
    Drop(#[from] DropError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(
        "--hardening.{feature}=require: {why}; with `auto` the host would run without and say so"
    )]
    Required { feature: &'static str, why: String },
    #[error("cannot read this process' privileges from /proc (is it mounted?): {0}")]
    Read(#[source] io::Error),
}

/// Gives away what `hardening` says, for all threads that there will ever be: this one has to be the only one. Says in the log what was done,
/// and what was not to be had. After an error the process should end.
pub(crate) fn confine(
    hardening: &Hardening,
    access: &Access,
) -> Result<Vec<Feature>, ConfineError> {
    let Hardening {
        keep,
        user,
        no_new_privs,
        landlock,
        seccomp,
    } = hardening;
    let off = |mode: &Mode| *mode == Mode::Off;
    let nothing = user.is_none() && off(no_new_privs) && off(landlock) && off(seccomp);
    if !(nothing && *keep == Keep::All) {
        drop::check_single_threaded()?;
    }
    if let Some(user) = user {
        user.become_it()?;
        user.check(access)?;
    }
    let report = drop_to(*keep, !off(no_new_privs))?;
    report.log();
    let now = Privileges::current().map_err(ConfineError::Read)?;
    let features = vec![
        capabilities(*keep, &now),
        user_feature(),
        if now.no_new_privs {
            Feature::on(
                "no_new_privs",
                "no program can give this process more than it has",
            )
        } else {
            Feature::off("no_new_privs", "off by --hardening.no-new-privs")
        },
        required(
            "landlock",
            *landlock,
            landlock::restrict(*landlock, &now, access),
        )?,
        required("seccomp", *seccomp, seccomp::install(*seccomp))?,
    ];
    if features
        .iter()
        .any(|feature| feature.name == "landlock" && feature.active)
    {
        access::restricted();
    }
    for feature in &features {
        feature.log();
    }
    Ok(features)
}

fn required(name: &'static str, mode: Mode, feature: Feature) -> Result<Feature, ConfineError> {
    if mode == Mode::Require && !feature.active {
        let why = feature.detail;
        return Err(ConfineError::Required { feature: name, why });
    }
    Ok(feature)
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

fn user_feature() -> Feature {
    let uid = super::user::effective_uid();
    if uid == 0 {
        Feature::off("unprivileged_user", "root: see --user")
    } else {
        Feature::on("unprivileged_user", format!("user {uid}"))
    }
}
