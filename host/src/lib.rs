//! exporter-host: a Prometheus exporter for one Linux node. BPF objects count in the kernel,
//! sandboxed WebAssembly components decode and shape.

mod bounded_file;
mod bpf;
mod cli;
mod compiler;
mod config;
mod digest;
mod doctor;
mod exposition;
mod kernel;
mod link;
mod listen;
mod loader;
mod map_batch;
mod near;
mod object_input;
mod paths;
mod plugin;
mod privileges;
mod repeats;
mod rows;
mod server;
mod signal_set;
mod starter;
mod telemetry;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
mod web;

use std::io::{self, Write};
use std::process::ExitCode;

use cli::Command;
use loader::Mains;
use starter::Entries;

/// What the host's processes run.
const MAINS: Mains = Mains {
    entries: Entries {
        server: server::run,
        compiler: compiler::run,
    },
    server_thread: server::run_as_thread,
};

/// The program: does what the command line says. Gives the exit code: 0, 1 for what failed, 2 for a
/// command line that can't be read or names what is not there.
pub fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(answer) => return cli::report(&answer),
    };
    let outcome = match command {
        Command::Check(flags) => {
            cli::check::run(&flags, &mut io::stdout().lock()).map_err(Into::into)
        }
        Command::Plan(flags) => {
            cli::plan::run(&flags, &mut io::stdout().lock()).map_err(Into::into)
        }
        Command::Plugin(flags) => cli::plugin::run(&flags, &mut io::stdout().lock()),
        Command::Doctor(flags) => {
            cli::doctor::run(&flags, &mut io::stdout().lock()).map_err(Into::into)
        }
        Command::Healthcheck(flags) => {
            cli::healthcheck::run(&flags, &mut io::stdout().lock()).map_err(Into::into)
        }
        Command::Serve(settings) => match cli::check_paths(&settings) {
            Ok(()) => loader::run(*settings, MAINS),
            Err(answer) => return cli::report(&answer),
        },
    };
    outcome.unwrap_or_else(|error| {
        // Nothing can be done about a closed stderr.
        let _ = writeln!(io::stderr(), "exporter-host: {error:#}");
        ExitCode::FAILURE
    })
}
