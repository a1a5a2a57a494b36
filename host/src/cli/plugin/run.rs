//! `exporter-host plugin run FILE`: calls a plugin as a host would, with rows from the command
//! line.

mod collect;
mod decode;
mod place_rows;
mod rows;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};
use serde_json::Value as Json;

use super::super::values;
use super::list::location;
use super::{Format, Usage, Workbench, bench};
use crate::plugin::{Offered, Tool};
use crate::telemetry::LogLevel;

/// Call a plugin with rows from the command line
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("what").required(true).multiple(false).args(["decoders", "shaper", "collect"])),
    after_help = "Exit codes: 0 all rows were answered, 1 the plugin failed or a row got no answer, 2 wrong usage.\n\n\
        Examples:\n  \
        exporter-host plugin run standard --decoder inet_ip --hex 0a000001\n  \
        exporter-host plugin run standard --decoder uint --decoder static_map --options '{}' --options '{\"static_map\": {\"1\": \"read\"}}' --hex 01000000\n  \
        exporter-host plugin run my.wasm --shaper my_shape --labels disk --row sda --row sdb\n  \
        exporter-host plugin run my.wasm --collect my_collector --target 192.0.2.1"
)]
pub(super) struct RunFlags {
    /// The component, or `standard` for the one inside this binary
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Decoder to call; several form a chain. Those that FILE does not offer are taken from the
    /// standard plugin
    #[arg(long = "decoder", value_name = "NAME")]
    decoders: Vec<String>,

    /// Shaper to call
    #[arg(long, value_name = "NAME")]
    shaper: Option<String>,

    /// Collector to call once; its families are printed as they would be served
    #[arg(long, value_name = "NAME")]
    collect: Option<String>,

    /// Target of the collector, as in a probe
    #[arg(long, value_name = "TARGET", requires = "collect")]
    target: Option<String>,

    /// A query parameter of a probe; repeatable
    #[arg(long, value_name = "NAME=VALUE", requires = "collect", value_parser = param)]
    param: Vec<(String, String)>,

    /// Maximum duration of a collector's call
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::timeout, requires = "collect")]
    timeout: Duration,

    /// The options, a JSON object; of a chain's decoders in their order
    #[arg(long, value_name = "JSON", value_parser = object)]
    options: Vec<Json>,

    /// A row's bytes (of a shaper: its raw key), two hexadecimal digits each; repeatable; - reads
    /// lines from standard input
    #[arg(long, value_name = "BYTES")]
    hex: Vec<String>,

    /// The names of a shaper's decoded labels
    #[arg(
        long,
        value_name = "NAME,NAME",
        value_delimiter = ',',
        requires = "shaper"
    )]
    labels: Vec<String>,

    /// A shaper's row: the texts of its labels, separated by commas; repeatable
    #[arg(long, value_name = "TEXT,TEXT", requires = "shaper")]
    row: Vec<String>,

    /// The name of the metric that a shaper shapes
    #[arg(
        long,
        value_name = "NAME",
        default_value = "metric",
        requires = "shaper"
    )]
    metric: String,

    /// Measure the cost of calls, with batches of 1, 512 and 4096 rows
    #[arg(long)]
    bench: bool,

    /// Directory for compiled plugins, as of the host
    #[arg(long = "plugin.cache-dir", value_name = "DIR")]
    plugin_cache_dir: Option<PathBuf>,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}
pub(super) fn run(flags: &RunFlags, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let rows = rows::hex(&flags.hex, &mut io::stdin().lock())?;
    let bench = Workbench::new(flags.plugin_cache_dir.as_ref(), LogLevel::Info)?;
    let started = Instant::now();
    let tool = Tool::load(
        &bench.engine,
        &bench.facts,
        &bench.compile(),
        location(&flags.file),
    )
    .with_context(|| format!("{} cannot be used", flags.file.display()))?;
    let loaded = started.elapsed();
    if let Some(name) = &flags.collect {
        if flags.bench {
            bail!(Usage("--bench measures decoders".to_owned()));
        }
        return collect::collect(flags, name, &tool, out);
    }
    match &flags.shaper {
        Some(shaper) => {
            if flags.bench {
                bail!(Usage("--bench measures decoders".to_owned()));
            }
            place_rows::place_rows(flags, shaper, &rows, &tool, out)
        }
        None => {
            let mut chain = decode::open_chain(flags, &bench, &tool)?;
            if rows.is_empty() {
                bail!(Usage("nothing to decode: give rows with --hex".to_owned()));
            }
            if flags.bench {
                let opened = bench::Opened {
                    loaded,
                    tool: &tool,
                };
                return bench::run(
                    &opened,
                    &rows,
                    |rows| decode::cells(&mut chain, rows),
                    flags.format,
                    out,
                );
            }
            decode::decode(flags, &mut chain, &rows, out)
        }
    }
}
fn param(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("expected NAME=VALUE, e.g. module=fast")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn object(text: &str) -> Result<Json, String> {
    match serde_json::from_str(text) {
        Ok(object @ Json::Object(_)) => Ok(object),
        Ok(_) => Err("expected a JSON object, e.g. {\"name\": \"value\"}".to_owned()),
        Err(error) => Err(format!("expected a JSON object: {error}")),
    }
}

fn not_offered(kind: &str, name: &str, tool: &Tool, offered: &[Offered]) -> String {
    let names: Vec<&str> = offered.iter().map(|one| one.name.as_str()).collect();
    let plugin = tool.name();
    if names.is_empty() {
        return format!("plugin `{plugin}` offers no {kind}s");
    }
    let near = crate::near::nearest(name, names.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!(
        "plugin `{plugin}` offers no {kind} `{name}`{hint}; there are: {}",
        names.join(", ")
    )
}
