//! `exporter-host plugin …`: seeing, trying and making plugins. None of it needs root, a kernel
//! with BPF, or a running host.

mod bench;
mod list;
mod new;
mod report;
mod run;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::kernel::KernelFacts;
use crate::loader::plugins::{Cached, CompileCache};
use crate::plugin::{Compile, Engine, InProcess};
use crate::telemetry::{LogFormat, LogLevel, LogOptions};
use list::{InspectFlags, ListFlags};
use new::NewFlags;
use run::RunFlags;

/// Inspect, run and create plugins
#[derive(Debug, Args)]
pub(crate) struct PluginFlags {
    #[command(subcommand)]
    verb: PluginVerb,
}

#[derive(Debug, Subcommand)]
enum PluginVerb {
    List(ListFlags),
    Inspect(InspectFlags),
    Run(Box<RunFlags>),
    New(NewFlags),
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One object
    Json,
}

/// Something that was typed and cannot be meant, which only showed after parsing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// The machinery that plugins are looked at and run with.
struct Workbench {
    engine: Engine,
    facts: Arc<KernelFacts>,
    /// Of compiled code.
    cache: Option<CompileCache>,
}

/// The exit code is 1 where a plugin cannot be used or failed, 2 for wrong usage.
pub(crate) fn run(flags: &PluginFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let outcome = match &flags.verb {
        PluginVerb::List(flags) => list::list(flags, out),
        PluginVerb::Inspect(flags) => list::inspect(flags, out),
        PluginVerb::Run(flags) => run::run(flags, out),
        PluginVerb::New(flags) => new::new(flags, out),
    };
    let code = match outcome {
        Err(error) if error.is::<Usage>() => {
            // With the code and the look of those that clap finds. Nothing can be done about a
            // closed stderr.
            let _ = writeln!(io::stderr(), "error: {error}");
            return Ok(ExitCode::from(2));
        }
        // Who reads has seen enough, as with `| head`.
        Err(error) if is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
        outcome => outcome?,
    };
    out.flush()?;
    Ok(code)
}

// === impl Workbench ===

impl Workbench {
    /// `cache`: a directory for compiled code. `level`: of the lines that a plugin writes, which go
    /// to stderr.
    fn new(cache: Option<&PathBuf>, level: LogLevel) -> anyhow::Result<Self> {
        let log = LogOptions {
            format: LogFormat::Logfmt,
            level,
            timestamps: false,
        };
        // Fails only where there is a log already, as in tests.
        let _ = log.install();
        Ok(Self {
            engine: Engine::new()?,
            facts: Arc::new(KernelFacts::open()),
            cache: cache.map(|path| CompileCache::open(path)).transpose()?,
        })
    }

    fn compile(&self) -> impl Compile {
        Cached::new(self.cache.as_ref(), &InProcess)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// `failed` as an exit code: 0 or 1.
fn exit_code(failed: bool) -> ExitCode {
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
