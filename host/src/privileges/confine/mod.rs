//! All of the hardening, in the one order that works, for each kind of process.

mod compiler;
mod loader;
mod server;
mod starter;

use std::io;

use super::access;
use super::drop::DropError;
use super::feature::Feature;
use super::keep::Keep;
use super::landlock::{self, Paths};
use super::limits::LimitError;
use super::mode::Mode;
use super::process::Process;
use super::seccomp;
use super::status::Privileges;
use super::user::{User, UserError};

pub(crate) use compiler::confine_compiler;
pub(crate) use loader::{confine_loader, confine_whole};
pub(crate) use server::confine_server;
pub(crate) use starter::enter_starter;

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
    #[error("cannot become user {user}, as which the server is to run: {source}")]
    ServerUser { user: String, source: io::Error },
    #[error(transparent)]
    Limit(#[from] LimitError),
}

fn off(mode: Mode) -> bool {
    mode == Mode::Off
}

fn required(name: &'static str, mode: Mode, feature: Feature) -> Result<Feature, ConfineError> {
    if mode == Mode::Require && !feature.active {
        let why = feature.detail;
        return Err(ConfineError::Required { feature: name, why });
    }
    Ok(feature)
}

/// `root`: what to say where it is root.
fn user_feature(root: &str) -> Feature {
    let uid = super::user::effective_uid();
    if uid == 0 {
        Feature::off("unprivileged_user", root)
    } else {
        Feature::on("unprivileged_user", format!("user {uid}"))
    }
}

fn no_new_privs_feature(now: &Privileges) -> Feature {
    if now.no_new_privs {
        Feature::on(
            "no_new_privs",
            "no program can give this process more than it has",
        )
    } else {
        Feature::off("no_new_privs", "off by --hardening.no-new-privs")
    }
}

/// Landlock and then seccomp: the last steps of each process.
fn close(
    process: Process,
    hardening: &Hardening,
    now: &Privileges,
    paths: Paths<'_>,
) -> Result<[Feature; 2], ConfineError> {
    let Hardening {
        landlock, seccomp, ..
    } = *hardening;
    let files = landlock::restrict(process, landlock, now, paths);
    let files = required("landlock", landlock, files)?;
    // A loader reads what its user may.
    if files.active && process != Process::Loader {
        access::restricted();
    }
    let calls = seccomp::install(process, seccomp, files.active);
    let calls = required("seccomp", seccomp, calls)?;
    Ok([files, calls])
}
