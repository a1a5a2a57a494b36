//! exporter-host: a Prometheus exporter for one Linux node. BPF objects count in the kernel, sandboxed WebAssembly components decode and shape.

mod bpf;
mod cli;
mod config;
mod digest;
mod doctor;
mod exposition;
mod kernel;
#[doc(hidden)]
pub mod outside;
mod plugin;
mod privileges;
mod rows;
mod serve;
mod telemetry;
mod unit;
mod web;

use std::io::{self, Write};
use std::process::ExitCode;

use cli::Command;

/// The program: does what the command line says. Gives the exit code: 0, 1 for what failed, 2 for a command line that can't be read.
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
        Command::Serve(settings) => serve::run(*settings),
    };
    outcome.unwrap_or_else(|error| {
        // Nothing can be done about a closed stderr.
        let _ = writeln!(io::stderr(), "exporter-host: {error:#}");
        ExitCode::FAILURE
    })
}
