//! What a forked child does between its fork and its entry function, and how it ends.

use std::any::Any;
use std::ffi::CStr;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use rustix::process::{
    DumpableBehavior, Pid, Signal, getppid, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::set_name;

use super::messages::{CANNOT_CONFINE, CompileLimits};
use super::{CompilerStart, Entries, ServerStart, sys};
use crate::cli::settings::Settings;
use crate::privileges::{self, Hardening, ServerPaths};

/// The exit code after a panic, as that of a program of Rust's.
const PANICKED: i32 = 101;

const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// The kernel's largest.
const MAX_OOM_SCORE: i32 = 1000;

/// What differs between the kinds of children before their entry.
struct Kind {
    /// At most 15 bytes.
    comm: &'static CStr,
    /// Added to the score that the OOM killer goes by: a child goes before the starter and the
    /// loader, a compiler before a server.
    oom: i32,
}

const SERVER: Kind = Kind {
    comm: c"exporter-serve",
    oom: 200,
};
const COMPILER: Kind = Kind {
    comm: c"exporter-comp",
    oom: 300,
};

/// What every child is made of: the starter's own, from before the fork.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) settings: &'a Settings,
    pub(super) entries: Entries,
    /// The starter.
    pub(super) parent: Pid,
}

impl Origin<'_> {
    /// Goes on as a server. `start` lacks its features.
    pub(super) fn serve(self, paths: &ServerPaths, mut start: ServerStart) -> ! {
        end_after(|| {
            let keep = [start.socket.as_fd(), start.lifeline.as_fd()];
            let hardening = &self.settings.hardening;
            let confined = self.prepare(&SERVER, &keep).and_then(|()| {
                privileges::confine_server(hardening, paths).map_err(|error| error.to_string())
            });
            match confined {
                Ok(features) => {
                    start.features = features;
                    number((self.entries.server)(self.settings, start))
                }
                Err(why) => cannot_start("server", &why),
            }
        })
    }

    /// Goes on as a compiler.
    pub(super) fn compile(self, limits: CompileLimits, start: CompilerStart) -> ! {
        end_after(|| {
            let keep = [start.component.as_fd(), start.answer.as_fd()];
            let hardening: &Hardening = &self.settings.hardening;
            let confined = self.prepare(&COMPILER, &keep).and_then(|()| {
                privileges::confine_compiler(hardening, limits.memory, limits.cpu)
                    .map_err(|error| error.to_string())
            });
            match confined {
                Ok(()) => {
                    (self.entries.compiler)(start);
                    0
                }
                Err(why) => cannot_start("compiler", &why),
            }
        })
    }

    /// From here on nothing of the starter's is left but memory, 0, 1, 2 and `keep`.
    fn prepare(self, kind: &Kind, keep: &[BorrowedFd<'_>]) -> Result<(), String> {
        sys::close_all_but(keep).map_err(failed("close the starter's descriptors"))?;
        set_name(kind.comm).map_err(failed("set this process' name"))?;
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(failed("end with the starter"))?;
        if getppid() != Some(self.parent) {
            // It ended between the fork and the line above.
            sys::exit_now(0);
        }
        sys::unblock_all().map_err(failed("let signals through"))?;
        // Not to be had in some containers; then the kernel chooses by size alone.
        if let Err(error) = raise_oom_score(kind.oom) {
            tracing::debug!(%error, "cannot raise this process' OOM score");
        }
        privileges::hide_process().map_err(failed("make this process non-dumpable"))
    }
}

/// Adds to this process' own score. The files in /proc of a process that is not dumpable belong to
/// root, so it is dumpable for a moment.
fn raise_oom_score(by: i32) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    let now = fs::read_to_string(OOM_SCORE)?;
    let now: i32 = now.trim().parse().map_err(io::Error::other)?;
    fs::write(OOM_SCORE, raised(now, by).to_string())
}

fn raised(now: i32, by: i32) -> i32 {
    now.saturating_add(by).min(MAX_OOM_SCORE)
}

fn failed<E: Display>(step: &'static str) -> impl Fn(E) -> String {
    move |error| format!("cannot {step}: {error}")
}

fn cannot_start(what: &str, why: &str) -> i32 {
    tracing::error!("the new {what} cannot start: {why}");
    CANNOT_CONFINE
}

/// Runs all that this forked process does, and ends the process: what the stack below holds belongs
/// to the process that it was forked from.
pub(super) fn end_after(run: impl FnOnce() -> i32) -> ! {
    let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(panicked);
    // Nothing can be done about closed ones.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    sys::exit_now(code)
}

/// The hook has written what there is to say.
fn panicked(payload: Box<dyn Any + Send>) -> i32 {
    // Dropping it might panic again.
    std::mem::forget(payload);
    PANICKED
}

/// std does not tell the number.
fn number(code: ExitCode) -> i32 {
    let mut all = 0..=u8::MAX;
    all.find(|number| ExitCode::from(*number) == code)
        .map_or(1, i32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_keep_their_numbers() {
        assert_eq!(number(ExitCode::SUCCESS), 0);
        assert_eq!(number(ExitCode::FAILURE), 1);
        assert_eq!(number(ExitCode::from(255)), 255);
    }

    #[test]
    fn oom_scores_rise_up_to_the_kernels_largest() {
        assert_eq!(raised(0, 200), 200);
        assert_eq!(raised(-999, 300), -699);
        assert_eq!(raised(900, 200), 1000);
    }
}
