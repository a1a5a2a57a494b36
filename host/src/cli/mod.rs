//! The command line, in two stages: what was typed (`flags`, clap) and what was meant (`settings`,
//! nothing left to validate). One file per verb. Owns usage errors (exit code 2); what the flags
//! lead to is other rooms' business.

pub(crate) mod check;
pub(crate) mod doctor;
mod expand;
mod flags;
pub(crate) mod healthcheck;
mod http;
mod inspect;
pub(crate) mod plan;
pub(crate) mod plugin;
mod preconditions;
pub(crate) mod settings;
pub(crate) mod values;
pub(crate) mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::error::ErrorKind;

use check::CheckFlags;
use doctor::DoctorFlags;
use flags::Flags;
use flags::Verb;
use healthcheck::HealthcheckFlags;
use plan::PlanFlags;
use plugin::PluginFlags;
use settings::Settings;

/// What the process is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Run units and serve their metrics, or only try them (`Settings::check`).
    Serve(Box<Settings>),
    Check(CheckFlags),
    Plan(PlanFlags),
    Plugin(PluginFlags),
    Doctor(DoctorFlags),
    Healthcheck(HealthcheckFlags),
}

/// `args` with the program's name first. `Err` is also the answer to `--help` and `--version`: hand
/// it to `report`.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let usage_error = |message: String| Flags::command().error(ErrorKind::ValueValidation, message);
    let args = expand::expand(args).map_err(|error| usage_error(error.to_string()))?;
    let mut flags = Flags::try_parse_from(args)?;
    match flags.verb.take() {
        Some(Verb::Check(flags)) => Ok(Command::Check(flags)),
        Some(Verb::Plan(flags)) => Ok(Command::Plan(flags)),
        Some(Verb::Plugin(flags)) => Ok(Command::Plugin(flags)),
        Some(Verb::Doctor(flags)) => Ok(Command::Doctor(flags)),
        Some(Verb::Healthcheck(flags)) => Ok(Command::Healthcheck(flags)),
        None => match Settings::from_flags(flags.serve) {
            Ok(settings) => Ok(Command::Serve(Box::new(settings))),
            Err(error) => Err(usage_error(error.to_string())),
        },
    }
}

/// Looks at what the flags of a serving process name. `Err`: as of `parse`.
pub(crate) fn check_paths(settings: &Settings) -> Result<(), clap::Error> {
    let usage_error = |error: preconditions::PathError| {
        Flags::command().error(ErrorKind::ValueValidation, error.to_string())
    };
    preconditions::check(settings).map_err(usage_error)
}

/// Prints help and version to stdout, errors to stderr. Nothing can be done about a closed stream.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests;
