//! A compiler: a process that makes machine code of one component, says what came of it, and ends.
//!
//! It has no files, no network and no capability, and limits on memory and CPU time: a component is
//! input from outside, and a compiler is a large program.

use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::link::{self, Sender};
use crate::plugin::{self, MAX_FILE};
use crate::starter::CompilerStart;

/// What a compiler says. Descriptor: the sealed machine code, of `Done`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CompilerAnswer {
    Done,
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
            plugin::compile(&bytes).map_err(|error| CompilerAnswer::Refused(error.to_string()))
        })
        .and_then(|code| {
            link::sealed("compiled", &code)
                .map_err(|error| CompilerAnswer::Failed(error.to_string()))
        });
    // Whoever asked has gone: nobody wants to know.
    let _ = match compiled {
        Ok(code) => sender.send(&CompilerAnswer::Done, &[code.as_fd()]),
        Err(answer) => sender.send(&answer, &[]),
    };
}
