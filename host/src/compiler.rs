//! A compiler: a process that makes machine code of one component, says what came of it, and ends.
//!
//! It has no files, no network and no capability, and limits on memory and CPU time: a component is
//! input from outside, and a compiler is a large program.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::link::{self, Sender};
use crate::plugin::{self, MAX_FILE};
use crate::starter::CompilerStart;

/// What a compiler says. Descriptor: the sealed machine code, of `Done`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CompilerAnswer {
    Done {
        /// CPU time of compiling alone.
        cpu: Duration,
    },
    /// What is wrong with the component.
    Refused(String),
    /// What is wrong with this process.
    Failed(String),
}

/// The compiler's process.
pub(crate) fn run(start: CompilerStart) {
    let CompilerStart { component, answer } = start;
    let sender = Sender::direct(answer);
    let compiled = link::read_sealed(component, MAX_FILE as usize)
        .map_err(|error| CompilerAnswer::Failed(error.to_string()))
        .and_then(|bytes| {
            let before = cpu_time();
            let code = plugin::compile(&bytes)
                .map_err(|error| CompilerAnswer::Refused(error.to_string()))?;
            Ok((code, cpu_time().saturating_sub(before)))
        })
        .and_then(|(code, cpu)| {
            link::sealed("compiled", &code)
                .map(|code| (code, cpu))
                .map_err(|error| CompilerAnswer::Failed(error.to_string()))
        });
    // Whoever asked has gone: nobody wants to know.
    let _ = match compiled {
        Ok((code, cpu)) => sender.send(&CompilerAnswer::Done { cpu }, &[code.as_fd()]),
        Err(answer) => sender.send(&answer, &[]),
    };
}

/// Of this process so far.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}
